"""The course of a connection, against an exchange that this file plays by hand."""

import json
from collections.abc import Iterable

import pytest

from recorder.model import Acknowledged, Hello, RefusedCommand
from recorder.venues.base import Command
from recorder.venues.fmex.portal import INVALID_TOPIC, FMexSession, ping, subscribe, topics_of
from tests.samples import FMEX, sample

HELLO = Hello(1523693784042)
TOPICS = topics_of(["btcusd_p"])
NOW_MS = 1580802053643


def asked(commands: Iterable[Command]) -> list[list[str]]:
    """The topics of each `sub` command."""
    read = [json.loads(command.sent) for command in commands]
    assert all(command["cmd"] == "sub" for command in read)
    return [command["args"] for command in read]


def ids(commands: Iterable[Command]) -> list[str]:
    return [json.loads(command.sent)["id"] for command in commands]


def test_nothing_is_asked_for_before_the_hello() -> None:
    session = FMexSession(TOPICS)
    assert session.receive(Acknowledged(()), NOW_MS) == []
    assert not session.settled
    assert asked(session.receive(HELLO, NOW_MS)) == [list(TOPICS)]


def test_the_frames_of_the_page_drive_it() -> None:
    session = FMexSession(("account", "order.btcusd_p"))
    for name, sent in (("hello", 1), ("topics", 0)):
        control = FMEX.decode(sample(name)).control
        assert control is not None
        assert len(session.receive(control, NOW_MS)) == sent
    assert session.settled
    assert session.acknowledged == {"account", "order.btcusd_p"}


@pytest.mark.parametrize("symbols", [1, 9, 10, 100])
def test_many_symbols_are_asked_for_in_commands_of_twenty_topics_at_most(symbols: int) -> None:
    topics = topics_of(f"s{number}" for number in range(symbols))
    commands = FMexSession(topics).receive(HELLO, NOW_MS)
    assert [topic for command in asked(commands) for topic in command] == list(topics)
    assert all(len(command) == 20 for command in asked(commands)[:-1])
    assert len(asked(commands)[-1]) <= 20
    assert len(set(ids(commands))) == len(commands)


def test_acknowledgements_add_up_until_all_topics_are_there() -> None:
    session = FMexSession(TOPICS)
    session.receive(HELLO, NOW_MS)
    session.receive(Acknowledged(("account",)), NOW_MS)
    assert not session.settled
    session.receive(Acknowledged(("order.btcusd_p", "somebody.elses")), NOW_MS)
    assert not session.settled
    session.receive(Acknowledged(("position.btcusd_p", "account")), NOW_MS)
    assert session.settled
    assert session.acknowledged == set(TOPICS)


def test_a_second_hello_asks_only_for_what_is_missing() -> None:
    session = FMexSession(TOPICS)
    session.receive(HELLO, NOW_MS)
    session.receive(Acknowledged(("account",)), NOW_MS)
    assert asked(session.receive(HELLO, NOW_MS)) == [["order.btcusd_p", "position.btcusd_p"]]
    session.receive(Acknowledged(TOPICS), NOW_MS)
    assert session.receive(HELLO, NOW_MS) == []


@pytest.mark.parametrize("message", ["invalid sub topic, order.btcusd_p", "order.btcusd_p,account2 are invalid"])
def test_a_refusal_that_names_a_topic_costs_that_topic_and_the_others_are_asked_for_again(message: str) -> None:
    session = FMexSession(TOPICS)
    (command,) = ids(session.receive(HELLO, NOW_MS))
    again = session.receive(RefusedCommand(command, INVALID_TOPIC, message), NOW_MS)
    assert session.refused == {"order.btcusd_p": f"41002 {message}"}
    assert asked(again) == [["account", "position.btcusd_p"]]
    session.receive(Acknowledged(("account", "position.btcusd_p")), NOW_MS)
    assert session.settled


def test_a_refusal_that_names_part_of_a_topic_does_not_name_it() -> None:
    session = FMexSession(("order.btcusd", "order.btcusd_p"))
    (command,) = ids(session.receive(HELLO, NOW_MS))
    session.receive(RefusedCommand(command, INVALID_TOPIC, "invalid sub topic, order.btcusd_p"), NOW_MS)
    assert set(session.refused) == {"order.btcusd_p"}


