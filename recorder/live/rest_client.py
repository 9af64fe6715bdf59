"""Requests to an exchange's REST interface: rate-limited, retried, and every answer recorded as a frame."""

import logging
from collections.abc import Callable, Iterator
from threading import Event

from recorder.clock import Clock
from recorder.errors import UNREADABLE, Refused, Unavailable, Unreachable, VenueError
from recorder.live.backoff import Backoff
from recorder.live.channel import Channel, Recorded
from recorder.live.http import HttpAnswer, HttpClient, answer_text, masked, secrets_of, venue_error
from recorder.live.pace import RateLimit
from recorder.live.settings import Account, Limits
from recorder.model import REST, Decoded, FillUpdate, Frame, OrderUpdate, State, Update
from recorder.store.entries import Agreed, LostSubject
from recorder.venues.reading import error_topic, masked_topic, read_answer
from recorder.venues.rest import (
    Answer,
    Completed,
    Forgotten,
    Question,
    Questions,
    RestRequest,
    Unanswered,
    Verdict,
    target_of,
)

log = logging.getLogger(__name__)

#: Attempts for one question in one round.
ATTEMPTS_MAX = 5
#: After this many failed questions in a row the exchange counts as down, and the round ends.
FAILED_IN_A_ROW_MAX = 3
#: A long round logs its progress this often, seconds.
PROGRESS_S = 10.0
#: How often a round that waits for room in the queue checks for a stop, seconds.
ROOM_CHECK_S = 0.2
#: A clock that is off by more than this causes a warning, milliseconds.
CLOCK_WARNING_MS = 1_000


class Stopping(Exception):
    """The run ends. The round is abandoned, its gaps stay open, and the next run reconciles them."""


class RestRound:
    """One round of questions. The frames of its answers are a session of their own.

    Args:
        round_id: the session of the answers' frames.
        source: of the frames. Typed rows follow only from those of `REST`.
        on_completed: called with each subject of a backfill that need not be asked about again, after its answers.
        is_counted: whether orders and executions are counted, which takes some memory for each order.

    Attributes:
        lost: subjects that the exchange does not have and will not have later.
        failed: subjects that it could not answer this time, with the reason.
        unanswered: the topics that those concern, as in `Question.topic`.
        agreed: of a comparison that found nothing, up to where it proves the sessions.
        orders: the orders in the answers.
        executions: the number of executions in the answers.
        frames: the number of answers so far.
    """

    def __init__(
        self,
        round_id: int,
        source: str = REST,
        on_completed: Callable[[Completed], None] = lambda one: None,
        is_counted: bool = True,
    ) -> None:
        self._on_completed = on_completed
        self._is_counted = is_counted
        self.round_id = round_id
        self.source = source
        self.lost: list[LostSubject] = []
        self.failed: list[str] = []
        self.unanswered: set[str] = set()
        self.agreed: tuple[Agreed, ...] = ()
        self.orders: set[str] = set()
        self.executions = 0
        self.frames = 0

    def note(self, step: Unanswered | Forgotten | Completed) -> None:
        """Note what became of a subject."""
        match step:
            case Unanswered(subject, reason):
                self.failed.append(f"{subject} ({reason})")
                self.unanswered.add("")
            case Forgotten(subject, reason, topic, stream):
                # First, so that a text that is cut still names it.
                self.lost.insert(0, LostSubject(subject, reason, topic, "", stream))
                self.unanswered.add(topic)
            case Completed():
                self._on_completed(step)

    def count(self, updates: tuple[Update, ...]) -> None:
        """Count the orders and executions of an answer."""
        if not self._is_counted:
            return
        self.orders.update(update.order_id for update in updates if isinstance(update, OrderUpdate))
        self.executions += sum(isinstance(update, FillUpdate) for update in updates)


