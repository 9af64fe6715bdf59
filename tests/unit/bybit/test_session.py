"""Signing, and the course of a connection."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from recorder.errors import Refused
from recorder.model import Acknowledged, LoggedIn, Notice, RefusedCommand
from recorder.venues.bybit import sign
from recorder.venues.bybit.portal import TOPICS, BybitSession
from recorder.venues.rest import Credentials

KEY, SECRET = "testApiKey0123456", "bYbItSeCrEt0123456789abcdefABCDEF012"
NOW_MS = 1_700_000_000_000


@pytest.mark.parametrize(
    ("text", "signature"),
    [
        ("GET/realtime1700000010000", "946ddc521f8c461addd677950aec47232a18478d7d52eac5554c5fe435459900"),
        (
            "1700000000000testApiKey01234565000category=linear&limit=50&settleCoin=USDT",
            "206208a0ccc058b6b7ae34f76dced49fac0fabc9ddc4d2883c8f3dc721bc2b7e",
        ),
    ],
)
def test_the_known_answers(text: str, signature: str) -> None:
    assert sign.signature(SECRET, text) == signature


def test_a_private_key_signs_with_rsa() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
    signature = base64.b64decode(sign.signature(pem, "text"))
    key.public_key().verify(signature, b"text", padding.PKCS1v15(), hashes.SHA256())


def test_the_headers_of_a_request_sign_what_they_say() -> None:
    headers = sign.headers(KEY, SECRET, "category=linear", NOW_MS)
    text = f"{headers['X-BAPI-TIMESTAMP']}{KEY}{headers['X-BAPI-RECV-WINDOW']}category=linear"
    assert headers["X-BAPI-SIGN"] == sign.signature(SECRET, text)
    # A server whose clock is up to two seconds behind ours, or nine ahead, accepts it.
    at_ms, window_ms = int(headers["X-BAPI-TIMESTAMP"]), int(headers["X-BAPI-RECV-WINDOW"])
    for server_ms in (NOW_MS - 1_999, NOW_MS, NOW_MS + 9_000):
        assert server_ms - window_ms <= at_ms < server_ms + 1_000


def session() -> BybitSession:
    return BybitSession(TOPICS, Credentials(key=KEY, secret=SECRET))


def test_the_login_is_recorded_without_key_and_signature() -> None:
    (command,) = session().opening(NOW_MS)
    sent = json.loads(command.sent)
    assert sent["args"] == [KEY, NOW_MS + 10_000, "946ddc521f8c461addd677950aec47232a18478d7d52eac5554c5fe435459900"]
    assert json.loads(command.recorded) == {**sent, "args": ["***", NOW_MS + 10_000, "***"]}


def test_it_subscribes_one_topic_a_command_after_the_login() -> None:
    it = session()
    it.opening(NOW_MS)
    commands = [json.loads(command.sent) for command in it.receive(LoggedIn("login"), NOW_MS)]
    assert [(command["op"], command["req_id"], command["args"]) for command in commands] == [
        ("subscribe", topic, [topic]) for topic in TOPICS
    ]
    for topic in TOPICS:
        assert not it.settled
        assert it.receive(Acknowledged((), topic), NOW_MS) == []
    assert it.settled
    assert it.acknowledged == set(TOPICS)


def test_a_refusal_costs_the_topic_that_its_command_names() -> None:
    it = session()
    it.receive(LoggedIn("login"), NOW_MS)
    it.receive(RefusedCommand("wallet", None, "error:handler not found,topic:wallet"), NOW_MS)
    for topic in TOPICS[:3]:
        it.receive(Acknowledged((), topic), NOW_MS)
    assert it.settled
    assert it.refused == {"wallet": "error:handler not found,topic:wallet"}


def test_a_refusal_after_an_acknowledgement_changes_nothing() -> None:
    it = session()
    it.receive(LoggedIn(), NOW_MS)
    it.receive(Acknowledged((), "order"), NOW_MS)
    it.receive(RefusedCommand("order", None, "error:already subscribed,topic:order"), NOW_MS)
    assert it.acknowledged == {"order"}
    assert it.refused == {}


@pytest.mark.parametrize("command_id", ["login", None])
def test_a_refused_login_says_what_to_check(command_id: str | None) -> None:
    with pytest.raises(Refused, match="refused the login \\(Params Error\\); check key and secret"):
        session().receive(RefusedCommand(command_id, None, "Params Error"), NOW_MS)


def test_a_refused_ping_costs_no_topic() -> None:
    it = session()
    it.receive(LoggedIn("login"), NOW_MS)
    ping = json.loads(it.heartbeat(NOW_MS).sent)
    assert ping["op"] == "ping"
    it.receive(RefusedCommand(ping["req_id"], None, "error:invalid op"), NOW_MS)
    it.receive(Notice("anything"), NOW_MS)
    assert it.refused == {}
