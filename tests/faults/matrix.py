"""The matrix: a row for each fault, added up over all scenarios that tried it, and where it is written."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

#: What a test says of a scenario travels under this name with its report, from whichever process ran it.
PROPERTY = "fault"

BEGIN = "<!-- matrix: written by make faults -->"
END = "<!-- end of matrix -->"

HEAD = ("fault", "times tried", "frames sent", "lost outside gaps", "duplicated", "seconds to recover, median / worst")


@dataclass
class Row:
    """A fault, over all its scenarios."""

    fault: str
    tried: int = 0
    sent: int = 0
    lost_outside_gaps: int = 0
    duplicated: int = 0
    unclean: int = 0
    recover_s: list[float] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        """As it is shown."""
        recovered = f"{median(self.recover_s):.1f} / {max(self.recover_s):.1f}" if self.recover_s else "-"
        numbers = (self.tried, self.sent, self.lost_outside_gaps, self.duplicated)
        return (self.fault, *(f"{number:,}" for number in numbers), recovered)


def rows(told: Iterable[dict[str, Any]]) -> list[Row]:
    """Add scenarios up, by fault."""
    found: dict[str, Row] = {}
    for one in told:
        row = found.setdefault(one["fault"], Row(one["fault"]))
        row.tried += 1
        row.sent += one["sent"]
        row.lost_outside_gaps += one["lost_outside_gaps"]
        row.duplicated += one["duplicated"]
        row.unclean += one["findings"] > 0
        row.recover_s += one["recover_s"]
    return [found[name] for name in sorted(found)]


def total(all_rows: list[Row]) -> Row:
    """The sum of all."""
    return Row(
        "all",
        sum(row.tried for row in all_rows),
        sum(row.sent for row in all_rows),
        sum(row.lost_outside_gaps for row in all_rows),
        sum(row.duplicated for row in all_rows),
        sum(row.unclean for row in all_rows),
        [seconds for row in all_rows for seconds in row.recover_s],
    )


def as_text(all_rows: list[Row]) -> list[str]:
    """The table for a terminal."""
    table = [HEAD, *(row.cells() for row in [*all_rows, total(all_rows)])]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        for cells in table
    ]


def as_markdown(all_rows: list[Row]) -> str:
    """The table for the docs."""
    lines = [HEAD, ("---", *("---:" for _ in HEAD[1:])), *(row.cells() for row in [*all_rows, total(all_rows)])]
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