class RestClient:
    """Sends the requests of one account, from one thread.

    Args:
        account: to sign for.
        client: sends the requests.
        channel: to the writer.
        clock: stamps answers, measures waits.
        limits: of waits.
        on_states: called after each answer whose typed rows are states.
        on_refused: called when the exchange refuses the key, with `sleep`; returns what else is known, in a sentence.
    """

    def __init__(
        self,
        account: Account,
        client: HttpClient,
        channel: Channel,
        clock: Clock,
        limits: Limits,
        on_states: Callable[[], None] = lambda: None,
        on_refused: Callable[[Callable[[float], None]], str] = lambda sleep: "",
    ) -> None:
        self._on_states = on_states
        self._on_refused = on_refused
        self._account = account
        self._client = client
        self._channel = channel
        self._clock = clock
        self._limits = limits
        own = RateLimit([limit for limit in account.venue.rest_limits if limit.shared_at is None])
        self._rates = own, client.address.rate
        #: When the last request was sent, for each of them.
        self._turns_s: list[float] = []
        self._stopping = Event()
        self._failed_in_a_row = 0

    def asked_before(self, ago_s: float) -> None:
        """Note that an earlier run has asked, so long ago at least, seconds: its requests still count."""
        for rate in self._rates:
            rate.use_up(self._clock.monotonic_s() - ago_s)

    def stop(self) -> None:
        """End this and every later wait with `Stopping`. From any thread."""
        self._stopping.set()

    def sleep(self, wait_s: float) -> None:
        """Wait.

        Raises:
            Stopping: the run ends.
        """
        self._clock.wait(self._stopping, wait_s)
        self.check_stop()

    def settle(self) -> None:
        """Wait until REST, which may be behind the pushes, knows all that has been pushed, and the other way round.

        Raises:
            Stopping: the run ends.
        """
        self.sleep(self._limits.reconcile_settle_s)

    def check_stop(self) -> None:
        """Raise `Stopping` if the run ends."""
        if self._stopping.is_set():
            raise Stopping

    def answers(self, questions: Questions, to: RestRound) -> Iterator[Answer]:
        """Ask a venue's questions. Each answer is in the channel when it is yielded.

        A question without an answer costs only its own subject, which is added to `to.lost` or `to.failed`.

        Raises:
            VenueError: the exchange refuses the key, or no longer answers.
            Stopping: the run ends.
            ChannelClosed: the writer has ended.
        """
        self._failed_in_a_row = 0
        logged_s = self._clock.monotonic_s()
        try:
            step = next(questions)
            while True:
                answer = None
                if isinstance(step, Question):
                    answer = self._ask(step, to)
                else:
                    to.note(step)
                if answer is not None:
                    yield answer
                if self._clock.monotonic_s() - logged_s > PROGRESS_S:
                    logged_s = self._clock.monotonic_s()
                    log.info("%s: still asking the exchange, %d answers so far", self._account.name, to.frames)
                step = questions.send(answer)
        except StopIteration:
            return

    def _ask(self, question: Question, to: RestRound) -> Answer | None:
        """Ask one question, and again after a transient failure. Returns None if it has no answer."""
        backoff = Backoff(self._limits.reconnect_first_s, self._limits.reconnect_last_s)
        account = self._account
        for attempt in range(1, ATTEMPTS_MAX + 1):
            self._wait_turn(question.cost)
            request = question.request(account.url, account.credentials, self._clock.wall_ms())
            problem: VenueError
            try:
                got = self._client.fetch(request)
            except Unreachable as error:
                why, problem = "unreachable", error
            else:
                verdict = account.venue.classify(got.status, got.body)
                if verdict is Verdict.ANSWER:
                    answer, decoded = self._keep(request, got, to)
                    if question.cost_of_rows is not None:
                        less = max(question.cost - question.cost_of_rows(len(decoded.updates)), 0)
                        for rate, at_s in zip(self._rates, self._turns_s, strict=True):
                            rate.refund(less, at_s)
                    if decoded.error is None:
                        self._failed_in_a_row = 0
                        return answer
                    why = f"its answer, frame {answer.seq}, cannot be decoded: {decoded.error}"
                    problem = Unreachable(f"{account.url}{answer.target}: {why}.")
                else:
                    self._keep_error(request, got, to)
                    secrets = secrets_of(account.credentials, request)
                    why = answer_text(got, secrets)
                    if verdict is Verdict.GONE:
                        self._failed_in_a_row = 0
                        to.lost.append(LostSubject(question.subject, why, question.topic, self._target(request)))
                        to.unanswered.add(question.topic)
                        return None
                    shown = request.url.partition("?")[0]
                    problem = venue_error(account.venue, shown, got, secrets, self._clock.wall_ms())
                    # Whatever comes next, be it another question or another round, comes no sooner.
                    self._client.ask_later(problem.retry_after_s)
                    if verdict is Verdict.REFUSED:
                        known = self._on_refused(self.sleep)
                        raise Refused(f"{problem} {known}".rstrip(), retry_after_s=problem.retry_after_s)
            if attempt < ATTEMPTS_MAX:
                self.sleep(backoff.next_s())
        to.failed.append(f"{question.subject} ({why})")
        to.unanswered.add(question.topic)
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILED_IN_A_ROW_MAX:
            raise problem
        return None

    def _wait_turn(self, cost: int) -> None:
        """Wait until the exchange wants a request, and its limits allow one of this cost."""
        self.sleep(self._client.wait_s)
        self._turns_s = []
        for rate in self._rates:
            self._turns_s.append(rate.turn_s(self._clock.monotonic_s(), cost))
            self.sleep(max(self._turns_s[-1] - self._clock.monotonic_s(), 0.0))
        # Another account may have been asked to wait meanwhile.
        self.sleep(self._client.wait_s)

    def _keep(self, request: RestRequest, got: HttpAnswer, to: RestRound) -> tuple[Answer, Decoded]:
        target = self._target(request)
        received_ns = self._clock.wall_ns()
        decoded, body = self._read(request, target, got.body)
        to.count(decoded.updates)
        seq = self._put(to, received_ns, decoded, body)
        return Answer(seq, target, decoded.updates, decoded.next_page), decoded

    def _keep_error(self, request: RestRequest, got: HttpAnswer, to: RestRound) -> None:
        """Record an error answer, too."""
        received_ns = self._clock.wall_ns()
        self._put(to, received_ns, *self._read(request, error_topic(got.status, self._target(request)), got.body))

    def _target(self, request: RestRequest) -> str:
        """What a request asks for, without secrets."""
        target = target_of(request, self._account.url)
        return masked(target.encode(), secrets_of(self._account.credentials, request))[0].decode()

    def _read(self, request: RestRequest, topic: str, body: bytes) -> tuple[Decoded, bytes]:
        """Decode an answer with every secret in it masked, as it is stored. The topic shows whether there was one."""
        venue, secrets = self._account.venue, secrets_of(self._account.credentials, request)
        kept, is_masked = masked(body, secrets)
        decoded = read_answer(venue, topic, kept)
        if decoded.secrets:
            kept, is_masked = masked(body, (*secrets, *decoded.secrets))
        return read_answer(venue, masked_topic(topic), kept) if is_masked else decoded, kept

    def _put(self, to: RestRound, received_ns: int, decoded: Decoded, body: bytes) -> int:
        while not self._channel.has_room():
            self._channel.wait_for_room(ROOM_CHECK_S)
            self.check_stop()
        seq, to.frames = to.frames, to.frames + 1
        state = decoded.topic, decoded.status, decoded.error
        frame = Frame(self._account.account_id, to.round_id, seq, received_ns, to.source, *state, body)
        self._channel.put(Recorded(frame, decoded.rows if to.source == REST else ()))
        if to.source == REST and any(isinstance(one, State) for one in decoded.updates):
            self._on_states()
        return seq


