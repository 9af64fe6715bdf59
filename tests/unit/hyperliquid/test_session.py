"""The course of a connection."""

import json

from recorder.model import Acknowledged, Hello, RefusedCommand
from recorder.venues.hyperliquid.portal import HyperliquidSession, topics_of

ADDRESS = "0x" + "Ab" * 20
NOW_MS = 1_795_800_000_000
TOPICS = topics_of(["BTC", "xyz:TSLA", "xyz:AAPL", "@107"])


def test_it_subscribes_at_once_one_topic_a_command() -> None:
    commands = [json.loads(command.sent) for command in HyperliquidSession(TOPICS, ADDRESS).opening(NOW_MS)]
    assert {command["method"] for command in commands} == {"subscribe"}
    subscriptions = [command["subscription"] for command in commands]
    assert subscriptions[0] == {"type": "orderUpdates", "user": ADDRESS}
    assert subscriptions[-2:] == [
        {"type": "openOrders", "user": ADDRESS, "dex": ""},
        {"type": "openOrders", "user": ADDRESS, "dex": "xyz"},
    ]
    assert len(commands) == len(TOPICS)


def test_it_is_settled_once_each_topic_is_acknowledged() -> None:
    it = HyperliquidSession(TOPICS, ADDRESS)
    it.receive(Hello(None), NOW_MS)
    for topic in TOPICS:
        assert not it.settled
        it.receive(Acknowledged((topic,)), NOW_MS)
    assert it.settled
    assert it.acknowledged == set(TOPICS)


def test_a_refusal_costs_the_topics_that_it_names() -> None:
    it = HyperliquidSession(TOPICS, ADDRESS)
    it.receive(RefusedCommand(None, None, "Error parsing JSON", ("spotState",)), NOW_MS)
    assert it.refused == {"spotState": "Error parsing JSON"}
    # It was subscribed to after all.
    it.receive(Acknowledged(("spotState",)), NOW_MS)
    assert it.refused == {}


def test_a_refusal_that_names_nothing_may_be_of_any_topic_that_is_not_acknowledged() -> None:
    it = HyperliquidSession(TOPICS, ADDRESS)
    it.receive(Acknowledged(TOPICS[:3]), NOW_MS)
    it.receive(RefusedCommand(None, None, "Cannot track more than 15 total users."), NOW_MS)
    assert set(it.refused) == set(TOPICS[3:])
    assert it.settled


def test_the_ping() -> None:
    assert json.loads(HyperliquidSession(TOPICS, ADDRESS).heartbeat(NOW_MS).sent) == {"method": "ping"}
