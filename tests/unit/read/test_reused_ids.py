"""Ids that an exchange gives twice: status and readers say so."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from recorder.cli.commands import recorder
from recorder.read.projector import project_all
from recorder.store.schema import fills, order_updates
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.read.desk import Desk

DAY_MS = 86_400_000


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Two updates of order 1, one of order 2."""
    desk = Desk(tmp_path / "recorder.db")
    for at, order_id in enumerate((1, 2, 1)):
        desk.order(at, order_id)
    return desk


def set_created(desk: Desk, *created_ms: int | None) -> None:
    with desk.engine.begin() as connection:
        for seq, ms in enumerate(created_ms):
            connection.execute(update(order_updates).where(order_updates.c.seq == seq).values(created_ms=ms))
    with desk.engine.connect() as connection:
        for _ in project_all(connection):
            pass


@pytest.mark.parametrize("created_ms", [(5, DAY_MS, 5), (5, DAY_MS, 60_005), (None, 5, DAY_MS)])
def test_one_time_of_creation_is_one_order(desk: Desk, created_ms: tuple[int | None, ...]) -> None:
    set_created(desk, *created_ms)
    with desk.open() as record:
        assert all(one.reused_order_ids == () for one in record.status().accounts)
    ended = CliRunner().invoke(recorder, ["orders", "--database", desk.url])
    assert "Note" not in ended.output


def test_an_order_that_was_created_twice_is_noted(desk: Desk) -> None:
    set_created(desk, 5, 7, DAY_MS)
    with desk.open() as record:
        assert {one.account: one.reused_order_ids for one in record.status().accounts} == {"main": ("1",), "other": ()}
    said = "1 id of the newest orders, such as 1, had been used before"
    for command in ("status", "orders", "fills", "trips", "pnl"):
        ended = CliRunner().invoke(recorder, [command, "--database", desk.url])
        assert ended.exit_code == 0
        assert said in (ended.output if command == "status" else ended.stderr)


@pytest.mark.parametrize(("days", "noted"), [(0, ()), (1, ("2",))])
def test_an_execution_that_happened_twice_is_noted(desk: Desk, days: int, noted: tuple[str, ...]) -> None:
    key = {"account_id": ACCOUNT, "session_id": SESSION, "received_ns": NOON_NS, "is_snapshot": 0}
    same = {"trade_id": "7", "order_id": "2", "symbol": "BTCUSD_P", "side": "buy", "price": "1", "quantity": "1"}
    with desk.engine.begin() as connection:
        for item in range(2):
            times = {"seq": 1, "item": item, "executed_ms": 5 + item * days * DAY_MS}
            connection.execute(fills.insert().values(key | same | times))
        assert len(connection.execute(select(fills)).all()) == 2
    set_created(desk)
    with desk.open() as record:
        assert record.status().accounts[0].reused_order_ids == noted
