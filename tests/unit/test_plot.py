"""The chart of balances: an image that shows them, or one sentence."""

import builtins
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.cli.plot import plot_balances
from recorder.errors import ConfigurationError
from recorder.read.records import Balance, Gap

NOON_NS = 1_580_802_053_662_000_000
HOUR_NS = 3_600 * 10**9


def balance(hour: int, available: str | None, account: str = "main", currency: str = "BTC") -> Balance:
    told = dict.fromkeys(Balance._fields) | {"account": account, "received_ns": NOON_NS + hour * HOUR_NS}
    told |= {"currency": currency, "available": None if available is None else Decimal(available)}
    return Balance(**told)  # type: ignore[arg-type]


BALANCES = [
    balance(0, "1"),
    balance(1, "1.5"),
    balance(2, "3", "other"),
    balance(2, None),
    balance(3, "7", "main", "FT"),
]
GAPS = [
    Gap("main", None, NOON_NS, None, "beginning", None, "open", 1),
    Gap("main", NOON_NS + HOUR_NS, NOON_NS + 2 * HOUR_NS, None, "lost", None, "open", 2),
    Gap("main", NOON_NS + 3 * HOUR_NS, None, None, "lost", None, "open", 3),
]


def test_an_image_of_each_kind(tmp_path: Path) -> None:
    for name, start in (("b.png", b"\x89PNG"), ("b.svg", b"<?xml")):
        assert plot_balances(BALANCES, GAPS, tmp_path / name) == 5
        assert (tmp_path / name).read_bytes().startswith(start)
    drawn = (tmp_path / "b.svg").read_text()
    for text in ("BTC in all", "FT in all", ">main<", ">other<", "grey: not covered", "time of receipt, UTC"):
        assert text in drawn
    without = tmp_path / "c.svg"
    plot_balances(BALANCES, [], without)
    # One stretch, behind each of the two currencies.
    assert drawn.count("opacity: 0.2") - without.read_text().count("opacity: 0.2") == 2


def test_nothing_to_draw_makes_no_image(tmp_path: Path) -> None:
    assert plot_balances([], GAPS, tmp_path / "b.png") == 0
    assert not (tmp_path / "b.png").exists()


def test_an_image_of_no_kind(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"end the name with \.png or \.svg"):
        plot_balances(BALANCES, GAPS, tmp_path / "b.txt")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'exchange-recorder\[plot\]'"):
        plot_balances(BALANCES, GAPS, tmp_path / "b.png")