def test_a_refusal_that_names_nothing_has_each_topic_asked_for_on_its_own() -> None:
    session = FMexSession(TOPICS)
    (command,) = ids(session.receive(HELLO, NOW_MS))
    again = session.receive(RefusedCommand(command, INVALID_TOPIC, "no"), NOW_MS)
    assert session.refused == {}
    assert asked(again) == [[topic] for topic in TOPICS]
    assert session.receive(RefusedCommand(ids(again)[1], INVALID_TOPIC, "no"), NOW_MS) == []
    assert session.refused == {"order.btcusd_p": "41002 no"}
    session.receive(Acknowledged(("account", "position.btcusd_p")), NOW_MS)
    assert session.settled


def test_a_refusal_of_one_command_leaves_the_other_command_alone() -> None:
    session = FMexSession(topics_of(f"s{number}" for number in range(12)))
    _, second = session.receive(HELLO, NOW_MS)
    again = session.receive(RefusedCommand(ids([second])[0], INVALID_TOPIC, "no"), NOW_MS)
    assert asked(again) == [[topic] for topic in asked([second])[0]]


def test_what_was_acknowledged_meanwhile_is_neither_refused_nor_asked_for_again() -> None:
    session = FMexSession(TOPICS)
    (command,) = ids(session.receive(HELLO, NOW_MS))
    session.receive(Acknowledged(("account",)), NOW_MS)
    again = session.receive(RefusedCommand(command, INVALID_TOPIC, "account order.btcusd_p"), NOW_MS)
    assert set(session.refused) == {"order.btcusd_p"}
    assert asked(again) == [["position.btcusd_p"]]


def test_a_topic_acknowledged_after_all_is_not_refused_any_more() -> None:
    session = FMexSession(("account",))
    (command,) = ids(session.receive(HELLO, NOW_MS))
    session.receive(RefusedCommand(command, INVALID_TOPIC, "no"), NOW_MS)
    session.receive(Acknowledged(("account",)), NOW_MS)
    assert session.refused == {}
    assert session.settled


@pytest.mark.parametrize("command_id", [None, "", "unheard-of"])
@pytest.mark.parametrize("message", ["no", "invalid sub topic, {topic}"])
def test_an_exchange_that_refuses_everything_without_an_id_is_not_hammered(
    command_id: str | None, message: str
) -> None:
    topics = topics_of(f"s{number}" for number in range(30))
    session = FMexSession(topics)
    unanswered = session.receive(HELLO, NOW_MS)
    commands = 0
    while unanswered:
        commands += 1
        assert commands <= len(topics) + 10
        command = unanswered.pop(0)
        refusal = RefusedCommand(command_id, INVALID_TOPIC, message.format(topic=asked([command])[0][0]))
        unanswered += session.receive(refusal, NOW_MS)
    assert session.settled
    assert set(session.refused) == set(topics)


def test_a_refused_ping_refuses_no_topic() -> None:
    session = FMexSession(("account",))
    session.receive(HELLO, NOW_MS)
    ping = json.loads(session.heartbeat(1580802053643).sent)
    assert ping["args"] == [1580802053643]
    assert session.receive(RefusedCommand(ping["id"], 42900, "too many pings"), NOW_MS) == []
    assert session.refused == {}
    assert not session.settled


def test_topics_are_the_account_then_orders_and_positions_of_each_symbol_in_lower_case() -> None:
    assert topics_of(("BTCUSD_P", "ethusd_p")) == (
        "account",
        "order.btcusd_p",
        "position.btcusd_p",
        "order.ethusd_p",
        "position.ethusd_p",
    )


def test_a_symbol_named_twice_is_asked_for_once() -> None:
    assert topics_of(["btcusd_p", "BTCUSD_P"]) == ("account", "order.btcusd_p", "position.btcusd_p")


def test_subscribe_is_the_command_of_the_page() -> None:
    sent = json.loads(subscribe(["account", "order.btcusd_p"], "11111"))
    assert sent == {"id": "11111", "cmd": "sub", "args": ["account", "order.btcusd_p"]}


def test_ping_carries_our_clock() -> None:
    assert json.loads(ping(1580802053643, "ping-1")) == {
        "cmd": "ping",
        "args": [1580802053643],
        "id": "ping-1",
    }
