"""FMex's stand-in: authentication, rate limit, and the forms of its answers."""

import json
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from recorder.errors import Undecodable
from recorder.venues.fmex import rest, sign
from recorder.venues.fmex.portal import PUSH_PATH
from recorder.venues.fmex.rest import REQUESTS_MAX
from recorder.venues.fmex.stand_in import FMexStandIn, answers
from recorder.venues.fmex.stand_in.answers import Fields
from recorder.venues.fmex.stand_in.rest import WINDOW_MS, Authenticator
from recorder.venues.stand_in import Backend, HttpError, PortalAccess, Request
from recorder.venues.view import SentState
from tests.samples import sample

NOW_MS = 1_580_800_000_000
KINDS = ("order", "position", "account")


def test_access_to_the_portal_gives_the_key_and_the_other_parameters() -> None:
    handler = FMexStandIn().request_handler(Backend(secret_of={"main": "s"}.get, clock_ms=lambda: NOW_MS))
    proofs = sign.credentials("main", "s", "GET", f"http://x{PUSH_PATH}", NOW_MS)
    query = urlencode(proofs | {"since": "2020-02-04T07:40", "speed": "max"})
    expected = PortalAccess("main", {"since": "2020-02-04T07:40", "speed": "max"})
    assert handler.handle(Request("GET", f"{PUSH_PATH}?{query}", {}, "http://x")) == expected


def test_the_rate_of_each_key_is_limited() -> None:
    guard = Authenticator(lambda _: None)
    for number in range(REQUESTS_MAX):
        guard.count("a", number)
    with pytest.raises(HttpError) as refused:
        guard.count("a", WINDOW_MS - 1)
    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    guard.count("b", WINDOW_MS - 1)
    guard.count("a", WINDOW_MS)
    with pytest.raises(HttpError):
        guard.count("a", WINDOW_MS)


def test_idle_keys_are_forgotten() -> None:
    guard = Authenticator(lambda _: None)
    for number in range(1_000):
        guard.count(f"main/{number}", number * WINDOW_MS // 10)
    assert len(guard._requests._spent) <= 11


def rendered(fields: Fields) -> Any:
    """Fields as a client reads them, with the digits of their numbers."""
    return json.loads(msgspec.json.encode(fields), parse_float=str, parse_int=str)


@pytest.mark.parametrize(
    ("quantity", "closed"), [("0", True), ("0.0", True), ("0E-18", True), ("-0", True), ("10", False), ("1e2", False)]
)
def test_a_pushed_position_is_closed_if_its_quantity_is_zero_in_any_notation(quantity: str, closed: bool) -> None:
    push = b'{"type":"position.btcusd_p","ts":1,"position":{"symbol":"BTCUSD_P","quantity":%s}}' % quantity.encode()
    assert answers.position(SentState("position.btcusd_p", push))["closed"] is closed
    assert "closed" not in answers.position(SentState("p", b'{"type":"p","ts":1,"position":{"symbol":"BTCUSD_P"}}'))


def test_pushed_states_are_rendered_in_the_form_of_rest() -> None:
    order, position, balance = (json.loads(sample(name), parse_float=str, parse_int=str)[name] for name in KINDS)
    assert rendered(answers.order(SentState("order.btcusd_p", sample("order")))) == order
    expected = position | {"riskLevel": position["risk_level"], "closed": False}
    del expected["risk_level"]
    assert rendered(answers.position(SentState("position.btcusd_p", sample("position")))) == expected
    amounts = [balance[name] for name in ("available", "frozen", "position")]
    assert rendered(answers.balances([SentState("account", sample("account"))])) == {balance["currency"]: amounts}


def test_states_from_rest_are_rendered_as_they_were_sent() -> None:
    bodies = {
        name: json.loads(sample(name), parse_float=str, parse_int=str)["data"]
        for name in ("rest-open-orders", "rest-order", "rest-positions", "rest-accounts")
    }
    for render, target, name in (
        (answers.order, f"{rest.OPEN_ORDERS}?a=1", "rest-open-orders"),
        (answers.order, f"{rest.CLOSED_ORDERS}?range=202002", "rest-open-orders"),
        (answers.position, rest.POSITIONS, "rest-positions"),
    ):
        for item, expected in enumerate(bodies[name]["results"]):
            assert rendered(render(SentState(target, sample(name), item))) == expected
    assert rendered(answers.order(SentState(f"{rest.ORDERS}/5", sample("rest-order")))) == bodies["rest-order"]
    states = [SentState(rest.ACCOUNTS, sample("rest-accounts"), item) for item in range(len(bodies["rest-accounts"]))]
    assert rendered(answers.balances(states)) == bodies["rest-accounts"]


def test_undocumented_fields_of_an_order_are_passed_on_and_missing_ones_left_out() -> None:
    push = b'{"type":"order.btcusd_p","ts":5,"order":{"id":7,"hidden":true,"fee":null},"channel":"a"}'
    assert rendered(answers.order(SentState("order.btcusd_p", push))) == {"id": "7", "hidden": True}
    answer = b'{"status":0,"data":{"id":7,"hidden":true,"channel":"a"}}'
    expected = {"id": "7", "hidden": True, "channel": "a"}
    assert rendered(answers.order(SentState("/v3/contracts/orders/7", answer))) == expected


@pytest.mark.parametrize(
    "state",
    [
        SentState(rest.ACCOUNTS, b'{"status":0,"data":{}}'),
        SentState(rest.ACCOUNTS, b'{"status":0,"data":{"BTC":1}}'),
        SentState("account", b'{"type":"account","ts":1,"account":{}}'),
    ],
)
def test_a_frame_without_the_balance_is_refused(state: SentState) -> None:
    with pytest.raises(Undecodable, match="does not hold the state"):
        answers.balances([state])


@pytest.mark.parametrize(
    "state",
    [
        SentState("order.btcusd_p", b""),
        SentState("order.btcusd_p", b'{"type":"account","ts":1,"account":{}}'),
        SentState(rest.OPEN_ORDERS, b'{"status":0,"data":{"results":[]}}'),
        SentState("/v3/contracts/orders/7", b'{"status":0}'),
    ],
)
def test_a_frame_without_the_state_is_refused(state: SentState) -> None:
    with pytest.raises(Undecodable, match="does not hold the state"):
        answers.order(state)
