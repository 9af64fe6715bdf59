"""What is said of an instant below an answer."""

import pytest

from recorder.cli.look import sentence
from recorder.read.coverage import RecorderCoverage, instant_coverage
from recorder.read.records import Gap
from tests.made import NOON_NS

S = 1_000_000_000


def gap(begins_s: int | None, ends_s: int | None, reason: str = "lost", topic: str | None = None, **more: str) -> Gap:
    """Seconds after noon, 07:40:53."""
    begins_ns, ends_ns = (None if at_s is None else NOON_NS + at_s * S for at_s in (begins_s, ends_s))
    return Gap("main", begins_ns, ends_ns, topic, reason, None, more.get("state", "open"), 1, more.get("resolution"))


GAPS = [
    gap(None, 1, "beginning"),
    gap(5, 6, state="reconciled", resolution="restored: 3 orders"),
    gap(7, None, "refused", "order.x"),
    gap(9, None, "stopped"),
]


@pytest.mark.parametrize(
    ("at_s", "gaps", "last_s", "told"),
    [
        (0, GAPS, 9, "07:40:53.662 UTC is before the record, which begins at 2020-02-04 07:40:54.662."),
        (4, GAPS, 9, "07:40:57.662 UTC was covered."),
        (
            5.5,
            GAPS,
            9,
            "07:40:59.162 UTC is in a gap since 2020-02-04 07:40:58.662, until 2020-02-04 07:40:59.662 (lost), "
            "reconciled: restored: 3 orders.",
        ),
        (
            8,
            GAPS,
            9,
            "07:41:01.662 UTC was covered; topic order.x was not covered since 2020-02-04 07:41:00.662, "
            "not ended (refused), open.",
        ),
        (
            10,
            GAPS[:2] + GAPS[3:],
            9,
            "07:41:03.662 UTC is after the record: the last frame was received at 2020-02-04 07:41:02.662 (stopped).",
        ),
        (
            10,
            GAPS[:1],
            9,
            "07:41:03.662 UTC is after the record: the last frame was received at 2020-02-04 07:41:02.662.",
        ),
        (
            101,
            GAPS[:1],
            9,
            "07:42:34.662 UTC is in the future; this is what is known now "
            "(the last frame was received at 2020-02-04 07:41:02.662).",
        ),
        (
            10,
            [gap(None, None, "beginning")],
            None,
            "07:41:03.662 UTC was not covered: no session had all its topics acknowledged yet "
            "(no frame was received yet).",
        ),
    ],
)
def test_where_an_instant_lies(at_s: float, gaps: list[Gap], last_s: int | None, told: str) -> None:
    side = RecorderCoverage(gaps, frozenset(["order.x"]), None if last_s is None else NOON_NS + last_s * S)
    found = instant_coverage("main", {1: side}, NOON_NS + int(at_s * S))
    assert sentence(found, NOON_NS + 100 * S) == f"main: 2020-02-04 {told}"
