"""No exchange ever sees too many new connections of a recorder, however often it ends them."""

from dataclasses import replace

import pytest

from recorder.live.connection import Pace, too_many_connections
from recorder.live.settings import Account
from recorder.venues import VENUES, venue_named
from recorder.venues.limits import ConnectionCount, Connections
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
