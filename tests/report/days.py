"""Days of a simulated account, written in seconds: what a recorder would have made of them, batch by batch.

The exchange is the simulator's, stamped by a clock that this file turns; a list of `Spell`s says what the line, the
clock and the recorder do to its pushes. The same seed makes the same record, except for the recorder's random key.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from sqlalchemy import Connection

from recorder.live.channel import Recorded
from recorder.model import PUSH, REST, SENT, Frame, account_id
from recorder.read.projector import project_all
from recorder.simulator.exchange import Exchange
from recorder.store import entries, migrate
from recorder.store.journal import Batch
from recorder.store.opening import open_run
from recorder.venues import venue_named
from recorder.venues.reading import read_answer, read_frame
from tests.made import quick_engine, snapshot_of

MS = 1_000_000
S = 1_000 * MS
#: 2020-02-04 00:00, nanoseconds since 1970.
BEGIN_NS = 1_580_774_400 * S
VENUE = venue_named("fmex")
BATCH_FRAMES = 500
PING_S = 60


class Spell(NamedTuple):
    """A time in which the recorder is connected, and how it ends. Hours after the beginning."""

    from_h: float
    until_h: float
    #: Why the session ends, and the words beside it; of the last one a crash or a stop.
    end: str = "lost"
    detail: str = ""
    #: What reconciling made of the gap before it.
    result: str = "reconciled"
    restored: str = "snapshot taken; the steps in between are not restored"
    #: Topic → the exchange's words.
    refused: dict[str, str] = {}  # noqa: RUF012  a NamedTuple's default, never changed


class Days:
    """The record of one account.

    Args:
        path: of a new file.
        symbols: traded.
        moments_per_s: in which something is pushed, on average; by night fewer, by day more. A moment has some pushes.
        seed: of everything.
    """

    def __init__(
        self,
        path: Path,
        *,
        symbols: Sequence[str] = ("btcusd_p",),
        moments_per_s: float = 0.05,
        seed: int = 1,
        account: str = "main",
        host: str = "recorder-1",
        version: str = "0.1.0",
    ) -> None:
        self.url = f"sqlite:///{path}"
        self.engine = quick_engine(self.url)
        migrate.require_usable(self.engine)
        self._random = Random(seed)
        self._now_ns = BEGIN_NS
        self._per_s = moments_per_s
        self._exchange = Exchange(seed, symbols, clock_ms=lambda: self._now_ns // MS)
        self.topics = ("account", *(f"{kind}.{symbol}" for kind in ("order", "position") for symbol in symbols))
        self._account = entries.AccountAdded(account_id("fmex", account), "fmex", account, BEGIN_NS)
        self._host, self._version = host, version
        self._run: entries.RunStarted | None = None
        self._batch: Batch
        self._key = 0
        self._seq = 0
        self._last = (0, 0)
        self.frames = 0

    def write(self, spells: Sequence[Spell], *, odd: Sequence[bytes] = ()) -> None:
        """Write all of it.

        Args:
            spells: one after the other.
            odd: frames that come one each spell beside the others.
        """
        oddities = iter(odd)
        with self.engine.begin() as connection:
            for spell in spells:
                self._let_pass(spell.from_h)
                if self._run is None:
                    self._open_run(connection)
                self._session(connection, spell, next(oddities, None))
        with self.engine.connect() as connection:
            list(project_all(connection))

    def discrepancy(self, subject: str, field: str, said: str | None, held: str | None) -> None:
        """A contradiction is found now; in the next batch."""
        found = entries.DiscrepancyFound(
            self._account.account_id, self._key, self._seq, subject, field, said, held, self._key, self._now_ns
        )
        self._batch.entries.append(found)

    # A run, a session.

    def _open_run(self, connection: Connection) -> None:
        begun = entries.RunStarted(self._now_ns // MS << 20, 0, self._now_ns, self._host, 4711, self._version)
        opened = open_run(connection, self.url, begun, [self._account])
        self._run = opened.run
        self._batch = Batch(self._run.recorder_id, self._run.run_id, 1, opened.seal)

    def _session(self, connection: Connection, spell: Spell, odd: bytes | None) -> None:
        assert self._run is not None
        account, run = self._account.account_id, self._run.run_id
        self._key, self._seq = (self._now_ns // MS << 20) + 1, 0
        session = self._key
        self._log(
            entries.SessionOpened(account, session, run, "wss://api.fmex.com/v2/user/ws", self.topics, self._now_ns)
        )
        self._receive(b'{"type":"hello","ts":%d}' % (self._now_ns // MS))
        self._now_ns += 60 * MS
        topics = ",".join(f'"{topic}"' for topic in self.topics if topic not in spell.refused)
        seq = self._receive(f'{{"type":"topics","topics":[{topics}]}}'.encode())
        self._log(entries.Covered(account, session, seq, self._last[1], self.topics, spell.refused))
        self._reconcile(spell)
        end_ns = BEGIN_NS + int(spell.until_h * 3600 * S)
        odd_ns = (self._now_ns + end_ns) // 2
        ping_ns = self._now_ns + S
        for push_ns, topic, push in self._pushes(end_ns):
            while ping_ns < push_ns:
                self._ping(ping_ns)
                ping_ns += PING_S * S
            if odd is not None and push_ns > odd_ns:
                self._receive(odd)
                odd = None
            if topic not in spell.refused:
                self._receive(push)
            if len(self._batch.frames) >= BATCH_FRAMES:
                self._commit(connection)
        ended_ns = max(self._now_ns, end_ns)
        self._now_ns = ended_ns
        if spell.end == "crashed":
            self._commit(connection)
            self._run = None
            return
        last_seq, last_ns = self._last
        self._log(entries.SessionEnded(account, session, ended_ns, spell.end, spell.detail, True, last_seq, last_ns))
        if spell.end == "stopped":
            self._log(entries.RunEnded(run, ended_ns, spell.detail or "SIGTERM"))
        self._commit(connection)
        if spell.end == "stopped":
            self._run = None

    def _reconcile(self, spell: Spell) -> None:
        assert self._run is not None
        account, key = self._account.account_id, self._key + 1
        self._log(entries.ReconciliationBegan(account, key, self._run.run_id, self._now_ns))
        balances_and_positions = snapshot_of(self._exchange.view())[:2]
        for seq, (target, answer) in enumerate(balances_and_positions):
            decoded = read_answer(VENUE, target, answer)
            state = decoded.topic, decoded.status, decoded.error
            frame = Frame(account, key, seq, self._now_ns + (seq + 1) * 20 * MS, REST, *state, answer)
            self._batch.add(*Recorded(frame, decoded.rows))
        ended = entries.ReconciliationEnded(
            account, key, self._key, self._now_ns + 50 * MS, spell.result, spell.restored
        )
        self._log(ended)

    # What comes.

    def _pushes(self, end_ns: int) -> Iterator[tuple[int, str, bytes]]:
        while True:
            # What happens in one moment is pushed in one; only then time goes on.
            if not self._exchange._waiting:
                self._wait()
            if self._now_ns >= end_ns:
                return
            yield self._now_ns, *next(self._exchange)

    def _let_pass(self, until_h: float) -> None:
        """Nobody listens, trading goes on."""
        end_ns = BEGIN_NS + int(until_h * 3600 * S)
        for _ in self._pushes(end_ns):
            pass
        self._now_ns = max(end_ns, self._now_ns)

    def _wait(self) -> None:
        hour = (self._now_ns - BEGIN_NS) / S / 3600
        rate = self._per_s * (1.05 + math.sin((hour - 8) / 24 * 2 * math.pi)) / 1.05
        self._now_ns += max(int(self._random.expovariate(rate) * S), MS)

    def _receive(self, payload: bytes) -> int:
        late_ms = 18 + self._random.lognormvariate(2.6, 0.7)
        received_ns = max(self._now_ns + int(late_ms * MS), self._last[1] + 1)
        decoded = read_frame(VENUE, payload)
        state = decoded.topic, decoded.status, decoded.error
        frame = Frame(self._account.account_id, self._key, self._seq, received_ns, PUSH, *state, payload)
        self._batch.add(*Recorded(frame, decoded.rows))
        self._last = self._seq, received_ns
        self._seq += 1
        self.frames += 1
        return self._seq - 1

    def _ping(self, at_ns: int) -> None:
        command = Frame(
            self._account.account_id, self._key, self._seq, at_ns, SENT, None, "control", None, b'{"cmd":"ping"}'
        )
        self._batch.add(command, ())
        self._seq += 1
        hour = (at_ns - BEGIN_NS) / S / 3600
        gap_ms = 20 + 9 * math.sin(hour / 7) + 0.6 * hour % 24 + self._random.lognormvariate(1.0, 0.8)
        now_ns, self._now_ns = self._now_ns, at_ns
        self._receive(b'{"type":"ping","ts":%d,"gap":%d}' % (at_ns // MS, int(gap_ms)))
        self._now_ns = now_ns

    def _log(self, entry: entries.LogEntry) -> None:
        self._batch.entries.append(entry)

    def _commit(self, connection: Connection) -> None:
        written = self._batch
        written.write(connection, self._now_ns)
        self._batch = Batch(written.recorder_id, written.run_id, written.number + 1, written.seal)


#: Three days with most of what can happen.
STORY = (
    Spell(9.4, 18.2, "lost", "the connection was reset by the exchange"),
    Spell(18.24, 27.9, "silent", "no frame for 40.0 s"),
    Spell(28.0, 31.3, "closed", "1001 going away: maintenance"),
    Spell(
        33.6,
        47.5,
        "crashed",
        "",
        "unrecoverable",
        "the exchange keeps closed orders for 2 h only: orders that closed before are not reported",
    ),
    Spell(47.7, 58.0, "lost", "timed out", refused={"position.ethusd_p": "41002 invalid sub topic, position.ethusd_p"}),
    Spell(58.03, 70.1, "stopped", "SIGTERM"),
    Spell(70.4, 80.75, "stopped", "SIGTERM"),
)


def story(path: Path, *, moments_per_s: float = 0.022) -> Days:
    """Write it."""
    days = Days(path, symbols=("btcusd_p", "ethusd_p", "xrpusd_p"), moments_per_s=moments_per_s, seed=11)
    days.write(STORY[:3], odd=[b'{"type":"liquidation","ts":1,"what":"<b>nobody</b> knows"}'])
    days.write(STORY[3:5], odd=[b'{"type":"order.btcusd_p","ts":1,"order":{"id":"x"}}'])
    days.discrepancy("balance BTC", "available", "9.71822014", "9.71820014")
    days.discrepancy("order 849758102002", "filled_quantity", "120", "200")
    days.discrepancy("order 849758102044", "status", None, "new")
    days.write(STORY[5:])
    return days
