"""Whether an instant was covered, in words: what stands below an answer as of that instant."""

import time

import click
from rich.text import Text

from recorder.cli.output import stdout_console
from recorder.clock import utc_text
from recorder.read.coverage.gaps import AFTER, BEFORE, COVERED, InstantCoverage
from recorder.read.records import Filter, Gap
from recorder.read.state.as_of import AsOf


def show_coverage(as_of: AsOf, wanted: Filter, form: str) -> None:
    """Say of each account whether the instant was covered: below a table, beside csv and json on standard error."""
    now_ns = time.time_ns()
    for moment in as_of.coverage(wanted):
        line = sentence(moment, now_ns)
        if form == "table":
            stdout_console().print(Text(line))
        else:
            click.echo(line, err=True)


def sentence(moment: InstantCoverage, now_ns: int) -> str:
    """One account's coverage of an instant.

    Args:
        moment: the instant.
        now_ns: whether it lies in the future is seen from this.
    """
    told = [f"{moment.account}: {utc_text(moment.at_ns)} UTC {_where(moment, now_ns)}"]
    told += [f"topic {gap.topic} was not covered {_gap(gap)}" for gap in moment.topic_gaps]
    return "; ".join(told) + "."


def _where(moment: InstantCoverage, now_ns: int) -> str:
    last = f"the last frame came at {utc_text(moment.last_frame_ns)}" if moment.last_frame_ns else "no frame came yet"
    if moment.at_ns > now_ns:
        return f"is in the future, this is what is known now ({last})"
    if moment.state == COVERED:
        return "was covered"
    if moment.state == BEFORE:
        if moment.gap is None or moment.gap.ends_ns is None:
            return f"was not covered, for no session had all its topics acknowledged yet ({last})"
        return f"is before the record, which begins at {utc_text(moment.gap.ends_ns)}"
    if moment.state == AFTER:
        return f"is after the record, {last}" + (f" ({moment.gap.reason})" if moment.gap else "")
    assert moment.gap is not None
    return f"lies in a gap {_gap(moment.gap)}"


def _gap(gap: Gap) -> str:
    begins = f"since {utc_text(gap.begins_ns)}" if gap.begins_ns is not None else "since before the record"
    ends = f"until {utc_text(gap.ends_ns)}" if gap.ends_ns is not None else "which lasts"
    return f"{begins}, {ends} ({gap.reason}), {gap.state}" + (f": {gap.resolution}" if gap.resolution else "")
