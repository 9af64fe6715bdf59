"""A record of pushes that do not repeat when an order was created."""

from itertools import islice
from pathlib import Path

import pytest

import recorder
from recorder.live.channel import Recorded
from recorder.model import DECODED, FINAL_STATUSES, PUSH, Frame
from recorder.read.queries import Closed
from recorder.read.records import Filter
from recorder.simulator.exchange import Exchange
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.binance.frames import read
from tests.unit.read.desk import Desk

MAIN = Filter(account="main")


@pytest.mark.parametrize("symbols", [("BTCUSDT", "ETHUSDT"), ("BTCUSD_PERP", "ETHUSD_PERP")])
def test_every_order_that_has_ended_is_listed_in_pages(tmp_path: Path, symbols: tuple[str, ...]) -> None:
    desk = Desk(tmp_path / "recorder.db")
    with desk.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE accounts SET venue = 'binance'")
    told = []
    for seq, (topic, payload) in enumerate(islice(Exchange(3, venue="binance", symbols=symbols), 400)):
        decoded = read(payload)
        assert (decoded.topic, decoded.status) == (topic, DECODED)
        assert not any(getattr(update, "extra", None) for update in decoded.updates)
        state = decoded.topic, decoded.status, decoded.error
        told.append(Recorded(Frame(ACCOUNT, SESSION, seq, NOON_NS + seq, PUSH, *state, payload), decoded.rows))
    desk.write(*told)
    with recorder.open(desk.url) as record:
        ended = {one.order_id for one in record.orders(MAIN) if one.status in FINAL_STATUSES}
        every = [one.order_id for one in record.closed_orders(Closed(0, 2**62), MAIN)]
        assert sorted(every) == sorted(ended)
        assert len(every) > 30
        assert [one.order_id for one in record.closed_orders(Closed(0, 2**62, every[9]), MAIN)] == every[10:]
