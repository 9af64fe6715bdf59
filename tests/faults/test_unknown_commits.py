"""A commit whose outcome is not known, as when only the reply is lost: it is asked for, and nothing stands twice."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from recorder.simulator import Simulator
from tests.faults.conftest import Report
from tests.faults.live import Live


@contextmanager
def commits_answered_with_an_error(every: int, *, happened: bool) -> Iterator[list[int]]:
    """Each so many-th commit seems to fail; whether it happened is what nobody is told."""
    commits, failed = 0, [0]

    def answer(connection: Connection) -> None:
        nonlocal commits
        commits += 1
        if commits % every == 0:
            failed[0] += 1
            driver: Any = connection.connection.driver_connection
            if happened:
                driver.commit()
            else:
                driver.rollback()
            raise OperationalError("COMMIT", None, sqlite3.OperationalError("database is locked"))

    event.listen(Engine, "commit", answer)
    try:
        yield failed
    finally:
        event.remove(Engine, "commit", answer)


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("every", [2, 3])
def test_a_commit_whose_outcome_is_not_known(
    tmp_path: Path, exchange: Simulator, report: Report, happened: bool, every: int
) -> None:
    live = Live(tmp_path, exchange)
    with live.recording():
        live.wait_more(50)
        with commits_answered_with_an_error(every, happened=happened) as failed:
            live.wait_more(300)
            while failed[0] < 2:
                live.wait_more(1)
        exchange.drop_connections()
        live.wait_more(50)
    live.finish("outcome of a commit unknown", report)