def check_clock(account: Account, client: HttpClient, clock: Clock) -> tuple[str, ...]:
    """Compare this machine's clock with the exchange's, before anything is written.

    Returns:
        Warnings for the user.

    Raises:
        Refused: it is so far off that the exchange would refuse us.
        Unreachable: the exchange cannot be reached at its address.
    """
    request = account.venue.server_time_request(account.url)
    asked_ms = clock.wall_ms()
    got = client.fetch(request)
    verdict = account.venue.classify(got.status, got.body)
    try:
        if verdict is not Verdict.ANSWER:
            hidden = secrets_of(account.credentials, request)
            problem = venue_error(account.venue, request.url, got, hidden, clock.wall_ms())
            client.ask_later(problem.retry_after_s)
            raise problem
        server_ms = account.venue.server_time_ms(got.body)
    except (Unavailable, *UNREADABLE) as error:
        return (f"the exchange's clock is not known ({error})",)
    # The exchange read its clock somewhere between the two: the middle is the best estimate.
    off_ms = (asked_ms + clock.wall_ms()) // 2 - server_ms
    tolerance_ms = account.venue.clock_tolerance_ms
    off = f"{abs(off_ms) / 1000:.1f} s {'ahead of' if off_ms > 0 else 'behind'}"
    if abs(off_ms) > tolerance_ms:
        raise Refused(
            f"This machine's clock is {off} the exchange's, more than the {tolerance_ms // 1000} s that are allowed: "
            "set it (for example with NTP) and start again."
        )
    if abs(off_ms) > CLOCK_WARNING_MS:
        return (f"this machine's clock is {off} the exchange's: set it (NTP)",)
    return ()
