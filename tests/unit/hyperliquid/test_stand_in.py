"""The exchange's side of a connection, for clients that subscribe to other topics than the recorder does."""

import json
from typing import Any

import pytest

from recorder.venues.hyperliquid.portal import PATH, topics_of
from recorder.venues.hyperliquid.stand_in import HyperliquidStandIn
from recorder.venues.hyperliquid.stand_in.conversation import HyperliquidConversation
from recorder.venues.stand_in import Backend, Close, PortalAccess, Snapshot

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
