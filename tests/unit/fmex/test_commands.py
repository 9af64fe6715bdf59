"""What a client says on the push portal."""

import json

from recorder.venues.fmex import commands
from tests.samples import FMEX


def test_topics_are_the_account_then_orders_and_positions_of_each_symbol_in_lower_case() -> None:
    assert FMEX.topics(("BTCUSD_P", "ethusd_p")) == (
        "account",
        "order.btcusd_p",
        "position.btcusd_p",
        "order.ethusd_p",
        "position.ethusd_p",
    )


def test_a_symbol_named_twice_is_asked_for_once() -> None:
    assert commands.topics_of(["btcusd_p", "BTCUSD_P"]) == ("account", "order.btcusd_p", "position.btcusd_p")


def test_subscribe_is_the_command_of_the_page() -> None:
    sent = json.loads(commands.subscribe(["account", "order.btcusd_p"], "11111"))
    assert sent == {"id": "11111", "cmd": "sub", "args": ["account", "order.btcusd_p"]}


def test_ping_carries_our_clock() -> None:
    assert json.loads(commands.ping(1580802053643, "ping-1")) == {
        "cmd": "ping",
        "args": [1580802053643],
        "id": "ping-1",
    }
