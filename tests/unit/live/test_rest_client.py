"""Requests over REST: the exchange's clock, the rate limit, and what each failure costs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from threading import Event, Thread
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.clock import NS_PER_MS, Clock
from recorder.errors import Refused, Unreachable
from recorder.live.channel import Channel, Recorded
from recorder.live.connection import client_of
from recorder.live.http import HttpClient
from recorder.live.pace import Pace, RateLimit
from recorder.live.rest_client import RestClient, RestRound, Stopping, check_clock
from recorder.live.settings import Limits
from recorder.model import REST, SNAPSHOT
from recorder.venues.reading import read_answer
from recorder.venues.rest import Question, Questions, RestLimit
from tests.unit.live.archive import COSTS, KEY, SECRET, Archive, request
from tests.unit.live.archive import NOW_MS as ARCHIVE_NOW_MS
from tests.unit.live.peer import PATIENCE_S, Peer, refuse
from tests.unit.live.stage import account_of

NOW_MS = int(datetime(2020, 2, 4, tzinfo=UTC).timestamp()) * 1000
CLOCK = Clock(wall_ns=lambda: NOW_MS * NS_PER_MS)

Answer = Callable[[bytes], bytes]


@given(st.integers(2, 40), st.floats(0.1, 20.0), st.lists(st.floats(0.0, 5.0), min_size=1, max_size=200))
def test_no_window_holds_more_than_our_share(requests_max: int, window_s: float, idle_s: list[float]) -> None:
    rate = RateLimit([RestLimit(requests_max, window_s)])
    now_s, sent_s = 0.0, []
    for pause_s in idle_s:
        now_s += pause_s
        now_s += rate.wait_s(now_s)
        sent_s.append(now_s)
    ours = max(requests_max // 2, 1)
    for first, last in zip(sent_s, sent_s[ours:], strict=False):
        assert last - first >= window_s * (1 - 1e-9)
    assert all(before <= after for before, after in pairwise(sent_s))


limits_of_a_venue = st.lists(st.builds(RestLimit, st.integers(2, 60), st.floats(0.1, 20.0)), max_size=4)


requests = st.tuples(st.floats(0.0, 5.0), st.integers(1, 40), st.integers(0, 40))


@given(limits_of_a_venue, st.lists(requests, min_size=1, max_size=200))
def test_several_limits_hold_together_whatever_requests_cost(
    limits: list[RestLimit], asked: list[tuple[float, int, int]]
) -> None:
    """Some cost less than was assumed before they were answered."""
    rate = RateLimit(limits)
    now_s = 0.0
    sent: list[tuple[float, int]] = []
    for pause_s, cost, less in asked:
        now_s += pause_s
        now_s += rate.wait_s(now_s, cost)
        rate.refund(min(less, cost))
        sent.append((now_s, cost - min(less, cost)))
    for limit in limits:
        ours = max(limit.cost_max // 2, 1)
        for place, (last_s, _) in enumerate(sent):
            cost = asked[place][1]
            from_s = last_s - limit.window_s * (1 - 1e-9)
            before = sum(its for at_s, its in sent[:place] if at_s > from_s)
            # A request that costs more than is allowed is alone in its window.
            assert before + cost <= ours or before == 0


def test_the_first_go_out_at_once() -> None:
    rate = RateLimit([RestLimit(100, 10.0)])
    assert [rate.wait_s(0.0) for _ in range(51)] == [0.0] * 50 + [10.0]


def test_what_a_request_did_not_cost_can_be_spent_on_the_next() -> None:
    rate = RateLimit([RestLimit(100, 10.0)])
    for _ in range(11):
        assert rate.wait_s(0.0, 30) == 0.0
        rate.refund(28)
    assert rate.wait_s(0.0, 30) == 10.0


def test_what_an_earlier_run_may_have_spent_is_waited_for() -> None:
    rate = RateLimit([RestLimit(100, 10.0), RestLimit(400, 60.0)])
    rate.use_up(-4.0)
    assert rate.wait_s(0.0) == 56.0
    rate = RateLimit([RestLimit(100, 10.0)])
    rate.use_up(-11.0)
    assert [rate.wait_s(0.0) for _ in range(51)] == [0.0] * 50 + [10.0]
    unlimited = RateLimit([])
    unlimited.use_up(0.0)
    assert unlimited.wait_s(0.0) == 0.0


def server_time(ms: int) -> Answer:
    return refuse("200 OK", body=b'{"status":0,"data":%d}' % ms)


def check(answer: Answer, clock: Clock = CLOCK) -> tuple[str, ...]:
    with Peer(answer) as peer:
        warnings = check_clock(account_of(peer), HttpClient(peer.url, PATIENCE_S, PATIENCE_S), clock)
        assert peer.requests.get().startswith(b"GET /v2/public/server-time HTTP/1.1\r\n")
    return warnings


@pytest.mark.parametrize(
    ("server_ms", "words"),
    [
        (NOW_MS - 30_001, "30.0 s ahead of"),
        (NOW_MS + 30_001, "30.0 s behind"),
        (NOW_MS + 3_600_000, "3600.0 s behind"),
        (0, "1580774400.0 s ahead of"),
    ],
)
def test_a_clock_that_the_exchange_would_refuse(server_ms: int, words: str) -> None:
    with pytest.raises(Refused, match=f"This machine's clock is {words} the exchange's, more than the 30 s"):
        check(server_time(server_ms))


@pytest.mark.parametrize(
    ("server_ms", "words"),
    [
        (NOW_MS - 30_000, "this machine's clock is 30.0 s ahead of the exchange's: set it"),
        (NOW_MS + 1_001, "this machine's clock is 1.0 s behind the exchange's: set it"),
        (NOW_MS - 1_000, ""),
        (NOW_MS, ""),
    ],
)
def test_a_clock_that_is_a_little_off_is_said(server_ms: int, words: str) -> None:
    assert check(server_time(server_ms)) == ((f"{words} (NTP)",) if words else ())


def test_a_slow_answer_is_no_wrong_clock() -> None:
    """Asked at 0, answered at 4, come at 8 seconds."""
    times = iter([NOW_MS, NOW_MS + 8_000])
    assert check(server_time(NOW_MS + 4_000), Clock(wall_ns=lambda: next(times) * NS_PER_MS)) == ()


@pytest.mark.parametrize(
    "answer",
    [
        refuse("503 Service Unavailable"),
        refuse("521 Web Server Is Down", body=b"<html>"),
        refuse("429 Too Many Requests"),
        refuse("200 OK", body=b'{"data":"soon"}'),
    ],
)
def test_an_unknown_clock_is_no_reason_to_stop(answer: Answer) -> None:
    (warning,) = check(answer)
    assert warning.startswith("the exchange's clock is not known (")


@pytest.mark.parametrize(
    "answer", [refuse("200 OK", body=b"<html>"), refuse("200 OK"), refuse("404 Not Found", body=b"<html>")]
)
def test_an_address_that_is_another_servers_ends_the_start(answer: Answer) -> None:
    with pytest.raises(Unreachable, match=r"does not answer as this venue does: HTTP .*; check the address"):
        check(answer)


def questions(*asked: Question) -> Questions:
    for one in asked:
        _answer = yield one
    return None


FILLS = Question("fills", request("fills", ARCHIVE_NOW_MS - 1, ARCHIVE_NOW_MS))
NO_ROWS = b'{"code":0,"rows":[]}'


class Asking:
    """A client of an archive, and what it put into its channel."""

    def __init__(self, archive: Archive, pace: Pace) -> None:
        self.account = archive.account
        self.channel = Channel(Event(), 1_000, 2**20)
        self.http = client_of(self.account, Limits(connect_s=PATIENCE_S, answer_s=PATIENCE_S), Clock(), pace)
        limits = Limits(reconnect_first_s=0.001, reconnect_last_s=0.002)
        #: How many answers told states.
        self.told = 0
        self.client = RestClient(self.account, self.http, self.channel, Clock(), limits, self._tell)
        self.round = RestRound(1)

    def _tell(self) -> None:
        self.told += 1

    def ask(self, *asked: Question) -> None:
        for _ in self.client.answers(questions(*asked), self.round):
            pass

    def frames(self) -> list[Recorded]:
        return [one for one in self.channel.take(1_000, 2**20) if isinstance(one, Recorded)]


@contextmanager
def asking(archive: Archive) -> Iterator[Asking]:
    with several_asking(archive, 1) as (made,):
        yield made


@contextmanager
def several_asking(archive: Archive, count: int) -> Iterator[list[Asking]]:
    """Several accounts of one address."""
    pace = Pace()
    with archive, ExitStack() as closing:
        made = [Asking(archive, pace) for _ in range(count)]
        for one in made:
            closing.callback(one.http.close)
        yield made


@pytest.mark.parametrize(
    ("name", "source", "told"), [("positions", REST, 1), ("positions", SNAPSHOT, 0), ("fills", REST, 0)]
)
def test_answers_whose_rows_are_states_are_told_about(name: str, source: str, told: int) -> None:
    """What is pushed after them is then no repetition of what was pushed before."""
    archive = Archive()
    archive.answers.append((200, {}, b'{"code":0,"rows":[[5,6]]}'))
    with asking(archive) as it:
        it.round.source = source
        it.ask(Question("states", request(name, ARCHIVE_NOW_MS - 1, ARCHIVE_NOW_MS)))
        assert (it.told, len(it.frames())) == (told, 1)


def test_a_body_is_posted_and_named_in_the_topic() -> None:
    archive = Archive(fills=3)
    with asking(archive) as it:
        it.ask(Question("fills", request("fills", archive.lists["fills"][1].at_ms, ARCHIVE_NOW_MS)))
        (recorded,) = it.frames()
    (body,) = archive.asked
    assert recorded.frame.topic == f"POST /history {body}"
    assert [update.trade_id for update in recorded.updates] == ["1", "2"]  # type: ignore[union-attr]
    assert archive.headers[0]["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("code", "requests", "lost", "failed"),
    [(404, 1, ["fills"], 0), (5, 5, [], 1), (429, 5, [], 1)],
    ids=["gone", "transient", "asked to wait"],
)
def test_errors_inside_http_200_are_told_apart(code: int, requests: int, lost: list[str], failed: int) -> None:
    archive = Archive()
    archive.answers.extend([(200, {}, b'{"code":%d,"message":"no"}' % code)] * 5)
    with asking(archive) as it:
        it.ask(FILLS)
        frames = it.frames()
    assert archive.requests == requests
    assert [one.name for one in it.round.lost] == lost
    assert len(it.round.failed) == failed
    assert {(one.frame.topic or "")[:22] for one in frames} == {"HTTP 200 POST /history"}


def test_a_refusal_inside_http_200_ends_the_round() -> None:
    archive = Archive()
    archive.answers.append((200, {"X-Wait-Ms": "1500"}, b'{"code":401,"message":"no"}'))
    with asking(archive) as it, pytest.raises(Refused, match="refused the key") as raised:
        it.ask(FILLS, FILLS)
    assert raised.value.retry_after_s == 1.5
    assert archive.requests == 1


def test_whatever_is_asked_after_a_ban_waits_for_its_end() -> None:
    """Another question and another round, too: the last attempt of a question may be the one that is banned."""
    archive = Archive()
    archive.answers.extend([(200, {}, b'{"code":5}')] * 4)
    archive.answers.append((403, {"X-Wait-Ms": "300"}, b"banned"))
    archive.answers.append((200, {}, NO_ROWS))
    with asking(archive) as it:
        it.ask(FILLS)
        it.round = RestRound(2)
        it.ask(FILLS)
    assert not it.round.failed
    assert archive.arrived_s[5] - archive.arrived_s[4] >= 0.3


def test_a_stop_ends_the_wait_of_a_ban_of_ten_minutes() -> None:
    archive = Archive()
    archive.answers.append((403, {"X-Wait-Ms": "600000"}, b"banned"))
    with asking(archive) as it:
        archive.after = lambda number: it.client.stop()
        with pytest.raises(Stopping):
            it.ask(FILLS)
        assert 590 < it.http.wait_s <= 600
    assert archive.requests == 1


def test_accounts_share_the_limits_of_their_address() -> None:
    archive = Archive(RestLimit(6 * COSTS["fills"], 0.4, str))
    with several_asking(archive, 5) as accounts:
        asks = [Thread(target=it.ask, args=[FILLS._replace(cost=COSTS["fills"])] * 3) for it in accounts]
        for one in asks:
            one.start()
        for one in asks:
            one.join(PATIENCE_S)
    assert (archive.requests, archive.violations) == (15, 0)


def test_what_another_account_was_asked_to_wait_counts_for_all_of_the_address() -> None:
    archive = Archive(RestLimit(1_000, 0.5, str))
    with several_asking(archive, 2) as (it, other):
        other.http.ask_later(0.3)
        asked_s = monotonic()
        it.ask(FILLS)
    assert archive.arrived_s[0] - asked_s >= 0.29


def test_a_ban_noticed_at_the_start_counts_for_the_first_question() -> None:
    with Peer(refuse("429 Too Many Requests", "Retry-After: 600")) as peer:
        client = HttpClient(peer.url, PATIENCE_S, PATIENCE_S)
        check_clock(account_of(peer), client, CLOCK)
    assert 590 < client.wait_s <= 600


@pytest.mark.parametrize("secret", [KEY, SECRET, "token-of-the-answer"])
def test_secrets_are_masked_in_every_answer_and_the_row_says_so(secret: str) -> None:
    archive = Archive()
    body = b'{"code":0,"rows":[[1,2]],"token":"token-of-the-answer","said":"%s"}' % secret.encode()
    archive.answers.append((200, {}, body))
    with asking(archive) as it:
        it.ask(FILLS)
        (recorded,) = it.frames()
    frame = recorded.frame
    assert secret.encode() not in frame.payload
    assert frame.payload.count(b"***") == 2
    assert (frame.topic or "").endswith("} (secret masked)")
    assert frame.status == "decoded"
    # Its typed rows follow from what is stored.
    assert read_answer(it.account.venue, frame.topic or "", frame.payload).updates == recorded.updates


def test_an_answer_without_a_secret_is_kept_byte_for_byte() -> None:
    archive = Archive()
    body = b'{"code":0, "rows":[],"type":"application/json"}'
    archive.answers.append((200, {}, body))
    with asking(archive) as it:
        it.ask(FILLS)
        (recorded,) = it.frames()
    assert recorded.frame.payload == body
    assert "masked" not in (recorded.frame.topic or "")
