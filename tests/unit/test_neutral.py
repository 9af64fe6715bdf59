"""Only `venues/` knows a venue: no other file names one, or uses one's words."""

import re
from pathlib import Path

import pytest

import recorder
from recorder.venues import VENUES

TOP = Path(recorder.__file__).parent
#: FMex's words for what all venues have, or for what only it has; its symbols end in `_p`.
WORDS = (
    r"FULLY_(?:FILLED|CANCELLED)|PARTIAL_(?:FILLED|CANCELLED)|STOP_(?:PENDING|FAILED|CANCELLED)",
    r"unfilled_quantity|fill_price|margin_currency|trigger_(?:on|direction)|trailing_(?:base_price|distance)",
    r"risk_level|frozen_\w+|\"frozen\"|features|\"(?:LONG|SHORT|LIMIT|MARKET)\"|[A-Za-z]{3,}usd_p",
)
FOREIGN = re.compile(rf"(?i:{'|'.join(VENUES)})|(?<!\w)(?:{'|'.join(WORDS)})(?!\w)", re.ASCII)

FILES = [path for path in sorted(TOP.rglob("*.py")) if path.relative_to(TOP).parts[0] not in {"venues", "migrations"}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TOP)))
def test_no_file_knows_a_venue(path: Path) -> None:
    lines = enumerate(path.read_text("utf-8").splitlines(), 1)
    assert [f"{number}: {line.strip()}" for number, line in lines if FOREIGN.search(line)] == []


def test_a_venue_s_words_are_recognized() -> None:
    for line in (
        "from recorder.venues.fmex import rest",
        'if status == "FULLY_FILLED"',
        "symbol='btcusd_p'",
        'row["frozen"]',
    ):
        assert FOREIGN.search(line)
    for line in ("@dataclass(frozen=True)", "side long", "an FMeasure"):
        assert not FOREIGN.search(line)
