"""What a server's words mean: what may pass is waited for, the rest is said at once."""

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from recorder.errors import DatabaseBusy, DatabaseError, ServerAway
from recorder.store.engine import explain, may_pass

URL = "postgresql+psycopg://me:hunter2@db.example:5433/record"


def coded(sqlstate: str) -> psycopg.Error:
    """An error in the middle of a conversation has a code."""
    return psycopg.errors.lookup(sqlstate)("it went wrong")


@pytest.mark.parametrize(
    ("cause", "kind", "words", "passing"),
    [
        ("failed: Connection refused Is the server running", ServerAway, "does not answer", True),
        ("could not translate host name", ServerAway, "does not answer", True),
        ("consuming input failed: server closed the connection unexpectedly", ServerAway, "does not answer", True),
        ("failed: FATAL:  the database system is starting up", ServerAway, "does not answer", True),
        ("failed: FATAL:  the database system is shutting down", ServerAway, "does not answer", True),
        ("failed: FATAL:  sorry, too many clients already", DatabaseError, "too many connections", True),
        ('failed: FATAL:  password authentication failed for user "me"', DatabaseError, "set PGPASSWORD", False),
        ("failed: fe_sendauth: no password supplied", DatabaseError, "set PGPASSWORD", False),
        ('failed: FATAL:  database "record" does not exist', DatabaseError, "no such database", False),
        ('failed: FATAL:  role "me" does not exist', DatabaseError, "may not connect", False),
        ("failed: FATAL:  no pg_hba.conf entry for host", DatabaseError, "look at pg_hba.conf", False),
        (coded("42501"), DatabaseError, "lacks a right there", False),
        (coded("25006"), DatabaseError, "only reads", False),
        (coded("53100"), DatabaseError, "disk is full", True),
        (coded("57P01"), ServerAway, "does not answer", True),
        (coded("55P03"), DatabaseBusy, "held by another program", True),
        (coded("42P01"), DatabaseError, "cannot be used", False),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL"), DatabaseError, "cannot be used", False),
    ],
)
def test_what_the_server_says_becomes_a_sentence(
    cause: str | psycopg.Error, kind: type[DatabaseError], words: str, passing: bool
) -> None:
    original = cause if isinstance(cause, psycopg.Error) else psycopg.OperationalError(f"connection {cause}")
    error = OperationalError("SELECT secret", None, original)
    told = explain(URL, error)
    assert type(told) is kind
    assert words in str(told)
    assert str(told).startswith("record on db.example:5433 ")
    assert "SELECT" not in str(told)
    assert "hunter2" not in str(told)
    assert may_pass(URL, error) is passing
