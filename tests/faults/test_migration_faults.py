"""`recorder db upgrade` killed on a database with a record in it: the old schema or the new, never between."""

import shutil
from pathlib import Path

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from recorder.store.engine import open_engine
from tests.faults.conftest import Report
from tests.faults.scene import Scene
from tests.faults.strace import injecting, needs_strace
from tests.faults.table import read_table
from tests.integration.process import Folder, Process
from tests.migration.rows import schema_of

pytestmark = [pytest.mark.long, needs_strace]


#: Gives a recorder process the migrations of a next version.
NEXT_VERSION = """
from pathlib import Path
from recorder.store import migrate

migrate.migrations_folder = lambda: Path({folder!r})
migrate.HEAD = "next"
"""


def kill_an_upgrade(tmp_path: Path, next_migrations: Path, report: Report, call: str, number: int) -> bool:
    """Returns whether the kill came before the end."""
    with Simulator(SimulatorOptions(rate_per_s=1_000)) as exchange:
        scene = Scene(Folder(tmp_path), exchange, report)
        with scene.running() as process:
            scene.wait_more(process, 200)
        engine = open_engine(f"sqlite:///{scene.folder.database}")
        before, old = read_table(str(engine.url)), schema_of(engine)
        shim = tmp_path / "shim"
        shim.mkdir()
        (shim / "sitecustomize.py").write_text(NEXT_VERSION.format(folder=str(next_migrations)), encoding="utf-8")
        scene.folder.env["PYTHONPATH"] = str(shim)
        scene.folder.anew = True
        reference = tmp_path / "upgraded.db"
        shutil.copy(scene.folder.database, reference)
        upgraded = scene.folder.command("db", "upgrade", "--database", f"sqlite:///{reference}")
        assert upgraded.returncode == 0, upgraded.stderr
        new = schema_of(open_engine(f"sqlite:///{reference}"))
        assert old != new

        under = injecting(tmp_path / "strace.log", call, "signal=SIGKILL", str(number))
        with Process(scene.folder, "db", "upgrade", "--no-backup", under=under) as upgrading:
            code = upgrading.wait()
        assert code in {0, -9}, upgrading.errors
        assert schema_of(engine) in (old, new)
        # A typed table has a column more.
        assert read_table(str(engine.url))._replace(typed={}) == before._replace(typed={})
        assert scene.folder.command("db", "upgrade").returncode == 0
        assert schema_of(engine) == new
        if code == 0:
            return False
        with scene.restarted() as process:
            scene.wait_more(process)
        scene.finish("migration killed")
        return True


@pytest.mark.parametrize(
    ("call", "number"), [*(("pwrite64", number) for number in range(1, 9)), *(("fdatasync", n) for n in range(1, 4))]
)
def test_a_migration_that_is_killed(
    tmp_path: Path, next_migrations: Path, report: Report, call: str, number: int
) -> None:
    came = kill_an_upgrade(tmp_path, next_migrations, report, call, number)
    assert came or number > 1, "the call never came: this test tests nothing"
