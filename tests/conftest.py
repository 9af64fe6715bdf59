"""What every test shares."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from recorder.store import migrate
from recorder.store.engine import open_engine
from recorder.venues.limits import DecayingLimit, RateLimit
from tests import server
from tests.alone import is_alone, pytest_runtest_protocol
from tests.depth import EXAMPLES, examples
from tests.faults.summary import pytest_terminal_summary
from tests.server import PostgresServer

__all__ = ["own_postgres", "postgres", "pytest_runtest_protocol", "pytest_terminal_summary", "sqlite_template"]

# A deadline for a single example, or for their making, measures the machine.
settings.register_profile(
    "recorder",
    deadline=None,
    max_examples=examples(EXAMPLES),
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("recorder")

# Where pytest makes its folders; the processes of a run get theirs from the first.
if (memory := server.in_memory()) is not None:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the current schema, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    engine = open_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    engine.dispose()
    return path


def _folder_of_the_run(config: pytest.Config) -> Path:
    """The folder that all processes of a test run share."""
    own: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    return own.parent if hasattr(config, "workerinput") else own


@pytest.fixture(scope="session")
def postgres(pytestconfig: pytest.Config) -> PostgresServer:
    """A PostgreSQL server that all tests share, each with a database of its own."""
    return server.shared_server(_folder_of_the_run(pytestconfig))


@pytest.fixture(scope="module")
def own_postgres(pytestconfig: pytest.Config) -> Iterator[PostgresServer]:
    """A PostgreSQL server that the tests of a module may stop and kill."""
    with PostgresServer(server.shared_installation(_folder_of_the_run(pytestconfig))) as own:
        yield own


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Stop what all processes shared, after the last of them."""
    if not hasattr(session.config, "workerinput"):
        server.end_shared(_folder_of_the_run(session.config))


@pytest.fixture
def next_migrations(tmp_path: Path) -> Path:
    """The folder of a next version's migrations, with one revision more."""
    folder = tmp_path / "next version" / "migrations"
    shutil.copytree(migrate.migrations_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    revision = (Path(__file__).parent / "migration" / "next_revision.py").read_text(encoding="utf-8")
    (folder / "versions" / "next_columns.py").write_text(revision.replace("HEAD", migrate.HEAD, 1), encoding="utf-8")
    return folder


class _Frozen:
    """Modules and collected tests, which are not scanned for garbage over and over: a fourth of the processor time."""

    def __init__(self) -> None:
        self._is_frozen = False
        self._unfreeze = gc.unfreeze

    def freeze(self) -> None:
        """Freeze everything that exists, unless it is frozen. To ask `gc` whether it is takes as long as a scan."""
        if not self._is_frozen:
            gc.collect()
            gc.freeze()
            self._is_frozen = True

    def unfreeze(self) -> None:
        """As a recording in the test's own process does at its end."""
        self._unfreeze()
        self._is_frozen = False


_frozen = _Frozen()
pytest.MonkeyPatch().setattr(gc, "unfreeze", _frozen.unfreeze)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Freeze before the first test, and after each that has ended it."""
    _frozen.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make test-all` what a module does not name among its tests on PostgreSQL, where it names any.

    Tests that run alone come last.
    """
    items.sort(key=is_alone)
    for item in items:
        chosen = getattr(getattr(item, "module", None), "ON_POSTGRESQL", None)
        names = {item.name, item.name.partition("[")[0]}
        if chosen is not None and "postgresql" in item.name and names.isdisjoint(chosen):
            item.add_marker(pytest.mark.long)


@pytest.fixture
def exceeded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long the exchange told clients to wait, each time that a limit was exceeded, milliseconds."""
    waits: list[int] = []

    def counting(spend: Callable[..., int]) -> Callable[..., int]:
        def counted(self: object, who: str, now_ms: int, weight: int = 1) -> int:
            wait_ms = spend(self, who, now_ms, weight)
            waits.extend([wait_ms] * bool(wait_ms))
            return wait_ms

        return counted

    for limit in (RateLimit, DecayingLimit):
        monkeypatch.setattr(limit, "spend", counting(limit.spend))
    return waits
