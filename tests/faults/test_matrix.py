"""The matrix adds up, and is written between its marks."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults import matrix


def told(fault: str, venue: str, **numbers: Any) -> dict[str, Any]:
    nothing = {"sent": 0, "lost_outside_gaps": 0, "duplicated": 0, "fills": None, "fills_missing": 0, "unclean": 0}
    return {"fault": fault, "venue": venue, "recover_s": []} | nothing | numbers


TOLD = [
    told("kill", "okx", sent=1_000, recover_s=[1.0]),
    told("cut", "okx", sent=5, lost_outside_gaps=2, duplicated=1, unclean=1),
    told("kill", "okx", sent=500, fills=1_200, fills_missing=1, recover_s=[2.0, 9.0]),
    told("kill", "gate", sent=7, fills=3),
]


def test_it_adds_up() -> None:
    rows = matrix.rows(TOLD)
    assert [row.cells() for row in rows] == [
        ("cut", "okx", "1", "5", "2", "1", "-", "-"),
        ("kill", "gate", "1", "7", "0", "0", "0 of 3", "-"),
        ("kill", "okx", "2", "1,500", "0", "0", "1 of 1,200", "2.0 / 9.0"),
    ]
    assert [row.cells() for row in matrix.totals(rows)] == [
        ("all", "gate", "1", "7", "0", "0", "0 of 3", "-"),
        ("all", "okx", "3", "1,505", "2", "1", "1 of 1,200", "2.0 / 9.0"),
        ("all", "all", "4", "1,512", "2", "1", "1 of 1,203", "2.0 / 9.0"),
    ]


def test_it_is_written_between_its_marks_and_again(tmp_path: Path) -> None:
    path = tmp_path / "doc.md"
    path.write_text(f"before\n{matrix.BEGIN}\nold\n{matrix.END}\nafter\n")
    for _ in range(2):
        matrix.write(path, matrix.rows(TOLD))
    text = path.read_text()
    assert text.startswith(f"before\n{matrix.BEGIN}\n\n| fault | venue |")
    assert text.endswith(f"\n\n{matrix.END}\nafter\n")
    assert (text.count("| kill | okx |"), text.count("old")) == (1, 0)


def test_a_file_without_a_place_for_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "doc.md"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        matrix.write(path, [])
