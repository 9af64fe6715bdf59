"""How much of the time the record covers."""

import pytest

from recorder.read.coverage import coverage, full_coverage
from recorder.read.records import Coverage, Gap


def gap(begins_ns: int | None, ends_ns: int | None, topic: str | None = None, reason: str = "lost") -> Gap:
    return Gap("main", begins_ns, ends_ns, topic, reason, None, "open", 1)


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


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ([gap(None, None)], []),
        ([gap(None, 100)], [(100, 500)]),
        ([gap(None, 100), gap(200, 300), gap(400, None)], [(100, 200), (300, 400)]),
        ([gap(None, 500)], [(500, 500)]),
        ([gap(None, 600)], []),
        ([gap(None, 100), gap(450, 700)], [(100, 450)]),
        # Where one topic alone is missing, something may have been missed.
        ([gap(None, 100), gap(150, 250, "position.a", "refused"), gap(200, 300)], [(100, 150), (300, 500)]),
        ([gap(None, 100), gap(None, 200, "order.b", "beginning")], [(200, 500)]),
        # But not where it is not asked for any more.
        ([gap(None, 100), gap(300, None, "order.b", "unsubscribed")], [(100, 500)]),
        ([gap(None, 100), gap(300, None, "order.b", "unsubscribed / never asked for")], [(100, 500)]),
        ([gap(None, 100), gap(300, None, "order.b", "unsubscribed / refused")], [(100, 300)]),
    ],
)
def test_full_coverage(gaps: list[Gap], expected: list[tuple[int, int]]) -> None:
    assert full_coverage(gaps, 500) == expected
