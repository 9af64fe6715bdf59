"""A client's conversation with the push portal, from the exchange's side."""

import json
from collections.abc import Collection
from typing import Any

import pytest

from recorder.venues.fmex.portal import INVALID_TOPIC, topics_of
from recorder.venues.fmex.stand_in.conversation import INVALID_COMMAND, TOO_MANY_TOPICS, FMexConversation
from recorder.venues.stand_in import Backend, Close, PortalAccess

TOPICS = topics_of(["btcusd_p", "ethusd_p"])


def session(topics: Collection[str] = TOPICS) -> FMexConversation:
    backend = Backend(secret_of=lambda _key: None, clock_ms=lambda: 0, has_topic=lambda _key, topic: topic in topics)
    return FMexConversation(PortalAccess("main", {}), backend, 100.0)


def say(to: FMexConversation, command: object, now_ms: int = 0, now_s: float = 100.0) -> Any:
    return answered(to, json.dumps(command).encode(), now_ms, now_s)


def answered(to: FMexConversation, message: bytes, now_ms: int = 0, now_s: float = 100.0) -> Any:
    (answer,) = to.receive(message, now_ms, now_s)
    assert isinstance(answer, bytes)
    return json.loads(answer)


def test_hello() -> None:
    assert session().open(1523693784042, 100.0) == [b'{"type":"hello","ts":1523693784042}']


def test_ping_tells_the_gap_and_keeps_the_line() -> None:
    one = session()
    answer = say(one, {"cmd": "ping", "args": [1_000], "id": "p"}, now_ms=1_250, now_s=110.0)
    assert answer == {"id": "p", "type": "ping", "ts": 1_250, "gap": 250}
    assert one.wake_s == 140.0
    assert one.wake(0, 140.0) == [Close(1008, "no ping")]


def test_a_subscription_does_not_keep_the_line() -> None:
    one = session()
    say(one, {"cmd": "sub", "args": ["account"]}, now_s=120.0)
    assert one.wake_s == 130.0


def test_sub_and_unsub() -> None:
    one = session()
    topics = ["account", "order.btcusd_p", "position.ethusd_p"]
    assert say(one, {"cmd": "sub", "args": topics, "id": "1"}) == {"id": "1", "type": "topics", "topics": topics}
    say(one, {"cmd": "unsub", "args": ["order.btcusd_p"]})
    assert one.topics_of("main") == {"account", "position.ethusd_p"}


def test_topics_in_upper_case_are_taken() -> None:
    one = session()
    assert say(one, {"cmd": "sub", "args": ["order.BTCUSD_P"]})["topics"] == ["order.BTCUSD_P"]
    assert one.topics_of("main") == {"order.btcusd_p"}
    say(one, {"cmd": "unsub", "args": ["order.BTCUSD_P"]})
    assert one.topics_of("main") == set()


@pytest.mark.parametrize("topic", ["order.xrpusd_p", "ticker.btcusd_p", "", 7, None, ["account"]])
def test_a_wrong_topic_refuses_the_whole_command(topic: object) -> None:
    one = session()
    answer = say(one, {"cmd": "sub", "args": ["account", topic], "id": "1"})
    assert (answer["id"], answer["status"], answer["msg"]) == ("1", INVALID_TOPIC, f"invalid sub topic, {topic}")
    assert one.topics_of("main") == set()


def test_topics_can_be_refused_for_a_while() -> None:
    topics = {"order.btcusd_p"}
    one = session(topics)
    assert say(one, {"cmd": "sub", "args": ["account"]})["status"] == INVALID_TOPIC
    topics.add("account")
    assert say(one, {"cmd": "sub", "args": ["account"]})["type"] == "topics"


def test_at_most_twenty_topics_a_command() -> None:
    one = session()
    assert say(one, {"cmd": "sub", "args": ["account"] * 21})["status"] == TOO_MANY_TOPICS
    assert say(one, {"cmd": "sub", "args": ["account"] * 20})["type"] == "topics"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nonsense",
        "[" * 100_000,
        b"\xff\xfe\xff",
        "[]",
        "{}",
        '{"cmd":"buy"}',
        '{"cmd":"sub"}',
        '{"cmd":"sub","args":"account"}',
        '{"cmd":"ping"}',
        '{"cmd":"ping","args":[1.5]}',
        '{"cmd":"ping","args":[true]}',
        '{"cmd":"ping","args":[-' + "9" * 4300 + "]}",
        '{"cmd":"ping","args":[1' + "0" * 5000 + "]}",
        '{"cmd":"buy","id":' + "[" * 500 + "]" * 500 + "}",
    ],
)
def test_nonsense_is_answered(message: str | bytes) -> None:
    sent = message.encode() if isinstance(message, str) else message
    assert answered(session(), sent)["status"] == INVALID_COMMAND
