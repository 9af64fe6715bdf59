"""The exchange's side of Kraken: what it refuses, and what it lists of contracts."""

from itertools import count, islice
from urllib.parse import urlencode

import msgspec
import pytest

from recorder.simulator import exchange as simulator
from recorder.venues.kraken import answers, sign
from recorder.venues.kraken.portal import DERIVATIVE_TOPICS, PATH, UNIFIED_PATH
from recorder.venues.kraken.stand_in import KrakenStandIn
from recorder.venues.kraken.stand_in.conversation import KrakenConversation, token_of
from recorder.venues.kraken.stand_in.rest import COUNT_MAX, LOCKED_AFTER, LOCKED_MS, KrakenRequestHandler
from recorder.venues.kraken.stand_in.spelling import own_id, own_number
from recorder.venues.stand_in import AccountQuery, Backend, PortalAccess, Request, Snapshot

KEY, SECRET = "a-key", "YS1zZWNyZXQ="
NOW_MS = 1_795_800_000_000
LOCKED = ["EGeneral:Temporary lockout"]


class Exchange:
    """A handler with a clock of its own, asked for what needs no account."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS
        self._nonces = count(1)
        self._handler = KrakenRequestHandler(Backend(secret_of={KEY: SECRET}.get, clock_ms=lambda: self.now_ms))

    def errors(self, nonce: str | None = None, *, key: str = KEY, secret: str = SECRET) -> list[str]:
        """What it says to a request."""
        number = str(next(self._nonces)) if nonce is None else nonce
        body = urlencode({"nonce": number}).encode()
        headers = {"API-Key": key, "API-Sign": sign.signature(secret, answers.KEY, number, body)}
        given = Request("POST", answers.KEY, headers, "http://127.0.0.1:9", body=body, peer="1.2.3.4")
        said = self._handler.handle(given)
        assert isinstance(said, bytes)
        found: list[str] = msgspec.json.decode(said)["error"]
        return found


@pytest.mark.parametrize("nonce", ["", "-1", "\u00b2", "9" * 5_000, "words"])
def test_a_nonce_that_is_no_number_is_refused(nonce: str) -> None:
    assert Exchange().errors(nonce) == ["EAPI:Invalid nonce"]


def test_a_key_that_is_refused_again_and_again_is_locked_out() -> None:
    exchange = Exchange()
    for _ in range(LOCKED_AFTER):
        assert exchange.errors(secret="d3Jvbmc=") == ["EAPI:Invalid signature"]
    # Whoever uses it; and each attempt prolongs it.
    assert exchange.errors() == LOCKED
    exchange.now_ms += LOCKED_MS - 1
    assert exchange.errors() == LOCKED
    exchange.now_ms += LOCKED_MS
    assert exchange.errors() == []


def test_a_request_that_is_answered_ends_the_row_of_refusals() -> None:
    exchange = Exchange()
    for _ in range(3):
        for _ in range(LOCKED_AFTER - 1):
            assert exchange.errors("0") == ["EAPI:Invalid nonce"]
        assert exchange.errors() == []


def test_requests_beyond_the_counter_lock_no_key_out() -> None:
    exchange = Exchange()
    assert [exchange.errors() for _ in range(COUNT_MAX)] == [[]] * COUNT_MAX
    for _ in range(2 * LOCKED_AFTER):
        assert exchange.errors() == ["EAPI:Rate limit exceeded"]
    exchange.now_ms += 2_000
    assert exchange.errors() == []


def test_a_key_that_does_not_exist_locks_nobody_out() -> None:
    exchange = Exchange()
    for _ in range(2 * LOCKED_AFTER):
        assert exchange.errors(key="another") == ["EAPI:Invalid key"]
    assert exchange.errors() == []


def subscribed(path: str, *asked: dict[str, object], topics: frozenset[str] | None = None) -> list[list[object]]:
    """What the exchange says to each subscription on a connection: refusals, topics of snapshots, or nothing."""

    def has_topic(_key: str, topic: str) -> bool:
        return topics is None or topic in topics

    backend = Backend(secret_of={KEY: SECRET}.get, clock_ms=lambda: NOW_MS, has_topic=has_topic)
    conversation = KrakenConversation(PortalAccess(None, {}, path), backend, 0.0)
    token, found = token_of(KEY, SECRET, NOW_MS), []
    for params in asked:
        command = {"method": "subscribe", "params": {**params, "token": token}, "req_id": 7}
        said = conversation.receive(msgspec.json.encode(command), NOW_MS, 0.0)
        answers_ = [msgspec.json.decode(one) for one in said if isinstance(one, bytes)]
        assert all(one["req_id"] == 7 and "token" not in one.get("result", {}) for one in answers_)
        found.append(
            [one["error"] for one in answers_ if not one["success"]]
            + [one.topic for one in said if isinstance(one, Snapshot)]
        )
    return found


CLASS = {"asset_class": "derivatives"}


def test_the_socket_of_derivatives_takes_what_its_pages_say() -> None:
    assert subscribed(
        UNIFIED_PATH,
        {"channel": "executions", **CLASS},
        {"channel": "positions", **CLASS},
        {"channel": "positions", **CLASS},
        {"channel": "margin", **CLASS, "snapshot": True},
        {"channel": "margin", **CLASS},
        {"channel": "balances"},
        {"channel": "ledgers", **CLASS},
        {"channel": "ledgers"},
        {"channel": "executions"},
        {"channel": "ticker", **CLASS},
    ) == [
        ["derivatives-executions"],
        ["positions"],
        ["Already subscribed to positions channel"],
        ["'params.snapshot' is not valid for the margin channel"],
        ["margin"],
        ["derivatives-balances"],
        ["'params.asset_class' is not valid for the ledgers channel"],
        ["ledgers"],
        ["asset_class must be derivatives"],
        ["Channel not supported"],
    ]


def test_each_socket_has_channels_of_its_own() -> None:
    assert subscribed(PATH, {"channel": "positions"}, {"channel": "balances"}) == [
        ["Channel not supported"],
        ["balances"],
    ]
    # An account without contracts.
    spot = frozenset(["executions", "balances"])
    assert subscribed(UNIFIED_PATH, {"channel": "balances"}, topics=spot) == [["Channel not supported"]]


def test_an_exchange_serves_derivatives_if_a_contract_is_traded() -> None:
    stand_in = KrakenStandIn()
    spot, both = (stand_in.terms(symbols) for symbols in (("BTC/USD",), ("BTC/USD", "PF_XBTUSD")))
    assert set(stand_in.face(spot, KEY).topics()) == {"executions", "balances"}
    assert set(stand_in.face(both, KEY).topics()) == {"executions", "balances", *DERIVATIVE_TOPICS}
    assert [(one.wallet, one.currency) for one in stand_in.funds(both)] == [
        ("main", "USD"),
        ("main", "BTC"),
        ("derivatives", "USD"),
    ]
    with pytest.raises(ValueError, match="not a perpetual such as PF_XBTUSD"):
        stand_in.terms(("PI_XBTUSD",))
    # No list of pairs has it.
    backend = Backend(secret_of={KEY: SECRET}.get, clock_ms=lambda: NOW_MS, terms=both)
    said = KrakenRequestHandler(backend).handle(Request("GET", answers.PAIRS, {}, "http://127.0.0.1:9"))
    assert isinstance(said, bytes)
    assert list(msgspec.json.decode(said)["result"]) == ["XXBTZUSD"]


def test_an_id_of_a_contract_is_a_uuid() -> None:
    for kind in ("O", "T"):
        assert own_number(kind, own_id(kind, 12345, "PF_XBTUSD")) == 12345
        assert own_number(kind, own_id(kind, 12345, "BTC/USD")) == 12345
    assert own_id("O", 5, "PF_XBTUSD") == "5b0c1f6e-2d3a-4f0c-0000-000000000005"
    assert own_number("O", "5b0c1f6e-2d3a-4f0c-0000-") is None


def test_tokenized_assets_are_listed_only_if_they_are_asked_for() -> None:
    exchange = simulator.Exchange(5, venue="kraken", key=KEY, symbols=("AAPLx/USD",))
    assert len(list(islice(exchange, 100))) == 100
    backend = Backend(secret_of={KEY: SECRET}.get, clock_ms=lambda: NOW_MS, terms=exchange.terms)
    handler = KrakenRequestHandler(backend)

    def listed(nonce: int, **asked: str) -> set[str]:
        body = urlencode({"nonce": nonce, **asked}).encode()
        headers = {"API-Key": KEY, "API-Sign": sign.signature(SECRET, answers.LEDGER, str(nonce), body)}
        said = handler.handle(Request("POST", answers.LEDGER, headers, "http://127.0.0.1:9", body=body))
        assert isinstance(said, AccountQuery)
        answer = said.answer(exchange.view())
        assert isinstance(answer, bytes)
        return {row["asset"] for row in msgspec.json.decode(answer)["result"]["ledger"].values()}

    assert listed(1) == {"ZUSD"}
    assert listed(2, aclass="tokenized_asset") == {"AAPLx"}
    of_class = {"": 0, "?aclass_base=tokenized_asset": 1}
    for query, number in of_class.items():
        pairs = handler.handle(Request("GET", answers.PAIRS + query, {}, "http://127.0.0.1:9"))
        assert isinstance(pairs, bytes)
        assert len(msgspec.json.decode(pairs)["result"]) == number
