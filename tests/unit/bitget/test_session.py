"""Signing, and the course of a connection."""

import json

import pytest

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, LoggedIn, Notice, RefusedCommand
from recorder.venues.bitget import Bitget, questions, sign
from recorder.venues.bitget.portal import TOPICS, BitgetSession
from recorder.venues.rest import Credentials

KEY, SECRET, PASSPHRASE = "a-key", "22582BD0CFF14C41EDBF1AB98506286D", "a-passphrase"
WHO = Credentials(key=KEY, secret=SECRET, passphrase=PASSPHRASE)
NOW_MS = 1704876947000
DOES_NOT_EXIST = RefusedCommand(None, 30001, "doesn't exist", ("fill",))


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        (
            "1704876947000GET/api/v2/mix/account/accounts?productType=USDT-FUTURES",
            "vWz40QtQmlrIP2j3TZtIn3U2btT9gDt2v2mUrlmYeTQ=",
        ),
        (
            "1684814440729GET/api/v2/mix/account/account?marginCoin=usdt&symbol=btcusdt",
            "gIpfIdEK8WjFNJqMBRBLv6oy+7hctf2mIH8zDrlVEWg=",
        ),
        ("1704876947GET/user/verify", "ZdJAvLhFzCFUuaOoOBKfzuaXSOtQjj/ODuFBGtdRubU="),
        ("1538054050GET/user/verify", "/4S0C3L8mGdm8894ulf8wfnQ6dqMXO8Iw95zlvMN8Zw="),
    ],
)
def test_the_known_answers(text: str, signature: str) -> None:
    assert sign.signature(SECRET, text) == signature


def test_a_request_sorts_its_parameters_and_signs_them_decoded() -> None:
    asked = {"productType": "USDT-FUTURES"}
    request = questions.get("/api/v2/mix/account/accounts", asked)("https://api.bitget.com", WHO, NOW_MS)
    assert request.url == "https://api.bitget.com/api/v2/mix/account/accounts?productType=USDT-FUTURES"
    assert request.headers["ACCESS-SIGN"] == "vWz40QtQmlrIP2j3TZtIn3U2btT9gDt2v2mUrlmYeTQ="
    assert request.headers["ACCESS-TIMESTAMP"] == "1704876947000"
    foreign = questions.get("/x", {"symbol": "牛来USDT", "category": "SPOT"}, "a=b")("", WHO, NOW_MS)
    assert foreign.url == "/x?category=SPOT&cursor=a%3Db&symbol=%E7%89%9B%E6%9D%A5USDT"
    text = f"{NOW_MS}GET/x?category=SPOT&cursor=a=b&symbol=牛来USDT"
    assert foreign.headers["ACCESS-SIGN"] == sign.signature(SECRET, text)


def test_the_demo_environment_is_another_socket_and_a_header() -> None:
    production, demo = Bitget.environments["production"], Bitget.environments["demo"]
    assert (production.url, production.headers) == (demo.url, {})
    assert (demo.stream_url, demo.headers) == ("wss://wspap.bitget.com", {"paptrading": "1"})


def session() -> BitgetSession:
    return BitgetSession(TOPICS, WHO)


def logged_in() -> BitgetSession:
    it = session()
    it.receive(LoggedIn(), NOW_MS)
    return it


def test_the_login_is_recorded_without_secrets() -> None:
    (command,) = session().opening(NOW_MS)
    (sent,) = json.loads(command.sent)["args"]
    assert sent == {
        "apiKey": KEY,
        "passphrase": PASSPHRASE,
        "timestamp": "1704876947",
        "sign": "ZdJAvLhFzCFUuaOoOBKfzuaXSOtQjj/ODuFBGtdRubU=",
    }
    (recorded,) = json.loads(command.recorded)["args"]
    assert recorded == {"apiKey": "***", "passphrase": "***", "timestamp": "1704876947", "sign": "***"}


def test_it_subscribes_to_everything_in_one_command_after_the_login() -> None:
    it = session()
    (command,) = it.receive(LoggedIn(), NOW_MS)
    told = json.loads(command.sent)
    assert (told["op"], [one["topic"] for one in told["args"]]) == ("subscribe", list(TOPICS))
    assert {one["instType"] for one in told["args"]} == {"UTA"}
    assert len(command.sent) <= 4096 and len(told["args"]) <= 10
    for topic in it.topics:
        assert not it.settled
        assert it.receive(Acknowledged((topic,)), NOW_MS) == []
    assert it.settled


def test_a_refusal_costs_the_topic_that_it_names() -> None:
    it = logged_in()
    it.receive(DOES_NOT_EXIST, NOW_MS)
    assert it.refused == {"fill": "doesn't exist"}


def test_a_refusal_that_names_nothing_is_of_any_topic_that_was_not_answered() -> None:
    it = logged_in()
    it.receive(Acknowledged(("order",)), NOW_MS)
    it.receive(RefusedCommand(None, 30016, "Param error"), NOW_MS)
    assert set(it.refused) == set(TOPICS) - {"order"}
    # Those that are acknowledged after all are not refused.
    it.receive(Acknowledged(("fill",)), NOW_MS)
    assert "fill" not in it.refused


@pytest.mark.parametrize("code", [30001, 30002, 30005, 30011, 30012, 30013, 30014, 30015, 30016, None])
def test_a_refused_login_says_what_to_check(code: int | None) -> None:
    with pytest.raises(Refused, match="check key, secret and passphrase"):
        session().receive(RefusedCommand(None, code, "no"), NOW_MS)


@pytest.mark.parametrize("code", [30004, 30005, 30014, 30015])
def test_a_login_can_be_refused_later(code: int) -> None:
    with pytest.raises(Refused):
        logged_in().receive(RefusedCommand(None, code, "no"), NOW_MS)


@pytest.mark.parametrize("code", [30006, 30007])
def test_an_exchange_that_is_busy_has_not_refused_the_login(code: int) -> None:
    for it in (session(), logged_in()):
        with pytest.raises(SessionOver, match="busy"):
            it.receive(RefusedCommand(None, code, "too many requests"), NOW_MS)
        assert not it.refused and not it.settled
    assert session().receive(Notice("upgrade", reconnect=True), NOW_MS) == []


def test_it_pings_in_a_bare_word() -> None:
    assert session().heartbeat(NOW_MS).sent == b"ping"
