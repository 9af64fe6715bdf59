"""A made-up venue whose history is on a real HTTP server: windows, pages, weights, bans, retention, errors inside 200.

Its socket is FMex's. It has two lists, fills and transactions, asked for with a POST of JSON to one path.
"""

import json
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from sqlalchemy import select

from recorder.clock import NS_PER_MS, Clock
from recorder.live.reconciler import Retry
from recorder.live.recording import Recording
from recorder.live.settings import Account, Limits
from recorder.model import DECODED, Decoded, FillUpdate, PositionUpdate, Transaction, Update
from recorder.store import event_log
from recorder.store.engine import open_engine
from recorder.store.entries import Covered, SessionOpened
from recorder.store.schema import runs
from recorder.venues.rest import (
    Completed,
    Credentials,
    Forgotten,
    Known,
    MakeRequest,
    Purpose,
    Question,
    Questions,
    RestLimit,
    RestRequest,
    Unanswered,
    Verdict,
)
from tests.unit.live.stage import Venue

DAY_MS = 86_400_000
WINDOW_MS = 7 * DAY_MS
#: Rows of one answer at most.
PAGE_ROWS = 200
#: 2026-01-01, milliseconds since 1970.
NOW_MS = 1_767_225_600_000
RETENTION_MS = 730 * DAY_MS
COSTS = {"fills": 2, "transactions": 5}

KEY, SECRET = "key-of-the-archive", "secret/of+the archive"

_NO_FILL = FillUpdate(None, 0, *[None] * (len(FillUpdate._fields) - 2))
_NO_TRANSACTION = Transaction(None, 0, None, "other", *[None] * (len(Transaction._fields) - 4))
_VERDICTS = {0: Verdict.ANSWER, 404: Verdict.GONE, 401: Verdict.REFUSED, 429: Verdict.WAIT, 403: Verdict.WAIT}


class Row(NamedTuple):
    """One row of a list."""

    at_ms: int
    id: int


class ArchiveVenue(Venue):
    """The recorder's side.

    Args:
        limits: its rate limits.
    """

    name = "archive"
    pushes_fills = True

    def __init__(self, *limits: RestLimit) -> None:
        super().__init__()
        self.rest_limits = limits or (RestLimit(1_000_000, 1.0),)

    def classify(self, status: int, body: bytes) -> Verdict:
        """Errors have the HTTP status 200, and a code in the body."""
        if status != 200:
            return _VERDICTS.get(status, Verdict.TRANSIENT)
        try:
            read = json.loads(body)
            return _VERDICTS.get(read["code"] if "code" in read else read["status"], Verdict.TRANSIENT)
        except (ValueError, KeyError):
            return Verdict.TRANSIENT

    def wait_s(self, _status: int, headers: Mapping[str, str], _body: bytes, _now_ms: int) -> float:
        """In a header of its own."""
        return int(headers.get("x-wait-ms", 0)) / 1000

    def decode_answer(self, target: str, payload: bytes) -> Decoded:
        """Rows of a list."""
        read = json.loads(payload)
        asked = json.loads(target.partition(" ")[2].partition(" ")[2])
        make = {"fills": _fill, "transactions": _transaction, "positions": _position}[asked["list"]]
        secrets = (read["token"],) if "token" in read else ()
        updates = tuple(make(row) for row in read["rows"])
        return Decoded(target, DECODED, None, updates, None, read.get("next"), secrets)

    def questions(self, purpose: Purpose, known: Known) -> Questions:
        """Fills after a gap, transactions regularly, both before the record."""
        if purpose is Purpose.RECONCILE:
            since_ms = known.now_ms if known.since_ms is None else known.since_ms
            if since_ms < known.now_ms - RETENTION_MS:
                yield Forgotten("fills before two years ago", "it remembers two years", "order.")
            yield from _pages("fills", max(since_ms, known.now_ms - RETENTION_MS), known.now_ms, "fills")
        elif purpose is Purpose.REGULAR:
            since_ms = known.now_ms - WINDOW_MS if known.since_ms is None else known.since_ms
            since_ms = max(since_ms, known.now_ms - RETENTION_MS)
            yield from _pages("transactions", since_ms, known.now_ms, "transactions")
        elif purpose is Purpose.BACKFILL:
            yield from self._backfill(known)
        return None

    def _backfill(self, known: Known) -> Questions:
        until_ms = known.now_ms if known.until_ms is None else known.until_ms
        oldest_ms = known.now_ms - RETENTION_MS
        begin_ms = max(known.since_ms or 0, oldest_ms)
        for name in COSTS:
            if begin_ms == oldest_ms:
                yield Forgotten(f"{name} before two years ago", "it remembers two years")
            # Newest first.
            for end_ms in range(until_ms, begin_ms, -WINDOW_MS):
                since_ms = max(end_ms - WINDOW_MS, begin_ms)
                # Where the exchange's memory ends moves on with time: it must not change the name.
                subject = f"{name} from {max(end_ms - WINDOW_MS, known.since_ms or 0)} until {end_ms}"
                if subject not in known.done and (yield from _pages(name, since_ms, end_ms, subject)):
                    yield Completed(subject, name, since_ms, end_ms)
        return None


def _pages(name: str, since_ms: int, until_ms: int, subject: str) -> Any:
    """Returns whether every page was answered."""
    cursor = ""
    while True:
        answer = yield Question(subject, request(name, since_ms, until_ms, cursor), "", COSTS[name])
        if answer is None:
            return False
        if answer.next_page is None:
            return True
        if answer.next_page <= cursor:
            yield Unanswered(subject, "its pages go round")
            return False
        cursor = answer.next_page


