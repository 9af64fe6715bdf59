"""The matrix: a row for each fault and venue, added up over all scenarios that tried it, and where it is written."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

#: What a test says of a scenario travels under this name with its report, from whichever process ran it.
PROPERTY = "fault"

BEGIN = "<!-- matrix: written by make faults -->"
END = "<!-- end of matrix -->"

HEAD = (
    "fault",
    "venue",
    "times tried",
    "frames sent",
    "lost outside gaps",
    "duplicated",
    "fills missing after REST",
    "seconds to recover, median / worst",
)
#: Columns of words; the others are of numbers.
WORDS = 2


@dataclass
class Row:
    """A fault at a venue, over all its scenarios."""

    fault: str
    venue: str
    tried: int = 0
    sent: int = 0
    lost_outside_gaps: int = 0
    duplicated: int = 0
    #: Of the scenarios that ended with asking the exchange about every gap; None: none did.
    fills: int | None = None
    fills_missing: int = 0
    unclean: int = 0
    recover_s: list[float] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        """As it is shown."""
        recovered = f"{median(self.recover_s):.1f} / {max(self.recover_s):.1f}" if self.recover_s else "-"
        numbers = (self.tried, self.sent, self.lost_outside_gaps, self.duplicated)
        filled = "-" if self.fills is None else f"{self.fills_missing:,} of {self.fills:,}"
        return (self.fault, self.venue, *(f"{number:,}" for number in numbers), filled, recovered)

    def add(self, other: "Row") -> None:
        """Add the scenarios of another row."""
        self.tried += other.tried
        self.sent += other.sent
        self.lost_outside_gaps += other.lost_outside_gaps
        self.duplicated += other.duplicated
        if other.fills is not None:
            self.fills = (self.fills or 0) + other.fills
        self.fills_missing += other.fills_missing
        self.unclean += other.unclean
        self.recover_s += other.recover_s


def rows(told: Iterable[dict[str, Any]]) -> list[Row]:
    """Add scenarios up, by fault and venue."""
    found: dict[tuple[str, str], Row] = {}
    for one in told:
        key = one["fault"], one["venue"]
        found.setdefault(key, Row(*key)).add(Row(**one, tried=1))
    return [found[key] for key in sorted(found)]


def totals(all_rows: list[Row]) -> list[Row]:
    """The sums of each venue, and of all."""
    sums: dict[str, Row] = {}
    for row in all_rows:
        sums.setdefault(row.venue, Row("all", row.venue)).add(row)
    whole = Row("all", "all")
    for row in all_rows:
        whole.add(row)
    return [*(sums[venue] for venue in sorted(sums)), whole]


def as_text(all_rows: list[Row]) -> list[str]:
    """The table for a terminal."""
    table = [HEAD, *(row.cells() for row in [*all_rows, *totals(all_rows)])]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if column < WORDS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in table
    ]


def as_markdown(all_rows: list[Row]) -> str:
    """The table for the docs."""
    rule = ["---"] * WORDS + ["---:"] * (len(HEAD) - WORDS)
    lines = [HEAD, rule, *(row.cells() for row in [*all_rows, *totals(all_rows)])]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def write(path: Path, all_rows: list[Row]) -> None:
    """Put the table between its marks in a file.

    Raises:
        ValueError: the file has no such marks.
    """
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no place for the matrix: {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n\n{as_markdown(all_rows)}\n{END}{after}")
