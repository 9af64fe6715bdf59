"""No exchange ever sees too many new connections or requests of a recorder, whatever the number of its accounts."""

from dataclasses import replace
from heapq import heappop, heappush

import pytest

from recorder.live.connection import too_many_connections
from recorder.live.pace import Pace
from recorder.live.settings import Account
from recorder.venues import VENUES, venue_named
from recorder.venues.limits import ConnectionCount, Connections, RateLimit
from recorder.venues.rest import Credentials

HOUR_S = 3_600.0

LIMITED = [name for name in VENUES if venue_named(name).connections.opened_max]


def account_of(venue: str) -> Account:
    fields = venue_named(venue).credential_fields
    values = {field.name: f"my-{field.name}" for field in fields}
    return Account(
        name="main", venue=venue_named(venue), url="http://127.0.0.1:9", credentials=Credentials(values), symbols=()
    )


@pytest.mark.parametrize("venue", LIMITED)
def test_an_exchange_that_ends_each_connection_at_once(venue: str) -> None:
    account, pace = account_of(venue), Pace()
    accounts = [account, replace(account, name="another")]
    allowed = account.venue.connections
    exchange = ConnectionCount(allowed)
    assert allowed.opened_max is not None
    now_s, made = 0.0, 0
    while now_s < HOUR_S:
        now_s += pace.wait_s(accounts[made % 2], now_s)
        assert not exchange.refuses("1.2.3.4", 0, round(now_s * 1000)), made
        made += 1
    # The pace is no slower than it must be.
    assert made >= allowed.opened_max * HOUR_S / allowed.window_s * 0.6


def test_a_connection_that_was_not_made_does_not_count() -> None:
    account, pace = account_of("okx"), Pace()
    for _ in range(10):
        assert pace.wait_s(account, 1.0) == 0
        pace.not_made(account)
    assert [pace.wait_s(account, 1.0) for _ in range(3)] == [0, 0, 1.0]


def test_other_addresses_are_other_exchanges() -> None:
    account, pace = account_of("okx"), Pace()
    other = replace(account, url="http://127.0.0.1:10")
    assert [pace.wait_s(one, 1.0) for one in (account, other) for _ in range(2)] == [0] * 4


#: Venue → REST addresses of its accounts at one exchange, and what one of them asks for at once costs.
SHARED = {
    "binance": (("https://fapi.binance.com", "https://dapi.binance.com"), [5, 5, 40, 40, 30, *[5] * 300]),
    "binance_spot": (("https://api.binance.com",), [20, 80, *[20] * 300]),
    "hyperliquid": (("https://api.hyperliquid.xyz",), [60, 2, *[120] * 20]),
    "bybit": (("https://api.bybit.com",), [1] * 300),
    "bitget": (("https://api.bitget.com",), [1] * 500),
}


def test_limits_of_an_address_are_said_to_be_shared() -> None:
    found = {name for name in VENUES if any(limit.shared_at for limit in venue_named(name).rest_limits)}
    assert found == set(SHARED)


@pytest.mark.parametrize("venue", SHARED)
def test_many_accounts_ask_no_more_than_an_exchange_allows_an_address(venue: str) -> None:
    """All ask at once, as after an outage of the line."""
    urls, costs = SHARED[venue]
    pace = Pace()
    accounts = [replace(account_of(venue), name=str(n), url=urls[n % len(urls)]) for n in range(12)]
    limits = [limit for limit in venue_named(venue).rest_limits if limit.shared_at]
    exchange = [RateLimit(limit.cost_max, round(limit.window_s * 1000)) for limit in limits]
    rates = [pace.address(account).rate for account in accounts]
    assert len(set(rates)) == 1
    due = [(0.0, n, 0) for n in range(len(accounts))]
    while due:
        now_s, n, asked = heappop(due)
        at_s = rates[n].turn_s(now_s, costs[asked])
        assert not any(one.spend("1.2.3.4", round(at_s * 1000), costs[asked]) for one in exchange)
        if asked + 1 < len(costs):
            heappush(due, (at_s + 0.05, n, asked + 1))


def test_a_ban_of_an_address_is_a_ban_of_all_accounts_there() -> None:
    pace, account = Pace(), account_of("binance")
    coins = replace(account, url="https://dapi.binance.com")
    usd = replace(account, url="https://fapi.binance.com")
    demo = replace(account, url="https://demo-fapi.binance.com")
    pace.address(coins).ask_later(600.0)
    pace.address(usd).ask_later(100.0)
    assert [pace.address(one).wait_s(0.0) for one in (usd, coins, demo)] == [600.0, 600.0, 0.0]
    # Where each account has limits of its own, it waits for itself.
    pace.address(account_of("okx")).ask_later(600.0)
    assert pace.address(account_of("okx")).wait_s(0.0) == 0.0


LIMITED_OPEN = [name for name in VENUES if venue_named(name).connections.open_max]


def accounts_of(venue: str, count: int) -> list[Account]:
    return [replace(account_of(venue), name=f"number-{number}") for number in range(count)]


@pytest.mark.parametrize("venue", LIMITED_OPEN)
def test_more_sockets_than_an_exchange_allows_open_are_warned_of(venue: str) -> None:
    open_max = venue_named(venue).connections.open_max
    assert open_max is not None
    most = open_max // len(account_of(venue).streams)
    others = [*accounts_of("fmex", 200), *accounts_of("okx", 200)]
    assert too_many_connections([*accounts_of(venue, most), *others]) == []
    (sentence,) = too_many_connections([*accounts_of(venue, most + 1), *others])
    assert sentence.startswith(f"{venue} allows an IP address {open_max} open connections, and the configured accounts")
    # At another address the exchange, such as its testnet, counts for itself.
    elsewhere = [replace(one, url="http://127.0.0.1:10") for one in accounts_of(venue, most)]
    assert too_many_connections([*accounts_of(venue, most), *elsewhere]) == []


def test_each_socket_of_an_account_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venue_named("okx"), "connections", Connections(open_max=5))
    assert len(account_of("okx").streams) == 2
    assert too_many_connections(accounts_of("okx", 2)) == []
    (sentence,) = too_many_connections(accounts_of("okx", 3))
    assert "at ws://127.0.0.1:9 need 6: it will refuse some of them" in sentence


def test_an_exchange_without_a_limit_is_never_waited_for() -> None:
    account, pace = account_of("fmex"), Pace()
    assert not any(pace.wait_s(account, 1.0) for _ in range(1_000))