def request(name: str, since_ms: int, until_ms: int, cursor: str = "") -> MakeRequest:
    """A request for a page: rows from `since_ms` on, and before `until_ms`."""

    def make(url: str, credentials: Credentials, _now_ms: int) -> RestRequest:
        body = json.dumps({"list": name, "since": since_ms, "until": until_ms, "cursor": cursor}).encode()
        headers = {"Content-Type": "application/json", "X-Key": credentials["key"], "X-Sign": credentials["secret"]}
        return RestRequest("POST", f"{url}/history", headers, body)

    return make


def _fill(row: list[Any]) -> Update:
    at_ms, number = row
    filled = _NO_FILL._replace(event_ms=at_ms, executed_ms=at_ms, symbol="BTC", side="buy", price="9000", quantity="1")
    return filled._replace(order_id=str(number), trade_id=str(number), fee="0")


def _transaction(row: list[Any]) -> Update:
    at_ms, number = row
    return _NO_TRANSACTION._replace(
        event_ms=at_ms, transaction_id=str(number), currency="BTC", amount="1", occurred_ms=at_ms
    )


def _position(row: list[Any]) -> Update:
    return PositionUpdate(row[0], 1, 0, None, "BTC", quantity="1")


class Archive:
    """The exchange's side, as a context manager. It bans who exceeds its limits.

    Args:
        limits: its rate limits.
        fills: its fills, oldest first.
        transactions: likewise.
        now_ms: its clock.

    Attributes:
        asked: how often each body was asked for.
        violations: requests beyond a limit or within a ban.
        answers: what to answer to the next requests instead of the truth: status, headers, body.
        after: called with the number of each request before it is answered.
    """

    def __init__(
        self, *limits: RestLimit, fills: int = 0, transactions: int = 0, now_ms: int = NOW_MS, ban_s: float = 0.2
    ) -> None:
        self.limits = limits
        self.now_ms = now_ms
        self.ban_s = ban_s
        self.asked: Counter[str] = Counter()
        self.violations = 0
        self.requests = 0
        self.headers: list[Mapping[str, str]] = []
        self.arrived_s: list[float] = []
        self.answers: deque[tuple[int, dict[str, str], bytes]] = deque()
        self.after: Any = lambda number: None
        self.lists = {
            name: [Row(now_ms - RETENTION_MS + (at + 1) * (RETENTION_MS // (count + 1)), at) for at in range(count)]
            for name, count in (("fills", fills), ("transactions", transactions))
        }
        self._spent: deque[tuple[float, int]] = deque()
        self._banned_until_s = 0.0
        self._lock = threading.Lock()
        archive = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._send(200, {}, b'{"status":0,"data":%d}' % (time.time_ns() // 10**6))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._send(*archive.answer(body, dict(self.headers.items())))

            def _send(self, status: int, headers: Mapping[str, str], answer: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def account(self) -> Account:
        """An account there."""
        credentials = Credentials(key=KEY, secret=SECRET)
        return Account(
            name="main", venue=ArchiveVenue(*self.limits), url=self.url, credentials=credentials, symbols=("btcusd_p",)
        )

    def answer(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Answer one request: status, headers, body."""
        with self._lock:
            self.requests += 1
            number = self.requests
            self.asked[body.decode()] += 1
            self.headers.append(headers)
            self.arrived_s.append(time.monotonic())
        self.after(number)
        if self.answers:
            return self.answers.popleft()
        asked = json.loads(body)
        with self._lock:
            if not self._may_ask(COSTS[asked["list"]]):
                self.violations += 1
                self._banned_until_s = time.monotonic() + self.ban_s
                return 200, {"X-Wait-Ms": str(int(self.ban_s * 1000))}, b'{"code":403,"message":"banned"}'
        if asked["since"] < self.now_ms - RETENTION_MS:
            return 200, {}, b'{"code":404,"message":"not remembered"}'
        rows = self.lists[asked["list"]]
        first = bisect_left(rows, (asked["since"],))
        last = bisect_left(rows, (asked["until"],))
        at = max(first, int(asked["cursor"] or 0))
        page = rows[at : min(last, at + PAGE_ROWS)]
        more = {"next": f"{at + PAGE_ROWS:09d}"} if at + PAGE_ROWS < last else {}
        return 200, {}, json.dumps({"code": 0, "rows": page, **more}).encode()

    def _may_ask(self, cost: int) -> bool:
        now_s = time.monotonic()
        self._spent.append((now_s, cost))
        spent = [sum(its for at_s, its in self._spent if at_s > now_s - limit.window_s) for limit in self.limits]
        within = all(its <= limit.cost_max for its, limit in zip(spent, self.limits, strict=True))
        return now_s >= self._banned_until_s and within


def begin_record(url: str, account: Account, at_ms: int, clock: Clock | None = None) -> None:
    """Make a record that was covered at this instant, milliseconds since 1970, and has no frame."""
    with Recording(url, [account], Limits(), clock, by_hand=Retry()):
        pass
    account_id, at_ns = account.account_id, at_ms * NS_PER_MS
    with open_engine(url).begin() as connection:
        run = connection.execute(select(runs.c.run_id, runs.c.recorder_id)).one()
        opened = SessionOpened(account_id, 10, run.run_id, "ws://archive", ("account",), at_ns)
        event_log.apply(connection, run.recorder_id, opened)
        event_log.apply(connection, run.recorder_id, Covered(account_id, 10, 0, at_ns, ("account",), {}))
