"""The exchange's side: what it refuses, and clients that subscribe to other topics than the recorder does."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from recorder.simulator.exchange import Exchange
from recorder.venues.hyperliquid.portal import PATH, topics_of
from recorder.venues.hyperliquid.stand_in import HyperliquidStandIn
from recorder.venues.hyperliquid.stand_in.conversation import USERS_MAX, HyperliquidConversation
from recorder.venues.hyperliquid.stand_in.rest import HyperliquidRequestHandler
from recorder.venues.stand_in import AccountQuery, Backend, Close, HttpError, PortalAccess, Request, Snapshot

ME = "0x5e11aa00000000000000000000000000000000a1"
ALL = "allDexsClearinghouseState"
STATES = [["", {"withdrawable": "1.0", "assetPositions": []}], ["xyz", {"withdrawable": "2.50", "assetPositions": []}]]
PUSH = json.dumps({"channel": ALL, "data": {"user": ME, "clearinghouseStates": STATES}}).encode()


@pytest.fixture
def conversation() -> HyperliquidConversation:
    backend = Backend(
        secret_of={ME: "none"}.get, clock_ms=lambda: 0, has_topic=lambda _key, one: one in topics_of(["xyz:TSLA"])
    )
    return HyperliquidConversation(PortalAccess(None, {}, PATH), backend, 0.0)


def subscribe(conversation: HyperliquidConversation, kind: str, **parameters: str) -> list[Any]:
    command = {"method": "subscribe", "subscription": {"type": kind, "user": ME, **parameters}}
    return conversation.receive(json.dumps(command).encode(), 0, 0.0)


def test_the_state_of_one_exchange_is_taken_from_the_state_of_all(conversation: HyperliquidConversation) -> None:
    accepted, state = subscribe(conversation, "clearinghouseState", dex="xyz")
    assert json.loads(accepted)["data"]["subscription"]["type"] == "clearinghouseState"
    assert state == Snapshot(ME, ALL, is_first=True)
    assert conversation.topics_of(ME) == {ALL}
    (frame,) = conversation.pushed(ME, ALL, PUSH)
    told = {"dex": "xyz", "user": ME, "clearinghouseState": STATES[1][1]}
    assert json.loads(frame) == {"channel": "clearinghouseState", "data": told}
    subscribe(conversation, ALL)
    assert conversation.pushed(ME, ALL, PUSH) == [PUSH, frame]
    for unreadable in (b"{", b'{"data":[]}', b'{"data":{"clearinghouseStates":[7]}}'):
        assert conversation.pushed(ME, ALL, unreadable) == [unreadable]


def test_a_client_that_only_listens_is_kept_while_something_is_pushed(conversation: HyperliquidConversation) -> None:
    subscribe(conversation, "userFills")
    assert conversation.pushed(ME, "userFills", b"{}") == [b"{}"]
    assert conversation.wake(0, HyperliquidConversation.silence_s) == []
    assert conversation.wake(0, 2 * HyperliquidConversation.silence_s) == [Close(1000, "Inactive")]


def test_an_account_is_known_by_the_address_in_its_frames() -> None:
    key_in = HyperliquidStandIn().key_in
    assert key_in(PUSH.replace(b"5e11aa", b"5E11AA")) == ME
    assert key_in(b'{"method":"subscribe","subscription":{"type":"userFills","user":"%s"}}' % ME.encode()) == ME
    assert key_in(b'{"channel":"orderUpdates","data":[]}') is None


def ask(handler: HyperliquidRequestHandler, body: object, peer: str = "127.0.0.1") -> Any:
    """What is answered to a request, about an account without any history."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = handler.handle(Request("POST", "/info", {}, "http://here", sent, peer))
    if isinstance(answer, AccountQuery):
        answer = answer.answer(Exchange(1, venue="hyperliquid").view())
    assert isinstance(answer, bytes)
    return json.loads(answer)


def handler(now_ms: Callable[[], int] = lambda: 0) -> HyperliquidRequestHandler:
    return HyperliquidRequestHandler(Backend(secret_of={ME: "none"}.get, clock_ms=now_ms))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        {},
        {"type": None},
        {"type": ["meta"]},
        {"type": "order"},
        {"type": "userFunding", "user": ME, "startTime": "yesterday"},
        {"type": "userFunding", "user": ME, "startTime": 1.5},
        {"type": "userFillsByTime", "user": ME, "startTime": 0, "endTime": [1]},
    ],
)
def test_a_request_that_cannot_be_read_is_refused(body: object) -> None:
    with pytest.raises(HttpError, match="Failed to deserialize") as refused:
        ask(handler(), body)
    assert refused.value.status == 422


