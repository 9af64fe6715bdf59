"""A record's portal in one event loop: who is connected, where each is, what REST answers.

`Serving` gives this a thread. The record is read in threads beside it: whoever waits for it holds nobody else.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from recorder.clock import NS_PER_MS, instant_ns, utc_text
from recorder.errors import ConfigurationError, Incomplete, RecorderError
from recorder.read.record import Record
from recorder.read.replay.events import Event
from recorder.read.scope import find_account
from recorder.replay.pace import Pace, speed_of
from recorder.replay.serving.feed import ReplayFeed, ReplayPosition
from recorder.replay.serving.options import ServingOptions
from recorder.replay.serving.rest import RecordedAccount
from recorder.venues.stand_in import AccountQuery, HttpError, PortalAccess
from recorder.wire.client import PushClient
from recorder.wire.http import HttpRequest, HttpResponse
from recorder.wire.server import ClientConnection, Server, error_response, respond

T = TypeVar("T")

log = logging.getLogger("recorder.replay")

#: Threads that read the record for pushes, and for answers of REST.
READERS, ANSWERERS = 8, 4

#: What the kernel holds for a client. It takes more only once the client has taken a good part of it, and left to
#: itself it holds megabytes: a client that reads slowly would seem to take nothing for long.
KERNEL_BUFFER_BYTES = 1 << 16

#: Keys whose newest client is remembered, once it has gone: of more, the oldest are forgotten.
KEYS_MAX = 10_000

#: WebSocket close code of a server that cannot go on (RFC 6455, 7.4.1).
INTERNAL_ERROR = 1011


class ClientReplay(NamedTuple):
    """A client that was let in, and its replay."""

    account: str
    pace: Pace
    position: ReplayPosition
    #: For people.
    told: str


class ServingStatus(NamedTuple):
    """How a portal does just now."""

    #: Pushes sent so far, to all clients there have been.
    frames: int
    #: Of each connected client: its number, its account, the instant it has been told, nanoseconds since 1970.
    clients: tuple[tuple[int, str, int], ...]


class ReplayPortal:
    """The server. Made and used in its event loop only.

    Args:
        record: what is served.
        options: how.
        on_change: called when a client has come or gone, and when one has been pushed all there is.

    Raises:
        ConfigurationError: the record does not have what is to be served.
        Incomplete: it has gaps, and none are wanted.
    """

    def __init__(self, record: Record, options: ServingOptions, on_change: Callable[[], None]) -> None:
        Pace(options.speed, options.wait_s_max)
        self._record = record
        self._options = options
        self._on_change = on_change
        self._topics = _served(record, options)
        venues = {venue.name: venue for account, venue in record.venues().items() if account in self._topics}
        if len(venues) != 1:
            raise ConfigurationError(
                f"The accounts are of several venues ({', '.join(sorted(venues))}), and a portal speaks the protocol "
                "of one: name those of one venue with --account."
            )
        self._venue = next(iter(venues.values()))
        self._handler = self._venue.stand_in.request_handler(self._secret_of, self.clock_ms)
        self._server = Server(options.host, options.port, self._request, self._converse, self._handler)
        self._readers = ThreadPoolExecutor(READERS, "serving")
        self._answerers = ThreadPoolExecutor(ANSWERERS, "answering")
        self._accepted: WeakKeyDictionary[ClientConnection, tuple[ClientReplay, Iterator[Event]]] = WeakKeyDictionary()
        #: Key → the newest client that came with it: REST tells how things are where that is.
        self._positions: dict[str, ReplayPosition] = {}
        self._feeds: dict[PushClient, tuple[ClientReplay, ReplayFeed]] = {}
        self._reads: set[asyncio.Future[Any]] = set()
        self._accepted_count = 0
        self._pushes_of_gone = 0

    @property
    def port(self) -> int:
        """The port that is listened on, once ready."""
        return self._server.port

    @property
    def accounts(self) -> list[str]:
        """What is served, by name."""
        return list(self._topics)

    def status(self) -> ServingStatus:
        """How it does just now."""
        pushes = self._pushes_of_gone + sum(feed.pushes for _, feed in self._feeds.values())
        clients = [
            (client.number, replay.account, replay.position.told_ns) for client, (replay, _) in self._feeds.items()
        ]
        return ServingStatus(pushes, tuple(clients))

    @property
    def finished(self) -> int:
        """How many connected clients have been pushed all there is."""
        return sum(feed.finished for _, feed in list(self._feeds.values()))

    @staticmethod
    def clock_ms() -> int:
        """The portal's clock: the real one, for clients sign with it."""
        return time.time_ns() // NS_PER_MS

    def stop(self) -> None:
        """Let `run` end."""
        self._server.stop()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until stopped or failed, then say goodbye to everybody.

        Raises:
            OSError: the address cannot be listened on.
            Whatever else ended it.
        """
        try:
            await self._server.run(on_ready, lambda: list(self._feeds), "the replay ends", release=self._let_go)
        finally:
            # What is being read just now ends by itself, unwaited for: a server that is away answers late.
            for threads in (self._readers, self._answerers):
                threads.shutdown(wait=False, cancel_futures=True)

    async def _read(self, threads: ThreadPoolExecutor, read: Callable[[], T]) -> T:
        """Read the record in a thread."""
        reading = asyncio.get_running_loop().run_in_executor(threads, read)
        self._reads.add(reading)
        try:
            return await reading
        finally:
            self._reads.discard(reading)

    def _let_go(self) -> None:
        """Wait for no answer any more: nobody is there who could be told."""
        for reading in self._reads:
            reading.cancel()

    def _account_of(self, key: str) -> str | None:
        """The account that a key is for: its name, or its name, a slash, and whatever tells clients apart."""
        if key in self._topics:
            return key
        name = key.rpartition("/")[0]
        return name if name in self._topics else None

    def _secret_of(self, key: str) -> str | None:
        return None if self._account_of(key) is None else self._options.secret

    async def _request(self, connection: ClientConnection, request: HttpRequest) -> HttpResponse | None:
        """Answer a request, or let a client of the push portal in."""
        response = await respond(self._handler, connection, request, self._answer)
        if response is not None:
            return response
        try:
            self._accepted[connection] = await self._read(self._readers, partial(self._prepare, connection.access))
        except (RecorderError, ValueError) as error:
            return error_response(self._handler, HttpError(400 if isinstance(error, ValueError) else 503, str(error)))
        return None

    def _prepare(self, admitted: PortalAccess) -> tuple[ClientReplay, Iterator[Event]]:
        """Prepare a client's replay, where its address asks for it, or as the options say.

        Raises:
            ValueError: the address asks for what there is not.
        """
        account = self._account_of(admitted.key)
        assert account is not None
        since_ns, speed = self._options.since_ns, self._options.speed
        now_ns = time.time_ns()
        if "since" in admitted.parameters:
            since_ns = instant_ns(admitted.parameters["since"], now_ns)
        if "speed" in admitted.parameters:
            speed = speed_of(admitted.parameters["speed"])
        try:
            events = _events(self._record, self._options, (account,), since_ns)
        except (ConfigurationError, Incomplete) as error:
            raise ValueError(str(error)) from None
        end_ns = now_ns if self._options.until_ns is None else self._options.until_ns - 1
        position = ReplayPosition(0 if since_ns is None else since_ns - 1, end_ns, speed)
        pace = Pace(speed, self._options.wait_s_max, since_ns)
        begins = "the beginning" if since_ns is None else f"{utc_text(since_ns)} UTC"
        told = f"{account} from {begins}, {'as fast as it reads' if speed is None else f'at {speed:g} times the pace'}"
        return ClientReplay(account, pace, position, told), events

    async def _answer(self, question: AccountQuery) -> bytes:
        """Answer as of the instant that the key's newest client is at; before there is one, as of the beginning."""
        account = self._account_of(question.key)
        assert account is not None
        position = self._positions.get(question.key)
        loop = asyncio.get_running_loop()
        since_ns = self._options.since_ns or 1
        at_ns = since_ns - 1 if position is None else position.now_ns(loop.time())
        answer = partial(self._answer_as_of, question, account, at_ns)
        try:
            return await self._read(self._answerers, answer)
        except RecorderError as error:
            log.error("REST cannot be answered: %s", error)
            raise HttpError(503, str(error)) from None

    def _answer_as_of(self, question: AccountQuery, account: str, at_ns: int) -> bytes:
        return question.answer(RecordedAccount(self._record, account, self._topics[account], at_ns))

    async def _converse(self, connection: ClientConnection) -> None:
        """Serve one client of the push portal to its end."""
        self._accepted_count += 1
        replay, events = self._accepted.pop(connection)
        loop = asyncio.get_running_loop()
        topics = self._topics[replay.account]
        has_topic = frozenset(topics).__contains__
        conversation = self._venue.stand_in.conversation(has_topic, loop.time(), self._options.ping_timeout_s)
        client = PushClient(self._accepted_count, connection, conversation)
        client.limit_kernel_buffer(KERNEL_BUFFER_BYTES)
        feed = ReplayFeed(
            client,
            events,
            topics,
            replay.pace,
            replay.position,
            self._options.patience_s,
            self._readers,
            self._on_change,
        )
        del events  # the feed's alone: it lets go of them, whoever still holds this frame of a broken connection
        self._feeds[client] = replay, feed
        self._positions.pop(connection.access.key, None)
        self._positions[connection.access.key] = replay.position
        if len(self._positions) > KEYS_MAX:
            del self._positions[next(iter(self._positions))]
        feeding: list[asyncio.Task[None]] = []

        def settled() -> None:
            log.info("client %d: replays %s", client.number, replay.told)
            feeding.append(asyncio.create_task(self._server.guarded(_push(feed, client))))

        try:
            await self._server.guarded(self._server.listen(client, self.clock_ms, settled, is_patient=lambda: False))
        finally:
            for task in feeding:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):  # an error has been noted by `guarded`
                    await task
            del self._feeds[client]
            self._pushes_of_gone += feed.pushes
            at = f"{utc_text(replay.position.told_ns)} UTC" if replay.position.told_ns > 0 else "the beginning"
            log.info("client %d: gone at %s, after %s pushes", client.number, at, f"{feed.pushes:,}")
            self._on_change()


async def _push(feed: ReplayFeed, client: PushClient) -> None:
    try:
        await feed.run()
    except RecorderError as error:
        log.error("client %d: %s", client.number, error)
        await client.goodbye(INTERNAL_ERROR, "the record cannot be read")


def _served(record: Record, options: ServingOptions) -> Mapping[str, tuple[str, ...]]:
    """The accounts that are served, and what of each has been subscribed to.

    Raises:
        ConfigurationError: the record does not have what is to be served.
        Incomplete: it has gaps, and none are wanted.
    """
    topics = record.topics()
    if not topics:
        raise ConfigurationError("The record has no account, so there is nothing to serve: record something first.")
    # Asked for and thrown away, for what it refuses.
    _events(record, options, options.accounts, options.since_ns)
    if options.accounts is None:
        return topics
    with record.reading() as connection:
        names = {find_account(connection, account).name for account in options.accounts}
    return {name: its_topics for name, its_topics in topics.items() if name in names}


def _events(
    record: Record, options: ServingOptions, accounts: tuple[str, ...] | None, since_ns: int | None
) -> Iterator[Event]:
    return record.replay(
        since_ns,
        options.until_ns,
        accounts,
        all_sightings=options.all_sightings,
        require_complete=options.require_complete,
    )
