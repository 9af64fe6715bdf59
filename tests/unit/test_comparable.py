"""A venue's table of what can be compared: several lists of one kind, lists that are not complete, tolerance."""

from decimal import Decimal

import pytest

from recorder.model import AccountUpdate, PositionUpdate, State, Thing, thing_of
from recorder.venues import venue_named
from recorder.venues.comparable import Comparable, Contradiction, Passed, Seen, contradictions
from recorder.venues.rest import Answer

#: 2026-03-27 08:00 UTC.
EXPIRY_MS = 1_774_598_400_000

NO_POSITION = PositionUpdate(None, 0, 0, None, "", *[None] * 13)
LINEAR = NO_POSITION._replace(market="linear", symbol="BTCUSDT", quantity="1")
INVERSE = NO_POSITION._replace(market="inverse", symbol="BTCUSD", quantity="2")
OPTION = NO_POSITION._replace(market="option", symbol="BTC-1", quantity="3")
USD = AccountUpdate(None, 0, 0, None, "USD", "100.0", *[None] * 7)


def positions_of(market: str) -> Comparable:
    return Comparable(
        PositionUpdate,
        f"/positions?market={market}",
        lambda position: None if position.symbol == "HIDDEN" else "position",
        ("quantity",),
        absent={"quantity": "0"},
        covers=lambda position: position.market == market,
    )


BALANCES = Comparable(AccountUpdate, 'POST /info {"type":"balances"', lambda _: "wallet", ("balance",))
TABLE = (positions_of("linear"), positions_of("inverse"), BALANCES)


def held(*states: State) -> Passed:
    passed: dict[Thing, list[Seen | None]] = {thing_of(state): [Seen(7, state)] for state in states}
    return passed


def answers(*lists: tuple[str, tuple[State, ...]]) -> list[Answer]:
    return [Answer(seq, target, states) for seq, (target, states) in enumerate(lists)]


def compare(told: list[Answer], passed: Passed, table: tuple[Comparable, ...] = TABLE) -> tuple[Contradiction, ...]:
    return contradictions(table, told, ["position", "wallet"], passed)


def test_each_list_of_a_kind_covers_its_part_over_all_its_pages() -> None:
    told = answers(
        ("/positions?market=linear&page=1", ()),
        ("/positions?market=linear&page=2", (LINEAR,)),
        ("/positions?market=inverse", ()),
    )
    # Nothing lists options, so a missing one contradicts nothing.
    (found,) = compare(told, held(LINEAR, INVERSE, OPTION))
    assert (found.subject, found.told, found.held, found.seq) == ("position BTCUSD", None, "2", 2)
    # A list that was not asked for leaves nothing out.
    assert compare(told[:2], held(LINEAR, INVERSE)) == ()


def test_what_has_expired_contradicts_nothing_if_it_is_not_listed() -> None:
    expiring = positions_of("option")._replace(expires_ms=lambda position: int(position.symbol.partition("-")[2]))
    told, passed = answers(("/positions?market=option", ())), held(OPTION)
    (found,) = contradictions([expiring], told, ["position"], passed, asked_ms=0)
    assert (found.subject, found.told, found.held) == ("position BTC-1", None, "3")
    assert contradictions([expiring], told, ["position"], passed, asked_ms=1) == ()
    listed = answers(("/positions?market=option", (OPTION._replace(quantity="2"),)))
    (found,) = contradictions([expiring], listed, ["position"], passed, asked_ms=1)
    assert (found.told, found.held) == ("2", "3")


@pytest.mark.parametrize(
    ("venue", "dated", "others"),
    [
        ("okx", ["BTC-USD-260327-92000-C", "BTC-USDT-260327"], ["BTC-USDT-SWAP", "BTC-USDT"]),
        ("deribit", ["BTC-27MAR26-92000-C", "BTC_USDC-27MAR26"], ["BTC-PERPETUAL", "BTC_USDC-PERPETUAL"]),
    ],
)
def test_the_names_of_what_expires(venue: str, dated: list[str], others: list[str]) -> None:
    table = venue_named(venue).comparable
    target = next(one.target for one in table if one.kind is PositionUpdate)
    topic = next(one.topic(NO_POSITION) or "" for one in table if one.kind is PositionUpdate)
    passed = held(*(NO_POSITION._replace(symbol=symbol, quantity="1") for symbol in (*dated, *others)))
    for asked_ms, found in ((EXPIRY_MS - 1, [*dated, *others]), (EXPIRY_MS, others)):
        differ = contradictions(table, answers((target, ())), [topic], passed, asked_ms=asked_ms)
        assert [one.subject.removeprefix("position ") for one in differ] == found


def test_what_a_list_that_was_not_answered_to_its_end_leaves_out_contradicts_nothing() -> None:
    told = answers(("/positions?market=linear&page=1", (LINEAR._replace(symbol="ETHUSDT"),)))
    for topics in ([""], ["pos"], ["wallet", "position"]):
        found = contradictions(TABLE, told, ["position"], held(LINEAR), topics)
        assert [one.subject for one in found] == ["position ETHUSDT"]
    found = contradictions(TABLE, told, ["position"], held(LINEAR), ["wallet"])
    assert [one.subject for one in found] == ["position BTCUSDT", "position ETHUSDT"]


def test_a_page_names_the_frame_that_contradicts() -> None:
    more = LINEAR._replace(symbol="ETHUSDT")
    told = answers(("/positions?market=linear&page=1", (LINEAR,)), ("/positions?market=linear&page=2", (more,)))
    (first, second) = compare(told, {})
    assert [(one.subject, one.seq) for one in (first, second)] == [("position BTCUSDT", 0), ("position ETHUSDT", 1)]


def test_what_a_list_that_is_not_complete_leaves_out_contradicts_nothing() -> None:
    told = answers(('POST /info {"type":"balances","user":"0x1"}', ()))
    assert compare(told, held(USD)) == ()
    other = USD._replace(balance="101")
    (found,) = compare(answers(('POST /info {"type":"balances","user":"0x1"}', (other,))), held(USD))
    assert (found.subject, found.field, found.told, found.held) == ("balance USD", "balance", "101", "100.0")


def test_a_thing_that_no_topic_pushes_is_not_compared() -> None:
    hidden = LINEAR._replace(symbol="HIDDEN")
    assert compare(answers(("/positions?market=linear", (hidden,))), {}) == ()


def test_numbers_are_exact_unless_the_venue_is_not() -> None:
    told = answers(('POST /info {"type":"balances"}', (USD._replace(balance="100.00000001"),)))
    assert len(compare(told, held(USD))) == 1
    assert compare(told, held(USD), (BALANCES._replace(relative=Decimal("1E-9")),)) == ()
    assert compare(told, held(USD), (BALANCES._replace(absolute=Decimal("1E-8")),)) == ()
    same = answers(('POST /info {"type":"balances"}', (USD._replace(balance="1E2"),)))
    assert compare(same, held(USD)) == ()
