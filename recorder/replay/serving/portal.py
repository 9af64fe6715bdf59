"""A served record in one event loop: the clients, how far each has come, what REST answers.

`Serving` runs it in a thread. The record is read in further threads, so that a slow query delays one client only.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

from recorder.clock import NS_PER_MS, instant_ns, utc_text
from recorder.errors import ConfigurationError, Incomplete, RecorderError
from recorder.read.record import Record
from recorder.read.replay.events import Event
from recorder.read.scope import find_account
from recorder.replay.clock import ReplayPace, speed_of
from recorder.replay.serving.feed import ReplayFeed, ReplayPosition
from recorder.replay.serving.rest import RecordedAccount, accounts_by_key, instrument_answers
from recorder.venues.stand_in import AccountQuery, Backend, HttpError, Reply
from recorder.wire.client import PushClient
from recorder.wire.http import HttpRequest, HttpResponse
from recorder.wire.server import ClientConnection, Server, error_response, respond

T = TypeVar("T")

log = logging.getLogger("recorder.replay")

#: Threads that read the record for pushes, and for REST answers.
READERS, ANSWERERS = 8, 4

#: The kernel's send buffer of each client, bytes. The kernel takes more only once a good part of it has been read. With
#: its default of megabytes, a client that reads slowly would seem to read nothing for a long time.
KERNEL_BUFFER_BYTES = 1 << 16

#: API keys whose latest client is remembered after it has gone; beyond this the oldest are forgotten.
KEYS_MAX = 10_000

#: WebSocket close code of a server error (RFC 6455, 7.4.1).
INTERNAL_ERROR = 1011

#: Default API secret. It protects nothing: everything that is served can also be read from the record.
SECRET = "replay-secret"


@dataclass(frozen=True, kw_only=True)
class ServingOptions:
    """Options of `Serving`. `ReplayPace` refuses an invalid speed or wait."""

    #: Address to listen on.
    host: str = "127.0.0.1"
    #: Port to listen on; 0 for any free one.
    port: int = 0
    #: API secret of every account; the API key is the account's name.
    secret: str = SECRET
    #: Names of the accounts to serve; None for all.
    accounts: tuple[str, ...] | None = None
    #: Start (inclusive) and end (exclusive) of each client's replay, nanoseconds since 1970; None for the whole record.
    since_ns: int | None = None
    until_ns: int | None = None
    #: 1 for the pace of the record, 10 for ten times as fast; None for as fast as a client reads.
    speed: float | None = 1.0
    #: Longest wait between two pushes, seconds; None for no limit.
    wait_s_max: float | None = None
    #: Send a push once for each recorder that received it.
    all_sightings: bool = False
    #: Refuse to serve a period with gaps.
    require_complete: bool = False
    #: Disconnect a client that has given no sign of life for this long, seconds; None for as the exchange does.
    ping_timeout_s: float | None = None
    #: Disconnect a client that has read nothing for this long, seconds.
    patience_s: float = 30.0


class ClientReplay(NamedTuple):
    """The replay of one accepted client."""

    account: str
    pace: ReplayPace
    position: ReplayPosition
    #: What is replayed, for the log.
    description: str


class ServingStatus(NamedTuple):
    """The current state of a portal."""

    #: Pushes sent so far, to all clients.
    frames: int
    #: Each connected client's number, account and the time it has reached in the record, nanoseconds since 1970.
    clients: tuple[tuple[int, str, int], ...]


class ReplayPortal:
    """The server of a record. Create and use it in its event loop only.

    Args:
        record: the record to serve.
        options: what to serve of it, and how.
        on_change: called when a client has connected or gone, and when one has been sent everything.

    Raises:
        ConfigurationError: the record does not contain what the options ask for.
        Incomplete: it has gaps, and the options require it to be complete.
    """

    def __init__(self, record: Record, options: ServingOptions, on_change: Callable[[], None]) -> None:
        ReplayPace(options.speed, options.wait_s_max)
        self._record = record
        self._options = options
        self._on_change = on_change
        self._topics = _served(record, options)
        venues = {venue.name: venue for account, venue in record.venues().items() if account in self._topics}
        if len(venues) != 1:
            raise ConfigurationError(
                f"The accounts are from several venues ({', '.join(sorted(venues))}), but a portal speaks the protocol "
                "of one: select the accounts of one venue with --account."
            )
        self._venue = next(iter(venues.values()))
        self._keys = accounts_by_key(record, list(self._topics), self._venue.stand_in)
        self._backend = Backend(
            secret_of=self._secret_of,
            clock_ms=self.clock_ms,
            has_topic=self._has_topic,
            ping_timeout_s=options.ping_timeout_s,
            instruments=instrument_answers(record, list(self._topics), options.until_ns),
        )
        self._handler = self._venue.stand_in.request_handler(self._backend)
        self._server = Server(options.host, options.port, self._request, self._converse, self._handler)
        self._readers = ThreadPoolExecutor(READERS, "serving")
        self._answerers = ThreadPoolExecutor(ANSWERERS, "answering")
        self._accepted: WeakKeyDictionary[ClientConnection, tuple[ClientReplay, Iterator[Event]]] = WeakKeyDictionary()
        #: API key → the position of the latest client that used it; REST answers as of this position.
        self._positions: dict[str, ReplayPosition] = {}
        self._feeds: dict[PushClient, tuple[ClientReplay, ReplayFeed]] = {}
        self._reads: set[asyncio.Future[Any]] = set()
        self._accepted_count = 0
        self._pushes_of_gone = 0

    @property
    def port(self) -> int:
        """The port it listens on, once ready."""
        return self._server.port

    @property
    def accounts(self) -> list[str]:
        """The names of the served accounts."""
        return list(self._topics)

    @property
    def keys(self) -> list[str]:
        """The API keys of the served accounts: their names, and keys that are public."""
        return list(self._keys)

    def status(self) -> ServingStatus:
        """The current state."""
        pushes = self._pushes_of_gone + sum(feed.pushes for _, feed in self._feeds.values())
        clients = [
            (client.number, replay.account, replay.position.reached_ns) for client, (replay, _) in self._feeds.items()
        ]
        return ServingStatus(pushes, tuple(clients))

    @property
    def finished(self) -> int:
        """Number of connected clients that have been sent everything."""
        return sum(feed.finished for _, feed in list(self._feeds.values()))

    @staticmethod
    def clock_ms() -> int:
        """The portal's clock: the real one, because clients sign with it."""
        return time.time_ns() // NS_PER_MS

    def stop(self) -> None:
        """Make `run` return."""
        self._server.stop()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until stopped or failed, then close all connections.

        Raises:
            OSError: it cannot listen on this address.
            Exception: whatever made it fail.
        """
        try:
            await self._server.run(on_ready, lambda: list(self._feeds), "the replay ends", release=self._stop_reading)
        finally:
            # Do not wait for queries in progress: an unreachable database server answers late.
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

    def _stop_reading(self) -> None:
        """Abandon all answers: the clients are gone."""
        for reading in self._reads:
            reading.cancel()

    def _account_of(self, key: str) -> str | None:
        """The account of a key: `main`, for example, or `main/` and any text that tells clients apart."""
        return self._keys.get(key) or self._keys.get(key.rpartition("/")[0])

    def _secret_of(self, key: str) -> str | None:
        return None if self._account_of(key) is None else self._options.secret

    def _has_topic(self, key: str, topic: str) -> bool:
        account = self._account_of(key)
        return account is not None and topic in self._topics[account]

    async def _request(self, connection: ClientConnection, request: HttpRequest) -> HttpResponse | None:
        """Answer one request; None to accept a client on the push portal."""
        response = await respond(self._handler, connection, request, self._answer)
        if response is not None:
            return response
        key = connection.access.key
        if key is None:  # the client logs in with a command
            return None
        try:
            prepare = partial(self._prepare, key, connection.access.parameters)
            self._accepted[connection] = await self._read(self._readers, prepare)
        except (RecorderError, ValueError) as error:
            return error_response(self._handler, HttpError(400 if isinstance(error, ValueError) else 503, str(error)))
        return None

    def _prepare(self, key: str, parameters: Mapping[str, str]) -> tuple[ClientReplay, Iterator[Event]]:
        """Prepare a client's replay as its address or the options ask.

        Args:
            key: of the account.
            parameters: of the address.

        Raises:
            ValueError: the address asks for something that does not exist.
        """
        account = self._account_of(key)
        assert account is not None
        since_ns, speed = self._options.since_ns, self._options.speed
        now_ns = time.time_ns()
        if "since" in parameters:
            since_ns = instant_ns(parameters["since"], now_ns)
        if "speed" in parameters:
            speed = speed_of(parameters["speed"])
        try:
            events = _events(self._record, self._options, (account,), since_ns)
        except (ConfigurationError, Incomplete) as error:
            raise ValueError(str(error)) from None
        end_ns = now_ns if self._options.until_ns is None else self._options.until_ns - 1
        position = ReplayPosition(0 if since_ns is None else since_ns - 1, end_ns, speed)
        pace = ReplayPace(speed, self._options.wait_s_max, since_ns)
        begins = "the beginning" if since_ns is None else f"{utc_text(since_ns)} UTC"
        how = "as fast as it reads" if speed is None else f"at {speed:g} times the pace"
        return ClientReplay(account, pace, position, f"{account} from {begins}, {how}"), events

    async def _answer(self, query: AccountQuery) -> bytes | Reply:
        """Answer as of the position of the key's latest client; without one, as of the beginning."""
        account = self._account_of(query.key)
        assert account is not None
        position = self._positions.get(query.key)
        loop = asyncio.get_running_loop()
        since_ns = self._options.since_ns or 1
        at_ns = since_ns - 1 if position is None else position.now_ns(loop.time())
        answer = partial(self._answer_as_of, query, account, at_ns)
        try:
            return await self._read(self._answerers, answer)
        except RecorderError as error:
            log.error("a REST request cannot be answered: %s", error)
            raise HttpError(503, str(error)) from None

    def _answer_as_of(self, query: AccountQuery, account: str, at_ns: int) -> bytes | Reply:
        return query.answer(RecordedAccount(self._record, account, self._topics[account], at_ns))

    async def _converse(self, connection: ClientConnection) -> None:
        """Serve one client of the push portal until it is gone."""
        self._accepted_count += 1
        accepted = self._accepted.pop(connection, None)
        loop = asyncio.get_running_loop()
        conversation = self._venue.stand_in.conversation(connection.access, self._backend, loop.time())
        client = PushClient(self._accepted_count, connection, conversation)
        client.limit_kernel_buffer(KERNEL_BUFFER_BYTES)
        if accepted is not None:
            assert connection.access.key is not None, "that of the handshake"
            self._attach(client, connection.access.key, *accepted)
        # Only the feed may hold the events, so that it can release them even if a traceback holds this frame.
        del accepted
        feeding: list[asyncio.Task[None]] = []

        def settled() -> None:
            feeding.append(asyncio.create_task(self._server.guarded(self._replay(client))))

        try:
            listening = self._server.listen(
                client, self.clock_ms, lambda _snapshot: (), settled, is_patient=lambda: False
            )
            await self._server.guarded(listening)
        finally:
            for task in feeding:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):  # `guarded` has stored the error
                    await task
            self._detach(client)
            self._on_change()

    async def _replay(self, client: PushClient) -> None:
        """Push to a client whose subscriptions are complete."""
        if client not in self._feeds:  # it has logged in with a command
            access = cast(ClientConnection, client.connection).access
            key = min(client.subscriptions)[0]
            try:
                prepared = await self._read(self._readers, partial(self._prepare, key, access.parameters))
            except (RecorderError, ValueError) as error:
                log.error("client %d: %s", client.number, error)
                await client.goodbye(INTERNAL_ERROR, "the record cannot be read")
                return
            self._attach(client, key, *prepared)
            del prepared
        replay, feed = self._feeds[client]
        log.info("client %d: replays %s", client.number, replay.description)
        await _push(feed, client)

    def _attach(self, client: PushClient, key: str, replay: ClientReplay, events: Iterator[Event]) -> None:
        """Give a client its replay; REST answers as of its position from now on."""
        topics = self._topics[replay.account]
        feed = ReplayFeed(
            client,
            key,
            events,
            topics,
            replay.pace,
            replay.position,
            self._options.patience_s,
            self._readers,
            self._on_change,
        )
        self._feeds[client] = replay, feed
        self._positions.pop(key, None)
        self._positions[key] = replay.position
        if len(self._positions) > KEYS_MAX:
            del self._positions[next(iter(self._positions))]

    def _detach(self, client: PushClient) -> None:
        """Forget a client that has gone."""
        if client not in self._feeds:
            log.info("client %d: disconnected before it followed an account", client.number)
            return
        replay, feed = self._feeds.pop(client)
        self._pushes_of_gone += feed.pushes
        at = f"{utc_text(replay.position.reached_ns)} UTC" if replay.position.reached_ns > 0 else "the beginning"
        log.info("client %d: disconnected at %s, after %s pushes", client.number, at, f"{feed.pushes:,}")


async def _push(feed: ReplayFeed, client: PushClient) -> None:
    try:
        await feed.run()
    except RecorderError as error:
        log.error("client %d: %s", client.number, error)
        await client.goodbye(INTERNAL_ERROR, "the record cannot be read")


def _served(record: Record, options: ServingOptions) -> Mapping[str, tuple[str, ...]]:
    """The served accounts and the topics that were subscribed to for each.

    Raises:
        ConfigurationError: the record does not contain what the options ask for.
        Incomplete: it has gaps, and the options require it to be complete.
    """
    topics = record.topics()
    if not topics:
        raise ConfigurationError(
            "There is nothing to serve, because the record contains no account: record something first."
        )
    # Only for the errors it raises.
    _events(record, options, options.accounts, options.since_ns)
    if options.accounts is None:
        return topics
    with record.reading() as connection:
        names = {find_account(connection, account).label for account in options.accounts}
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
