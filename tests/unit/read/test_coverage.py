"""How much of the time the record covers."""

import pytest

from recorder.read.coverage import coverage
from recorder.read.records import Coverage, Gap


def gap(begins_ns: int | None, ends_ns: int | None, topic: str | None = None) -> Gap:
    return Gap("main", begins_ns, ends_ns, topic, "lost", None, "open", 1)


@pytest.mark.parametrize(
    ("gaps", "until_ns", "expected"),
    [
        # Nothing yet; connected, but not covered yet.
        ([], None, (None, None, 0, 0, False)),
        ([gap(None, None)], None, (None, None, 0, 0, True)),
        ([gap(None, None)], 50, (None, 50, 0, 0, True)),
        # Covered since 100.
        ([gap(None, 100)], 100, (100, 100, 0, 0, False)),
        ([gap(None, 100)], 150, (100, 150, 50, 0, False)),
        # A gap that is over, and one that lasts: it is counted up to the last frame.
        ([gap(None, 100), gap(120, 130)], 150, (100, 150, 40, 1, False)),
        ([gap(None, 100), gap(120, None)], 150, (100, 150, 20, 1, True)),
        ([gap(None, 100), gap(120, 130), gap(140, None)], 140, (100, 140, 30, 2, True)),
        # The last frame came before the gap's end was known.
        ([gap(None, 100), gap(120, 200)], 150, (100, 150, 20, 1, False)),
        # A topic of its own does not count.
        ([gap(None, 100), gap(None, 130, "order.a"), gap(110, None, "order.b")], 150, (100, 150, 50, 0, False)),
        # A clock that went back makes neither less than nothing nor more than there was.
        ([gap(None, 100), gap(120, 110)], 150, (100, 150, 50, 1, False)),
        ([gap(None, 100)], 90, (100, 90, 0, 0, False)),
    ],
)
def test_coverage(gaps: list[Gap], until_ns: int | None, expected: tuple[object, ...]) -> None:
    assert coverage("main", gaps, until_ns) == Coverage("main", *expected)  # type: ignore[arg-type]