@pytest.mark.parametrize(("method", "target"), [("GET", "/info"), ("POST", "/exchange"), ("POST", "/")])
def test_it_only_answers_questions(method: str, target: str) -> None:
    with pytest.raises(HttpError) as refused:
        handler().handle(Request(method, target, {}, "http://here", b'{"type":"meta"}'))
    assert refused.value.status == 404


def test_the_address_says_where_a_replay_begins() -> None:
    request = Request("GET", f"{PATH}?since=2020-02-04&speed=max", {}, "http://127.0.0.1:1")
    found = handler().handle(request)
    assert isinstance(found, PortalAccess)
    assert found.parameters == {"since": "2020-02-04", "speed": "max"}


def test_an_unknown_address_has_empty_answers() -> None:
    it = handler()
    for user in ("0x" + "00" * 20, "nobody", 7, None, [ME]):
        assert ask(it, {"type": "userFunding", "user": user, "startTime": None}) == []
    assert ask(it, {"type": "userRole", "user": "nobody"}) == {"role": "missing"}
    assert ask(it, {"type": "userRole", "user": ME.upper().replace("X", "x")}) == {"role": "user"}


def test_an_address_has_1200_weights_a_minute() -> None:
    clock_ms = [0]
    it = handler(lambda: clock_ms[0])
    for _ in range(20):
        ask(it, {"type": "userRole", "user": ME})
    for body in ({"type": "exchangeStatus"}, {"type": "userRole", "user": ME}):
        with pytest.raises(HttpError) as refused:
            ask(it, body)
        assert refused.value.status == 429
    assert ask(it, {"type": "exchangeStatus"}, "127.0.0.2")["time"] == 0
    clock_ms[0] = 60_000
    assert ask(it, {"type": "exchangeStatus"})["time"] == 60_000


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (b"{", "Error parsing JSON into valid websocket request: {"),
        (b"[]", "Error parsing JSON"),
        (b"[" * 100_000, "Error parsing JSON"),
        ({"method": "order"}, "Error parsing JSON"),
        ({"method": ["subscribe"], "subscription": {"type": "userFills", "user": ME}}, "Error parsing JSON"),
        ({"method": "subscribe", "subscription": "userFills"}, "Error parsing JSON"),
        ({"method": "subscribe", "subscription": {"type": "tides", "user": ME}}, "Error parsing JSON"),
        ({"method": "subscribe", "subscription": {"type": ["userFills"], "user": ME}}, "Error parsing JSON"),
        ({"method": "subscribe", "subscription": {"type": "userFills"}}, "Error parsing JSON"),
        ({"method": "subscribe", "subscription": {"type": "userFills", "user": "0x12"}}, "Error parsing JSON"),
        ({"method": "subscribe", "subscription": {"type": "openOrders", "user": ME, "dex": "no"}}, "Invalid subscr"),
        ({"method": "subscribe", "subscription": {"type": "openOrders", "user": ME, "dex": ["xyz"]}}, "Invalid subscr"),
        ({"method": "subscribe", "subscription": {"type": "userFills", "user": ME}}, "Already subscribed: "),
        ({"method": "unsubscribe", "subscription": {"type": "userFundings", "user": ME}}, "Already unsubscribed: "),
    ],
)
def test_a_command_that_is_not_right_is_refused(
    conversation: HyperliquidConversation, command: object, refusal: str
) -> None:
    subscribe(conversation, "userFills")
    sent = command if isinstance(command, bytes) else json.dumps(command).encode()
    (answer,) = conversation.receive(sent, 0, 0.0)
    assert isinstance(answer, bytes)
    told = json.loads(answer)
    assert told["channel"] == "error"
    assert told["data"].startswith(refusal)
    assert conversation.topics_of(ME) == {"userFills"}


def test_a_connection_follows_15_accounts(conversation: HyperliquidConversation) -> None:
    for number in range(USERS_MAX):
        (accepted,) = subscribe(conversation, "userFills", user=f"0x{number:040x}")
        assert json.loads(accepted)["channel"] == "subscriptionResponse"
    (refused,) = subscribe(conversation, "userFills")
    assert json.loads(refused) == {"channel": "error", "data": "Cannot track more than 15 total users."}
