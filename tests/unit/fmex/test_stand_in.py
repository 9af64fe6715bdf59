"""FMex's stand-in: who may ask and how often, and the forms of its answers."""

from urllib.parse import urlencode

import msgspec
import pytest

from recorder.model import OrderUpdate, PositionUpdate
from recorder.venues.fmex import sign
from recorder.venues.fmex.portal import PUSH_PATH
from recorder.venues.fmex.rest import REQUESTS_MAX
from recorder.venues.fmex.stand_in import FMexStandIn, answers
from recorder.venues.fmex.stand_in.rest import WINDOW_MS, Authenticator
from recorder.venues.stand_in import HttpError, PortalAccess

NOW_MS = 1_580_800_000_000


def test_who_is_let_in_is_known_by_the_key_and_what_else_was_asked_without_what_proved_it() -> None:
    handler = FMexStandIn().request_handler({"main": "s"}.get, lambda: NOW_MS)
    proofs = sign.credentials("main", "s", "GET", f"http://x{PUSH_PATH}", NOW_MS)
    query = urlencode(proofs | {"since": "2020-02-04T07:40", "speed": "max"})
    expected = PortalAccess("main", {"since": "2020-02-04T07:40", "speed": "max"})
    assert handler.handle("GET", f"{PUSH_PATH}?{query}", {}, "http://x") == expected


def test_a_key_may_ask_so_often_in_so_long() -> None:
    guard = Authenticator(lambda _: None)
    for number in range(REQUESTS_MAX):
        guard.count("a", number)
    with pytest.raises(HttpError) as declined:
        guard.count("a", WINDOW_MS - 1)
    assert (declined.value.status, declined.value.retry_after_s) == (429, 1)
    guard.count("b", WINDOW_MS - 1)
    guard.count("a", WINDOW_MS)
    with pytest.raises(HttpError):
        guard.count("a", WINDOW_MS)


def test_keys_that_come_once_are_forgotten() -> None:
    guard = Authenticator(lambda _: None)
    for number in range(1_000):
        guard.count(f"main/{number}", number * WINDOW_MS // 10)
    assert len(guard._requests) <= 11


@pytest.mark.parametrize(
    ("quantity", "closed"), [("0", True), ("0.0", True), ("0E-18", True), ("-0", True), ("10", False), ("1e2", False)]
)
def test_a_position_that_holds_nothing_is_closed_however_that_was_written(quantity: str, closed: bool) -> None:
    told = PositionUpdate._make([None] * len(PositionUpdate._fields))._replace(quantity=quantity)
    assert answers.position(told)["closed"] is closed


def test_what_else_was_told_of_an_order_goes_out_again_and_nothing_else() -> None:
    bare = OrderUpdate._make([None] * len(OrderUpdate._fields))
    pushed = bare._replace(ts=5, extra='{"order.hidden":true,"channel":"a"}')
    answered = bare._replace(extra='{"hidden":true,"channel":"a"}')
    assert msgspec.json.encode(answers.order(pushed)) == b'{"hidden":true}'
    assert msgspec.json.encode(answers.order(answered)) == b'{"hidden":true,"channel":"a"}'
