"""The rule for names: every pair that the exchange has listed, under each of its names, is one symbol."""

import pytest

from recorder.venues.kraken.names import currency, holding, split, symbol
from recorder.venues.kraken.stand_in import spelling
from tests.unit.kraken.frames import FOLDER

PAIRS = [line.split() for line in (FOLDER / "pairs.txt").read_text().splitlines()]


@pytest.mark.parametrize(("pair", "alternative", "pushed"), PAIRS)
def test_a_pair_has_one_symbol(pair: str, alternative: str, pushed: str) -> None:
    older = spelling.slashed(pushed)
    assert {symbol(name) for name in (pair, alternative, pushed, older, f"{pair}.d")} == {pushed}


def test_no_two_pairs_have_the_same_symbol() -> None:
    assert len(PAIRS) > 300
    assert len({symbol(pair) for pair, _, _ in PAIRS}) == len(PAIRS)


def test_the_other_way_round() -> None:
    for _, alternative, pushed in PAIRS:
        assert symbol(spelling.pair_of(pushed)) == pushed
        assert (spelling.alternative(pushed), symbol(spelling.slashed(pushed))) == (alternative, pushed)
    assert spelling.pair_of("BTC/USD") == "XXBTZUSD"


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        # A base currency that ends in the letters of an old code, or of another quote currency.
        ("AI16ZUSD", "AI16Z/USD"),
        ("XTZUSD", "XTZ/USD"),
        ("TRXXBT", "TRX/BTC"),
        ("PUPPYUSD", "PUPPY/USD"),
        ("PEARLUSD", "PEARL/USD"),
        ("TUSDUSD", "TUSD/USD"),
        # The shares of a company.
        ("AAPLxUSD", "AAPLx/USD"),
        ("BTCUSD", "BTC/USD"),
        ("NOTAPAIR", "NOTAPAIR"),
        ("USD", "USD"),
        ("", ""),
    ],
)
def test_pairs_that_could_be_misread(pair: str, expected: str) -> None:
    assert symbol(pair) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("XXBT", ("BTC", "main")),
        ("XBT.F", ("BTC", "flex")),
        ("ZUSD", ("USD", "main")),
        ("USD.M", ("USD", "M")),
        ("XXDG", ("DOGE", "main")),
        ("SOL.F", ("SOL", "flex")),
        ("DOT28.S", ("DOT28", "S")),
        ("KFEE", ("KFEE", "main")),
    ],
)
def test_balances_over_rest_name_their_wallet(code: str, expected: tuple[str, str]) -> None:
    assert holding(code) == expected


def test_currencies() -> None:
    assert [currency(one) for one in ("XBT", "XXBT", "BTC", "ZEUR", "XETH", "ETH", "USDT")] == [
        *("BTC", "BTC", "BTC", "EUR", "ETH", "ETH", "USDT")
    ]
    assert (split("BTC/USD"), split("BTCUSD")) == (("BTC", "USD"), None)


@pytest.mark.parametrize("number", [0, 1, 35, 36, 10**18, 36**16 - 1])
def test_ids(number: int) -> None:
    text = spelling.id_of("O", number)
    assert (len(text), text[0], text[6], text[12]) == (19, "O", "-", "-")
    assert spelling.number_of("O", text) == number
    assert spelling.number_of("T", text) is None
    assert spelling.number_of("O", "O123") is None
