"""The oracle can fail: a violation of each kind, planted into a good database, is seen and named."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from recorder.live.recording import Recording
from recorder.live.settings import Account, Limits
from recorder.live.watermark import Mark, Watermark
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.sent import Sent
from recorder.venues import venue_named
from recorder.venues.rest import Credentials
from tests.faults.oracle import Verdict, judge
from tests.faults.table import read_table

PATIENCE_S = 20.0

History = list[Sent]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, History, list[Mark]]:
    """A record with an outage of which something was missed, and a clean stop; what was sent and acknowledged."""
    path = tmp_path_factory.mktemp("good") / "recorder.db"
    marks: list[Mark] = []
    enough, again = Event(), Event()

    def told(watermark: Watermark) -> None:
        if not watermark.marks:
            return  # nothing has come yet
        marks.extend(watermark.marks.values())
        (again if len({mark.session_id for mark in marks}) > 1 else enough).set()

    with Simulator(SimulatorOptions(rate_per_s=1_000)) as exchange:
        account = Account(
            name="main",
            venue=venue_named("fmex"),
            url=exchange.url,
            credentials=Credentials(key=exchange.key, secret=exchange.secret),
            symbols=("btcusd_p",),
        )
        limits = Limits(reconnect_first_s=0.3, reconnect_last_s=0.3)
        with Recording(f"sqlite:///{path}", [account], limits, on_durable=told):
            exchange.wait_subscribed(PATIENCE_S)
            assert enough.wait(PATIENCE_S)
            exchange.drop_connections()
            assert again.wait(PATIENCE_S)
            exchange.wait_subscribed(PATIENCE_S)
        return path, exchange.history, marks


@pytest.fixture
def planted(good: tuple[Path, History, list[Mark]], tmp_path: Path) -> Iterator[Callable[..., Verdict]]:
    """Judge a copy of the good database after some SQL."""
    path, history, marks = good
    copy = Path(shutil.copy(path, tmp_path))

    def judged(*statements: str, acked: list[Mark] = marks, sent: History = history) -> Verdict:
        with closing(sqlite3.connect(copy)) as database:
            for (guard,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                database.execute(f"DROP TRIGGER {guard}")
            for statement in statements:
                assert database.execute(statement).rowcount != 0, f"changed nothing: {statement}"
            database.commit()
        return judge(sent, read_table(f"sqlite:///{copy}"), acked)

    yield judged


#: The first session, and the place in its middle.
FIRST = "(SELECT min(session_id) FROM sessions)"
MIDDLE = f"(SELECT max(seq) / 2 FROM frames WHERE session_id = {FIRST})"
LAST = f"(SELECT max(seq) FROM frames WHERE session_id = {FIRST} AND source = 'push')"
LAST_OF = f"(SELECT max(seq) FROM %s WHERE session_id = {FIRST})"
OUTAGE = "reason = 'lost'"


def test_a_good_record_is_clean_and_its_outage_lost_something(planted: Callable[..., Verdict]) -> None:
    verdict = planted()
    verdict.require_clean()
    assert verdict.lost > 50, "the outage hid nothing: this test tests nothing"
    assert verdict.sent > verdict.lost
    assert (verdict.lost_outside_gaps, verdict.duplicated) == (0, 0)


def test_a_gap_may_begin_at_a_frame_that_only_repeats_a_state(planted: Callable[..., Verdict]) -> None:
    verdict = planted(f"UPDATE frames SET source = 'repeated' WHERE session_id = {FIRST} AND seq = {LAST}")
    assert verdict.findings and not [one for one in verdict.findings if "not at the last frame received" in one]


#: What is planted → how, and what the oracle must say of it.
PLANTED = {
    "a frame lost in the middle": (
        [f"DELETE FROM frames WHERE session_id = {FIRST} AND seq = {MIDDLE}"],
        ["lost outside of every gap", "holes in its numbers", "acknowledged as durable and is not there"],
    ),
    "frames lost at the end of a session": (
        [f"DELETE FROM frames WHERE session_id = {FIRST} AND seq > {MIDDLE}"],
        ["acknowledged as durable and is not there", "not the time of"],
    ),
    "a gap forgotten": (
        [f"DELETE FROM gaps WHERE {OUTAGE}"],
        ["lost outside of every gap", "0 gaps begin with session", "made while nobody was connected"],
    ),
    "a gap that begins too late": (
        [f"UPDATE gaps SET begins_ns = ends_ns, begin_session_id = end_session_id, begin_seq = end_seq WHERE {OUTAGE}"],
        ["lost outside of every gap", "not at the last frame received"],
    ),
    "a gap that begins where the loss was noticed": (
        [f"UPDATE gaps SET begins_ns = begins_ns + 2000000000 WHERE {OUTAGE}"],
        ["a gap (lost) has a side at"],
    ),
    "a gap that begins too early": (
        [
            f"UPDATE gaps SET begin_seq = {MIDDLE}, begins_ns = (SELECT received_ns FROM frames "
            f"WHERE session_id = {FIRST} AND seq = {MIDDLE}) WHERE {OUTAGE}"
        ],
        ["not at the last frame received"],
    ),
    "a gap that ends before coverage": (
        [f"UPDATE gaps SET ends_ns = begins_ns, end_session_id = begin_session_id, end_seq = begin_seq WHERE {OUTAGE}"],
        ["lost outside of every gap"],
    ),
    "a gap of one topic in place of all": (
        [f"UPDATE gaps SET topic = 'account' WHERE {OUTAGE}"],
        ["lost outside of every gap", "0 gaps begin with session"],
    ),
    "a gap of a session too many": (
        [
            "INSERT INTO gaps SELECT account_id, recorder_id, gap_id + 100, stream, topic, begins_ns, "
            "begin_session_id, begin_seq, ends_ns, end_session_id, end_seq, reason, detail, state, reconciliation_id, "
            f"resolution FROM gaps WHERE {OUTAGE}"
        ],
        ["2 gaps begin with session"],
    ),
    "no gap that is going on": (
        [
            "UPDATE gaps SET ends_ns = begins_ns, end_session_id = begin_session_id, end_seq = begin_seq "
            "WHERE ends_ns IS NULL"
        ],
        ["0 gaps over all topics are going on", "lost outside of every gap"],
    ),
    "a session that was never ended": (
        [f"UPDATE sessions SET ended_ns = NULL WHERE session_id = {FIRST}"],
        ["was never ended"],
    ),
    "a frame that stands twice": (
        [
            "INSERT INTO frames SELECT account_id, session_id, seq + 1, received_ns, source, topic, status, error, "
            f"payload FROM frames WHERE session_id = {FIRST} AND seq = {LAST}"
        ],
        ["stands twice"],
    ),
    "a session that stands twice": (
        [
            "INSERT INTO sessions SELECT account_id, session_id + 1, run_id, stream, url, topics, opened_ns, NULL, "
            f"ended_ns, end_reason, end_detail FROM sessions WHERE session_id = {FIRST}",
            "INSERT INTO frames SELECT account_id, session_id + 1, seq, received_ns, source, topic, status, error, "
            f"payload FROM frames WHERE session_id = {FIRST}",
        ],
        ["it stands twice"],
    ),
    "two frames out of order": (
        [
            f"UPDATE frames SET seq = -seq WHERE session_id = {FIRST} AND seq IN ({MIDDLE}, {MIDDLE} + 1)",
            f"UPDATE frames SET seq = {MIDDLE} WHERE session_id = {FIRST} AND seq = -{MIDDLE} - 1",
            f"UPDATE frames SET seq = {MIDDLE} + 1 WHERE session_id = {FIRST} AND seq = -{MIDDLE}",
        ],
        ["is out of order"],
    ),
    "a frame that was changed": (
        [f"UPDATE frames SET payload = CAST(payload || x'20' AS BLOB) WHERE session_id = {FIRST} AND seq = {MIDDLE}"],
        ["was never sent there", "lost outside of every gap"],
    ),
    "a frame that was made up": (
        [
            f"INSERT INTO frames SELECT account_id, session_id, seq + 1, received_ns, source, topic, status, error, "
            f"x'7b7d' FROM frames WHERE session_id = {FIRST} AND seq = {LAST}"
        ],
        ["was never sent there"],
    ),
    "a frame stamped before it was sent": (
        [f"UPDATE frames SET received_ns = received_ns - 1000000000 WHERE session_id = {FIRST} AND seq = {MIDDLE}"],
        ["is stamped before it was sent"],
    ),
    "a digit in a typed table": (
        [f"UPDATE order_updates SET fee = fee || '1' WHERE session_id = {FIRST} AND seq = {LAST_OF % 'order_updates'}"],
        ["rows of order_updates are not what the frames say"],
    ),
    "a typed row missing": (
        [f"DELETE FROM account_updates WHERE session_id = {FIRST} AND seq = {LAST_OF % 'account_updates'}"],
        ["rows of account_updates are not what the frames say"],
    ),
    "a typed row that no frame says": (
        ["INSERT INTO heartbeats SELECT account_id, session_id, seq, 7, received_ns, 1, 0, 1 FROM frames LIMIT 1"],
        ["rows of heartbeats are not what the frames say"],
    ),
    "a frame marked as what it is not": (
        [f"UPDATE frames SET status = 'control' WHERE session_id = {FIRST} AND seq = {LAST}"],
        ["is not marked as what it is"],
    ),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_violation_is_seen(planted: Callable[..., Verdict], kind: str) -> None:
    statements, expected = PLANTED[kind]
    findings = planted(*statements).findings
    for words in expected:
        assert any(words in finding for finding in findings), findings


def test_an_acknowledgement_ahead_of_the_table_is_seen(
    planted: Callable[..., Verdict], good: tuple[Path, History, list[Mark]]
) -> None:
    ahead = good[2][-1]._replace(seq=10**6)
    assert any("acknowledged as durable" in finding for finding in planted(acked=[ahead]).findings)


def test_the_counts_of_the_matrix_are_counted(planted: Callable[..., Verdict]) -> None:
    verdict = planted(f"DELETE FROM gaps WHERE {OUTAGE}")
    assert 50 < verdict.lost_outside_gaps <= verdict.lost
    verdict = planted(*PLANTED["a frame that stands twice"][0])
    assert verdict.duplicated == 1
