"""Signing, and the course of a connection."""

import json

import pytest

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Asked, LoggedIn, RefusedCommand
from recorder.venues import venue_named
from recorder.venues.okx import sign
from recorder.venues.okx.portal import PRIVATE, TOPICS, OKXSession
from recorder.venues.rest import Credentials

KEY, SECRET, PASSPHRASE = "a-key", "22582BD0CFF14C41EDBF1AB98506286D", "a-passphrase"
NOW_MS = 1704876947000


@pytest.mark.parametrize(
    ("secret", "text", "signature"),
    [
        (
            SECRET,
            "2020-12-08T09:08:57.715ZGET/api/v5/account/balance?ccy=BTC",
            "HiZhvSfMtWJA3uUIVXV3a/bSXNPCWvYFXoGCVS8V4zY=",
        ),
        (SECRET, "1704876947GET/users/self/verify", "5/36BgGV6m/6pmdc20zdqk0mzF5ZalmzzPD2fo3wavU="),
        (
            "3DC350723E8200C236792784644E17A0",
            "2022-12-27T10:55:09.836ZGET/api/v5/asset/currencies",
            "miq5qKL+pRzZJjf0fq0qnUshMuNjvmwHWWyWv0QxsLs=",
        ),
    ],
)
def test_the_known_answers(secret: str, text: str, signature: str) -> None:
    assert sign.signature(secret, text) == signature


def test_the_headers_of_a_request_sign_what_they_say() -> None:
    headers = sign.headers(KEY, SECRET, PASSPHRASE, "/api/v5/account/balance?ccy=BTC", 1607418537715)
    assert headers["OK-ACCESS-TIMESTAMP"] == "2020-12-08T09:08:57.715Z"
    assert headers["OK-ACCESS-SIGN"] == "HiZhvSfMtWJA3uUIVXV3a/bSXNPCWvYFXoGCVS8V4zY="


def session() -> OKXSession:
    return OKXSession(TOPICS[PRIVATE], Credentials(key=KEY, secret=SECRET, passphrase=PASSPHRASE))


def test_the_login_is_recorded_without_secrets() -> None:
    (command,) = session().opening(NOW_MS)
    (sent,) = json.loads(command.sent)["args"]
    assert sent == {
        "apiKey": KEY,
        "passphrase": PASSPHRASE,
        "timestamp": "1704876947",
        "sign": "5/36BgGV6m/6pmdc20zdqk0mzF5ZalmzzPD2fo3wavU=",
    }
    (recorded,) = json.loads(command.recorded)["args"]
    assert recorded == {"apiKey": "***", "passphrase": "***", "timestamp": "1704876947", "sign": "***"}


def test_it_subscribes_one_channel_a_command_after_the_login() -> None:
    it = session()
    commands = [json.loads(command.sent) for command in it.receive(LoggedIn(), NOW_MS)]
    assert [(one["id"], one["args"]) for one in commands] == [
        ("orders", [{"channel": "orders", "instType": "ANY"}]),
        ("positions", [{"channel": "positions", "instType": "ANY", "extraParams": '{"updateInterval": "0"}'}]),
        ("account", [{"channel": "account", "extraParams": '{"updateInterval": "0"}'}]),
        ("balanceandposition", [{"channel": "balance_and_position"}]),
    ]
    for topic in it.topics:
        assert not it.settled
        it.receive(Acknowledged((topic,), topic), NOW_MS)
    assert it.settled


def test_a_refusal_costs_the_topic_that_its_command_names() -> None:
    it = session()
    it.receive(LoggedIn(), NOW_MS)
    it.receive(RefusedCommand("balanceandposition", 60018, "doesn't exist"), NOW_MS)
    assert it.refused == {"balance_and_position": "doesn't exist"}


def test_a_subscription_can_end_after_its_acknowledgement() -> None:
    it = session()
    it.receive(LoggedIn(), NOW_MS)
    it.receive(Acknowledged(("orders",), "orders"), NOW_MS)
    it.receive(RefusedCommand(None, None, "too many connections", ("orders",)), NOW_MS)
    assert it.acknowledged == set()
    assert it.refused == {"orders": "too many connections"}


@pytest.mark.parametrize("code", [60009, 60024, 50101])
def test_a_refused_login_says_what_to_check(code: int) -> None:
    it = session()
    it.receive(LoggedIn(), NOW_MS)
    with pytest.raises(Refused, match="check key, secret and passphrase"):
        it.receive(RefusedCommand(None, code, "Login failed."), NOW_MS)


@pytest.mark.parametrize("code", [60014, 60023, 63999, 64007])
@pytest.mark.parametrize("is_logged_in", [False, True])
def test_an_error_that_passes_costs_neither_the_key_nor_a_topic(code: int, is_logged_in: bool) -> None:
    """Too many requests, too many logins, a login that failed inside, an error inside: the next connection may do."""
    it = session()
    if is_logged_in:
        it.receive(LoggedIn(), NOW_MS)
    with pytest.raises(SessionOver, match="refused: the exchange is busy"):
        it.receive(RefusedCommand("orders" if is_logged_in else None, code, "try again"), NOW_MS)
    assert it.refused == {}


def test_it_pings_and_answers_pings_in_bare_words() -> None:
    it = session()
    assert it.heartbeat(NOW_MS).sent == b"ping"
    assert [command.sent for command in it.receive(Asked(), NOW_MS)] == [b"pong"]


def test_demo_trading_has_sockets_of_its_own_and_a_header_for_the_same_hosts() -> None:
    every = venue_named("okx").environments
    for region, demo in (("production", "demo"), ("eea", "eea-demo"), ("us", "us-demo")):
        assert every[demo].url == every[region].url
        assert every[demo].stream_url != every[region].stream_url
        assert every[demo].headers == {"x-simulated-trading": "1"}
        assert not every[region].headers
