"""`recorder db upgrade` killed on a database with a record in it: the old schema or the new, never between."""

import shutil
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from recorder.store import migrate
from recorder.store.engine import open_engine
from tests.faults.conftest import Report
from tests.faults.scene import Scene
from tests.faults.strace import injecting, needs_strace
from tests.faults.table import read_table
from tests.integration.process import Folder, Process
from tests.migration.rows import schema_of

pytestmark = [pytest.mark.long, needs_strace]


def kill_an_upgrade(tmp_path: Path, report: Report, call: str, number: int) -> bool:
    """Returns whether the kill came before the end."""
    with Simulator(SimulatorOptions(rate_per_s=1_000)) as exchange:
        scene = Scene(Folder(tmp_path), exchange, report)
        with scene.running() as process:
            scene.wait_more(process, 200)
        assert scene.folder.command("db", "downgrade", migrate.known_revisions()[0]).returncode == 0
        engine = open_engine(f"sqlite:///{scene.folder.database}")
        before, old = read_table(str(engine.url)), schema_of(engine)
        reference = tmp_path / "upgraded.db"
        shutil.copy(scene.folder.database, reference)
        assert scene.folder.command("db", "upgrade", "--database", f"sqlite:///{reference}").returncode == 0
        new = schema_of(open_engine(f"sqlite:///{reference}"))
        assert old != new

        under = injecting(tmp_path / "strace.log", call, "signal=SIGKILL", str(number))
        with Process(scene.folder, "db", "upgrade", under=under) as upgrading:
            code = upgrading.wait()
        assert code in {0, -9}, upgrading.errors
        assert schema_of(engine) in (old, new)
        assert read_table(str(engine.url)) == before
        assert scene.folder.command("db", "upgrade").returncode == 0
        assert schema_of(engine) == new
        if code == 0:
            return False
        with scene.restarted() as process:
            scene.wait_more(process)
        scene.finish("migration killed")
        return True


@pytest.mark.parametrize(
    ("call", "number"), [*(("pwrite64", number) for number in range(1, 17)), *(("fdatasync", n) for n in range(1, 5))]
)
def test_a_migration_that_is_killed(tmp_path: Path, report: Report, call: str, number: int) -> None:
    came = kill_an_upgrade(tmp_path, report, call, number)
    assert came or number > 1, "the call never came: this test tests nothing"
