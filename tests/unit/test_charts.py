"""Charts: an SVG file that shows what it is drawn from, or one sentence."""

from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from recorder.backtest.matching import Traded, match
from recorder.cli.charts import plot_balances, plot_comparison
from recorder.errors import ConfigurationError
from recorder.read.records import Balance, Gap

NOON_NS = 1_580_802_053_662_000_000
HOUR_NS = 3_600 * 10**9


def balance(hour: int, amount: str | None, account: str = "main", currency: str = "BTC") -> Balance:
    fields = dict.fromkeys(Balance._fields) | {"account": account, "received_ns": NOON_NS + hour * HOUR_NS}
    fields |= {"currency": currency, "balance": None if amount is None else Decimal(amount)}
    return Balance(**fields)  # type: ignore[arg-type]


BALANCES = [
    balance(0, "1"),
    balance(1, "1.5"),
    balance(2, "3", "other"),
    balance(2, None),
    balance(3, "7", "main", "<FT>"),
]
GAPS = [
    Gap("main", None, NOON_NS, None, "beginning", None, "open", 1),
    Gap("main", NOON_NS + HOUR_NS, NOON_NS + 2 * HOUR_NS, None, "lost", None, "open", 2),
]


def texts(path: Path) -> list[str]:
    """The words in a picture, which is well-formed."""
    drawn = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    return [one.text or "" for one in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_balances(tmp_path: Path) -> None:
    path = tmp_path / "b.svg"
    assert plot_balances(BALANCES, GAPS, path) == 4
    words = texts(path)
    assert words[:2] == ["Balances", "2020-02-04 07:40:53 to 2020-02-04 10:40:53 UTC"]
    for text in ("BTC: balance, without unrealized PnL", "<FT>", "main", "other", "not covered", "08:00"):
        assert text in words
    # One gap, behind each of the two currencies.
    assert path.read_text().count('class="band open"') == 2
    again = tmp_path / "again.svg"
    plot_balances(BALANCES, GAPS, again)
    assert again.read_bytes() == path.read_bytes()


def test_a_comparison(tmp_path: Path) -> None:
    recorded = [Traded(NOON_NS + at * 10**9, "X", "buy", Decimal(2), Decimal(9000)) for at in (0, 5, 60)]
    backtest = [Traded(NOON_NS + at * 10**9, "X", "sell", Decimal(2), Decimal(9000)) for at in (90,)]
    backtest += [one._replace(time_ns=one.time_ns + 10**9, price=Decimal(9001)) for one in recorded[:2]]
    path = tmp_path / "c.svg"
    plot_comparison(recorded, backtest, match(recorded, backtest, 10**10), path)
    words = texts(path)
    for text in ("Position in X", "record", "backtest", "Price of fills: backtest - record", "missed", "extra", "s"):
        assert text in words
    drawn = path.read_text()
    # Both that match, in two panels; one that was missed, one that is extra; three samples in legends and one more.
    assert [drawn.count(f'class="dot shape-{shape}"') for shape in (0, 1, 2)] == [2 * 2 + 2, 1 + 1, 1 + 1]


def test_nothing_to_draw_makes_no_file(tmp_path: Path) -> None:
    assert plot_balances([], GAPS, tmp_path / "b.svg") == 0
    plot_comparison([], [], [], tmp_path / "b.svg")
    assert list(tmp_path.iterdir()) == []


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"charts are SVG files, .* write --plot .*b\.svg\.$"):
        plot_balances(BALANCES, GAPS, tmp_path / "b.png")
    with pytest.raises(ConfigurationError, match="cannot be written: No such file or directory"):
        plot_balances(BALANCES, GAPS, tmp_path / "no" / "b.svg")
