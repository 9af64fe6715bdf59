"""PostgreSQL through psycopg, an optional extra: connecting, explaining errors, rights and statistics."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, text

from recorder.errors import ConfigurationError, DatabaseBusy, DatabaseError, ServerAway
from recorder.model import host_port

DRIVER = "postgresql+psycopg"
EXAMPLE = f"write for example {DRIVER}://user@host/recorder, or sqlite:///recorder.db for a file"
#: How long to wait for a connection, whole seconds.
CONNECT_S = 10
#: A dead connection is noticed after about this long, seconds (tcp(7), `TCP_USER_TIMEOUT`).
SILENT_S = 30
#: A partitioned table gets statistics from this many rows on, and again whenever it has grown by this factor.
ANALYZE_ROWS_MIN = 1_000
ANALYZE_GROWTH = 1.2
#: Key of the advisory lock under which the schema changes: "RCDR".
SCHEMA_LOCK = 0x52434452

#: SQLSTATE → what to do (PostgreSQL documentation, appendix A).
_WORDS = {
    "28P01": "the password is wrong: set PGPASSWORD, or write a line into ~/.pgpass",
    "28000": "the user may not connect: look at pg_hba.conf",
    "3D000": "there is no such database: make it with createdb",
    "42501": "this user lacks a right there: grant it, or name another user",
    "25006": "the server only reads (a standby?): name the one that writes",
    "53100": "its disk is full: make room there",
    "53300": "it has too many connections: close some",
}
#: A failed connection has no SQLSTATE: pattern of the server's English message → SQLSTATE.
_CONNECTING = {
    "password authentication failed": "28P01",
    "no password supplied": "28P01",
    "no pg_hba.conf entry": "28000",
    r'role ".*" does not exist': "28000",
    r'role ".*" is not permitted': "28000",
    r'database ".*" does not exist': "3D000",
    "permission denied for database": "42501",
    "the database system is": "57P03",  # starting up, shutting down, in recovery mode
    "too many|connection slots": "53300",
}
#: Waiting does not solve these.
_LASTING = {"28P01", "28000", "3D000", "42501", "25006"}


def check_url(url: URL) -> None:
    """Refuse an address that cannot be used.

    Raises:
        ConfigurationError: it says what to write or to install.
    """
    if url.drivername != DRIVER:
        raise ConfigurationError(
            f"The address of a PostgreSQL database begins with postgresql:// or {DRIVER}://; {EXAMPLE}."
        )
    if not url.database:
        raise ConfigurationError(f"The address lacks the name of the database; {EXAMPLE}.")
    if find_spec("psycopg") is None:
        raise ConfigurationError("PostgreSQL needs a driver; type: pip install 'exchange-recorder[postgresql]'")


def place(url: URL) -> str:
    """The database for people, without the user's name."""
    return f"{url.database} on {host_port(url.host or 'the local server', url.port)}"


def open_engine(url: URL, *, read_only: bool) -> Engine:
    """Return an engine. libpq takes password and TLS from the address, `PG...` variables or `~/.pgpass`."""
    engine = create_engine(
        url,
        poolclass=NullPool,
        # A reader sees one state of the database in all its queries.
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        connect_args={
            "connect_timeout": CONNECT_S,
            "keepalives_idle": SILENT_S // 3,
            "keepalives_interval": SILENT_S // 3,
            "keepalives_count": 2,
            "tcp_user_timeout": SILENT_S * 1000,
            "application_name": "recorder",
        },
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.read_only = read_only
        with connection.cursor() as cursor:
            # What the server reports as committed is on its disk, whatever its default.
            cursor.execute("SET synchronous_commit TO on")
        connection.commit()

    return engine


@contextmanager
def schema_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction in which the schema changes completely or not at all, one program at a time."""
    with engine.begin() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
        yield connection


def size_bytes(connection: Connection, _url: URL) -> int:
    """The size of the database on disk."""
    return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar() or 0)


def _state(error: Any) -> str:
    """The SQLSTATE of a driver's error or of a failed connection; empty if it has none."""
    told = getattr(error, "sqlstate", None)
    if told:
        return str(told)
    if type(error).__name__ not in {"OperationalError", "InterfaceError", "ConnectionTimeout"}:
        return ""  # the driver's own error: a value that it cannot send, a bug
    text = str(error)
    # Without a known message of the server's, the connection failed.
    return next((state for words, state in _CONNECTING.items() if re.search(words, text)), "08001")


def explain(url: URL, error: Any) -> DatabaseError:
    """Return an error that tells the user what to do. The server's message is shown; it never contains a password."""
    state, text = _state(error), " ".join(str(error).split())
    if state in _WORDS:
        return DatabaseError(f"{place(url)} cannot be used, {_WORDS[state]} ({text}).")
    if state[:2] in {"08", "57"}:
        return ServerAway(f"{place(url)} does not answer: {text}; look whether the server runs and can be reached.")
    if state[:2] in {"40", "55"}:
        return DatabaseBusy(f"{place(url)} is held by another program: {text}; try again.")
    return DatabaseError(f"{place(url)} cannot be used: {text}.")


def may_pass(error: Any) -> bool:
    """Whether waiting may help: a server that is unreachable, restarts, or is full."""
    state = _state(error)
    return state not in _LASTING and state[:2] in {"08", "40", "53", "55", "57", "58"}


def user(connection: Connection) -> str:
    """The user's name, quoted for SQL."""
    return str(connection.exec_driver_sql("SELECT quote_ident(current_user)").scalar())


def missing_rights(connection: Connection, needed: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the rights that this user lacks, each with its tables.

    Args:
        connection: to the database.
        needed: right, such as `DELETE` → the tables that need it.
    """
    asked = text("SELECT name FROM unnest(CAST(:names AS text[])) name WHERE NOT has_table_privilege(name, :right)")
    lacking = {
        right: list(connection.scalars(asked, {"names": list(names), "right": right}))
        for right, names in needed.items()
    }
    return {right: names for right, names in lacking.items() if names}


#: The rows of a partitioned table, and the planner's estimate of them (-1 before the first ANALYZE).
_ROWS = text("""SELECT parent.reltuples, coalesce(sum(live.n_live_tup), 0) AS live,
  pg_has_role(parent.relowner, 'USAGE') AS owned, current_setting('server_version_num')::int AS version
FROM pg_class parent LEFT JOIN pg_inherits i ON i.inhparent = parent.oid
  LEFT JOIN pg_stat_all_tables live ON live.relid = i.inhrelid
WHERE parent.oid = to_regclass(:name) GROUP BY parent.oid""")


def analyze(connection: Connection, names: Iterable[str]) -> list[str]:
    """Update the planner's statistics of partitioned tables that have grown by a fifth since the last time.

    PostgreSQL does this by itself for ordinary tables, but never for partitioned ones.

    Args:
        connection: to the database, outside a transaction.
        names: the tables.

    Returns:
        The tables that need it, but that this user may not analyze.
    """
    refused = []
    for name in names:
        with connection.begin():
            row = connection.execute(_ROWS, {"name": name}).one()
            if row.live < ANALYZE_ROWS_MIN or row.live < max(row.reltuples, 0) * ANALYZE_GROWTH:
                continue
            maintains = "SELECT has_table_privilege(:name, 'MAINTAIN')"  # since PostgreSQL 17
            allowed = row.owned or (row.version >= 170_000 and connection.scalar(text(maintains), {"name": name}))
            if allowed:
                connection.exec_driver_sql(f"ANALYZE {name}")
            else:
                refused.append(name)
    return refused
