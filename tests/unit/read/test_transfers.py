"""A named transfer explains one change: the same account, currency and amount, within a day."""

from decimal import Decimal

import pytest

from recorder.read.books.books import TRANSFER_APART_NS, NamedTransfers
from recorder.read.records import Transfer

FIVE = Decimal("5.000000000000000001")


def test_it_explains_one_change() -> None:
    named = NamedTransfers([Transfer("main", "BTC", 100, FIVE)])
    assert named.explains("main", "BTC", FIVE, 200)
    assert not named.explains("main", "BTC", FIVE, 200)
    assert named.left == []


@pytest.mark.parametrize(
    "other",
    [
        ("other", "BTC", FIVE, 0),
        ("main", "ETH", FIVE, 0),
        ("main", "BTC", -FIVE, 0),
        ("main", "BTC", Decimal(5), 0),
        ("main", "BTC", FIVE, TRANSFER_APART_NS + 1),
        ("main", "BTC", FIVE, -TRANSFER_APART_NS - 1),
    ],
)
def test_it_explains_no_other(other: tuple[str, str, Decimal, int]) -> None:
    named = NamedTransfers([Transfer("main", "BTC", 0, FIVE)])
    assert not named.explains(*other)
    assert len(named.left) == 1
    assert named.explains("main", "BTC", FIVE, TRANSFER_APART_NS)


def test_of_several_the_nearest_is_used_up() -> None:
    transfers = [Transfer("main", "BTC", at_ns, FIVE) for at_ns in (0, 1000, 500)]
    named = NamedTransfers(transfers)
    for at_ns, left in ((900, [0, 500]), (900, [0]), (900, [])):
        assert named.explains("main", "BTC", FIVE, at_ns)
        assert [one.at_ns for one in named.left] == left
