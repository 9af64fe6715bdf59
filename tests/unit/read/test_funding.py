"""Funding: the payments of a period are read without the other transactions of a record."""

from pathlib import Path

from sqlalchemy import text

from recorder.read.payments import payments_between
from recorder.store.engine import open_engine

DAY_MS = 86_400_000


def test_payments_are_found_by_their_type_and_time(sqlite_template: Path) -> None:
    engine = open_engine(f"sqlite:///{sqlite_template}", read_only=True)
    query = payments_between(1, 0, DAY_MS, None).compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        plan = [row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
    engine.dispose()
    of_rows = [step for step in plan if step.startswith(("SEARCH", "SCAN")) and step.split()[1] in {"t", "l"}]
    assert of_rows
    assert all("ix_transactions_type (account_id=? AND type=?" in step for step in of_rows if " t " in step)
    assert all("ix_transactions_ledger (account_id=?" in step for step in of_rows if " l " in step)
