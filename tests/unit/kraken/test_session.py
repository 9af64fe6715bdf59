"""Signing, and the course of a connection."""

import json
import threading
from urllib.parse import parse_qs

import pytest

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Notice, RefusedCommand, SequenceNumber
from recorder.venues.kraken import answers, sign
from recorder.venues.kraken.portal import KrakenSession
from recorder.venues.kraken.questions import private
from recorder.venues.rest import Credentials, Token

SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="
NONCE = "1616492376594"
TOKEN = "1Dwc4lzSwNWOAwkMdqhssNNFhs1ed606d1WcF3XfEMw"
NOW_MS = int(NONCE)


@pytest.mark.parametrize(
    ("path", "body", "signature"),
    [
        (
            "/0/private/AddOrder",
            f"nonce={NONCE}&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
            "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==",
        ),
        (
            "/0/private/GetWebSocketsToken",
            f"nonce={NONCE}",
            "+mRDmY9Ks0Moc1zjv/BjfvYa98buO0x1yHChZR5onlfAzAUbfIYlLggUZzdQ0RsmXm4Sh+Q8iAIZdo2wSeHeiA==",
        ),
    ],
)
def test_the_known_answers(path: str, body: str, signature: str) -> None:
    assert sign.signature(SECRET, path, NONCE, body.encode()) == signature


def test_a_request_signs_what_it_says() -> None:
    request = private(answers.TOKEN)("https://x", Credentials(key="a-key", secret=SECRET), NOW_MS)
    assert (request.method, request.url, request.body) == ("POST", f"https://x{answers.TOKEN}", b"nonce=1616492376594")
    assert request.headers["API-Key"] == "a-key"
    assert request.headers["API-Sign"].startswith("+mRDmY9Ks0Moc1zj")


@pytest.mark.parametrize("secret", ["no base64", "x", "", "ÄÖ"])
def test_a_secret_that_is_none_is_for_the_exchange_to_refuse(secret: str) -> None:
    assert sign.signature(secret, "/0/private/Balance", "1", b"nonce=1")


def test_nonces_rise_whatever_the_clock_says_and_whoever_asks() -> None:
    credentials, found = Credentials(key="a-key", secret=SECRET), list[int]()

    def ask() -> None:
        for _ in range(200):
            body = private(answers.BALANCES)("https://x", credentials, NOW_MS).body
            found.append(int(parse_qs(body.decode())["nonce"][0]))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(found) == list(range(NOW_MS, NOW_MS + 800))
    assert credentials.nonce(NOW_MS - 5) == NOW_MS + 800
    assert credentials.nonce(NOW_MS + 5_000) == NOW_MS + 5_000


def session() -> KrakenSession:
    return KrakenSession(Token(TOKEN, 900))


def test_it_subscribes_with_the_token_which_is_not_recorded() -> None:
    commands = session().opening(NOW_MS)
    assert [json.loads(command.sent) for command in commands] == [
        {
            "method": "subscribe",
            "params": {
                "channel": "executions",
                "snap_orders": True,
                "snap_trades": True,
                "order_status": True,
                "token": TOKEN,
            },
            "req_id": 1,
        },
        {"method": "subscribe", "params": {"channel": "balances", "snapshot": True, "token": TOKEN}, "req_id": 2},
    ]
    for command in commands:
        assert TOKEN.encode() not in command.recorded
        assert json.loads(command.recorded)["params"]["token"] == "***"


def test_it_is_settled_when_every_channel_was_answered() -> None:
    it = session()
    it.receive(Notice("system: online"), NOW_MS)
    it.receive(Acknowledged(("executions",), "1"), NOW_MS)
    assert not it.settled
    it.receive(Acknowledged((), "2"), NOW_MS)
    assert it.settled and it.acknowledged == {"executions", "balances"}


@pytest.mark.parametrize(
    ("refusal", "refused"),
    [
        (RefusedCommand("2", None, "EAccount:Invalid permissions"), ["balances"]),
        (RefusedCommand(None, None, "no", ("executions",)), ["executions"]),
        (RefusedCommand(None, None, "Exceeded msg rate"), ["balances", "executions"]),
    ],
)
def test_a_refusal_costs_the_channel_that_it_names(refusal: RefusedCommand, refused: list[str]) -> None:
    it = session()
    it.receive(refusal, NOW_MS)
    assert sorted(it.refused) == refused


def test_a_refused_token_says_what_to_check() -> None:
    with pytest.raises(Refused, match="may use WebSockets"):
        session().receive(RefusedCommand("1", None, "ESession:Invalid session"), NOW_MS)


def test_it_pings() -> None:
    command = session().heartbeat(NOW_MS)
    assert json.loads(command.sent) == {"method": "ping", "req_id": 100}


def count(it: KrakenSession, *pushes: tuple[str, int]) -> None:
    for topic, number in pushes:
        it.counted(topic, SequenceNumber(number))


def test_a_hole_in_the_count_of_a_channel_ends_the_session() -> None:
    it = session()
    for topic in ("executions", "balances"):
        it.counted(topic, SequenceNumber(1, is_first=True))
        count(it, *[(topic, number) for number in (2, 3, 4)])
    count(it, ("executions", 5), ("balances", 5), ("executions", 6))
    with pytest.raises(SessionOver, match="executions before number 8") as over:
        count(it, ("executions", 8))
    assert over.value.reason == "lost"


def test_the_count_may_be_that_of_the_connection() -> None:
    it = session()
    it.counted("executions", SequenceNumber(1, is_first=True))
    it.counted("balances", SequenceNumber(2, is_first=True))
    count(it, ("executions", 3), ("executions", 4), ("balances", 5), ("executions", 6), ("balances", 7))
    with pytest.raises(SessionOver, match="lost"):
        count(it, ("balances", 9))


@pytest.mark.parametrize("numbers", [[7, 9, 13, 20, 4, 8], [5, 5, 5, 5], [1, 2, 3, 9]])
def test_a_count_that_nobody_understands_means_nothing(numbers: list[int]) -> None:
    it = session()
    count(it, *[("executions", number) for number in numbers])


def test_counting_begins_again_with_a_full_state() -> None:
    it = session()
    count(it, *[("executions", number) for number in range(1, 9)])
    it.counted("executions", SequenceNumber(1, is_first=True))
    count(it, ("executions", 2))
