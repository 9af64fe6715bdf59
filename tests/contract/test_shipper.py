"""When the shipper sends, waits and complains: with a real journal, and a target of each engine."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine, insert, text

from recorder.live import shipper as shipper_module
from recorder.live.shipper import COLLECT_FRAMES, COLLECT_S, LASTING_S, REMIND_S, Shipper
from recorder.store.entries import AccountAdded, RunStarted
from recorder.store.journal import OPENING, Batch
from recorder.store.mover import Moved, Mover
from recorder.store.opening import open_run
from recorder.store.schema import seals
from tests.contract.story import Heard, Teller, Told, contents
from tests.made import ACCOUNT, NOON_NS, unguard
from tests.waiting import wait_until

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = ("test_an_error_that_needs_a_person_is_tried_slowly_and_logged_again_every_hour",)


class Waits(Event):
    """Notes how long it is waited for, and waits as long as it is told to at most."""

    def __init__(self, longest_s: float) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self._longest_s = longest_s

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        return super().wait(self._longest_s)


@pytest.fixture
def teller(tmp_path: Path, sqlite_template: Path) -> Iterator[Teller]:
    """A recorder with one session."""
    teller = Teller(tmp_path / "one.db", sqlite_template, 1)
    teller.write([Told(at, at) for at in range(1, 5)], [Heard(1, 5)])
    yield teller
    teller.engine.dispose()


@pytest.fixture
def shipper(teller: Teller, engine: Engine) -> Iterator[Shipper]:
    """Sends its journal, once it is started."""
    source, target = (one.url.render_as_string(hide_password=False) for one in (teller.engine, engine))
    shipper = Shipper(source, target, lambda: None)
    yield shipper
    if shipper.is_alive():
        shipper.give_up()
        shipper.join()
    assert shipper.failure is None


def test_batches_are_collected_before_they_are_sent(
    teller: Teller, engine: Engine, shipper: Shipper, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Moved] = []
    step = Mover.step

    def noting(mover: Mover) -> Moved | None:
        moved = step(mover)
        steps.extend([moved] if moved is not None else [])
        return moved

    monkeypatch.setattr(Mover, "step", noting)
    hurry = shipper._hurry = Waits(60.0)
    shipper.start()
    wait_until(lambda: shipper.state == "up to date")
    steps.clear()
    started = RunStarted(10**15, 0, NOON_NS + 10**12, "host", 1, "v")
    with teller.engine.begin() as connection:
        run, seal, _ = open_run(connection, teller.url, started, [])
    for number in range(OPENING + 1, OPENING + 4):
        batch = Batch(run.recorder_id, run.run_id, number, seal)
        batch.entries.append(AccountAdded(ACCOUNT + number, "fmex", f"account-{number}", NOON_NS))
        with teller.engine.begin() as connection:
            batch.write(connection, NOON_NS + 10**12)
        seal = batch.seal
        shipper.more(number)
        wait_until(lambda: hurry.waits or steps)
    assert steps == []
    assert hurry.waits == [COLLECT_S]
    shipper.more(COLLECT_FRAMES)
    wait_until(lambda: shipper.frames == COLLECT_FRAMES)
    assert [moved.batches for moved in steps] == [4], "together, at once"
    assert contents(engine) == contents(teller.engine)


def test_an_error_that_needs_a_person_is_tried_slowly_and_logged_again_every_hour(
    teller: Teller,
    engine: Engine,
    shipper: Shipper,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(shipper_module, "monotonic", lambda: now_s)
    pause = shipper._give_up = Waits(0.01)
    with teller.engine.begin() as connection:
        unguard(connection)
        held = connection.execute(text("SELECT * FROM seals WHERE batch = 2")).one()
        connection.execute(text("DELETE FROM seals WHERE batch = 2"))

    def complaints() -> int:
        return caplog.text.count("its seal is missing")

    def after_more_attempts() -> int:
        tried = len(pause.waits)
        wait_until(lambda: len(pause.waits) >= tried + 3)
        return complaints()

    shipper.start()
    assert after_more_attempts() == 1
    assert shipper.state == "refusing"
    now_s += REMIND_S - 1
    assert after_more_attempts() == 1
    now_s += 1
    assert after_more_attempts() == 2
    assert all(waited is not None and waited >= LASTING_S for waited in pause.waits)
    with teller.engine.begin() as connection:
        connection.execute(insert(seals).values(tuple(held)))
    wait_until(lambda: shipper.state == "up to date")
    assert contents(engine) == contents(teller.engine)
