"""What of a snapshot contradicts the pushes, depending on which topics are subscribed to."""

import json

import pytest

from recorder.model import thing_of
from recorder.venues import venue_named
from recorder.venues.comparable import Seen, contradictions
from recorder.venues.reading import read_answer, read_frame
from recorder.venues.rest import Answer

VENUE = venue_named("hyperliquid")
TARGET = 'POST /info {"type":"frontendOpenOrders","user":"0x5e11aa00000000000000000000000000000000a1"}'
ORDER = {"coin": "ETH", "side": "A", "limitPx": "2900.0", "sz": "0.35", "oid": 577, "timestamp": 1, "origSz": "0.35"}
LISTED = {**ORDER, "orderType": "Limit", "tif": "Gtc", "isTrigger": False, "triggerPx": "0.0", "reduceOnly": False}
TRIGGER = {**LISTED, "orderType": "Stop Market", "tif": None, "isTrigger": True, "triggerPx": "3000.0"}
PARTLY_FILLED = {**LISTED, "sz": "0.15"}


def differing(status: str, *listed: object, has_open_orders: bool = False) -> list[str]:
    """The fields in which a list of open orders contradicts an order that `orderUpdates` said to have this status."""
    update = {"channel": "orderUpdates", "data": [{"order": ORDER, "status": status, "statusTimestamp": 1}]}
    (pushed,) = read_frame(VENUE, json.dumps(update).encode()).updates
    answer = read_answer(VENUE, TARGET, json.dumps(listed).encode())
    topics = ["orderUpdates", *["openOrders"] * has_open_orders]
    told = [Answer(0, TARGET, answer.updates)]
    passed = {thing_of(pushed): [Seen(1, pushed)]}  # type: ignore[arg-type]
    return [one.field for one in contradictions(VENUE.comparable, told, topics, passed)]


@pytest.mark.parametrize("listed", [LISTED, TRIGGER, PARTLY_FILLED])
def test_order_updates_do_not_say_that_an_order_waits_nor_that_it_is_partly_filled(listed: object) -> None:
    assert differing("open", listed) == []


def test_an_open_order_is_not_one_that_has_ended() -> None:
    assert differing("open") == ["status"]
    for ended in ("filled", "canceled"):
        for listed in (LISTED, TRIGGER, PARTLY_FILLED):
            assert differing(ended, listed) == ["status"]
        assert differing(ended) == []


def test_what_order_updates_say_is_compared() -> None:
    assert differing("open", {**LISTED, "limitPx": "2900.1", "origSz": "0.36"}) == ["price", "quantity"]


def test_what_was_filled_is_compared_with_the_lists_that_are_pushed() -> None:
    assert differing("open", PARTLY_FILLED, has_open_orders=True) == ["filled_quantity"]
    assert differing("open", LISTED, TRIGGER, has_open_orders=True) == []
