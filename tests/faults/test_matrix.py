"""The matrix adds up, and is written between its marks."""

from pathlib import Path

import pytest

from tests.faults import matrix

TOLD = [
    {"fault": "kill", "sent": 1_000, "lost_outside_gaps": 0, "duplicated": 0, "findings": 0, "recover_s": [1.0]},
    {"fault": "cut", "sent": 5, "lost_outside_gaps": 2, "duplicated": 1, "findings": 3, "recover_s": []},
    {"fault": "kill", "sent": 500, "lost_outside_gaps": 0, "duplicated": 0, "findings": 0, "recover_s": [2.0, 9.0]},
]


def test_it_adds_up() -> None:
    cut, kill = matrix.rows(TOLD)
    assert cut.cells() == ("cut", "1", "5", "2", "1", "-")
    assert kill.cells() == ("kill", "2", "1,500", "0", "0", "2.0 / 9.0")
    assert matrix.total([cut, kill]).cells() == ("all", "3", "1,505", "2", "1", "2.0 / 9.0")


def test_it_is_written_between_its_marks_and_again(tmp_path: Path) -> None:
    path = tmp_path / "doc.md"
    path.write_text(f"before\n{matrix.BEGIN}\nold\n{matrix.END}\nafter\n")
    for _ in range(2):
        matrix.write(path, matrix.rows(TOLD))
    text = path.read_text()
    assert text.startswith(f"before\n{matrix.BEGIN}\n\n| fault |")
    assert text.endswith(f"\n\n{matrix.END}\nafter\n")
    assert (text.count("| kill |"), text.count("old")) == (1, 0)


def test_a_file_without_a_place_for_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "doc.md"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="no place"):
        matrix.write(path, [])
