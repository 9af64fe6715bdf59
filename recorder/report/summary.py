"""The top of the page: one sentence on how complete the record is, and the findings by their weight."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from recorder.report.coverage import AccountCoverage
from recorder.report.evidence import VerificationResult
from recorder.report.gather import Report
from recorder.report.trading import BookSum
from recorder.report.words import NAME_MAX, count, duration, instant, listing, percent, words

#: Weights: all is well, worth knowing, needs attention.
WELL, NOTE, LOOK = "well", "note", "look"

#: Topics named in the sentence.
TOPICS_NAMED_MAX = 3

#: State of a gap → its words.
_STATES = {
    "reconciled": "reconciled with the exchange's REST interface",
    "unrecoverable": "not recoverable",
    "open": "not reconciled yet",
}


class SummaryLine(NamedTuple):
    """One line of the summary."""

    what: str
    result: str
    detail: str
    weight: str


def share(covered: AccountCoverage) -> str:
    """How much is covered; never rounded up."""
    if covered.begins_ns is None:
        return "not covered"
    whole_ns = covered.ends_ns - covered.begins_ns
    if covered.covered_ns == whole_ns:
        return "all covered"
    return f"{percent(covered.covered_ns, whole_ns)}\N{NO-BREAK SPACE}% covered"


def completeness(covered: AccountCoverage, *, several: bool) -> str:
    """How complete the record of an account is, in a sentence.

    Args:
        covered: the account's coverage.
        several: whether the report has more accounts, so this one must be named.
    """
    of = f" of {words(covered.account)}" if several else ""
    if covered.begins_ns is None:
        return (
            f"The record{of} covers nothing of this period: there was no connection on which all topics were "
            "acknowledged."
        )
    whole_ns = covered.ends_ns - covered.begins_ns
    if covered.covered_ns == whole_ns:
        text = f"The record{of} covers all of the {duration(whole_ns)}: no push can have been missed unnoticed."
    else:
        # Both are cut off, and must not read as if nothing were missing.
        part, whole = duration(covered.covered_ns), duration(whole_ns)
        part = f"all but {duration(whole_ns - covered.covered_ns)}" if part == whole else part
        text = f"The record{of} covers {part} of {whole}, {share(covered).removesuffix(' covered')}. {_gaps(covered)}"
    return text + _topics(covered) + _end(covered)


def _gaps(covered: AccountCoverage) -> str:
    number = sum(covered.gaps.values())
    if number == 0:
        return "In the rest, pushes may have been missed."
    kinds = [f"{covered.gaps[state]:,} {means}" for state, means in _STATES.items() if covered.gaps.get(state)]
    if len(kinds) == 1:
        kinds = [f"{'it is' if number == 1 else 'all are'} {kinds[0].partition(' ')[2]}"]
    together = f", {duration(sum(covered.gaps_ns.values()))}{' in total' * (number > 1)}"
    return f"Pushes may have been missed in {count(number, 'gap')}{together}: {listing(kinds)}."


def _topics(covered: AccountCoverage) -> str:
    topics = sorted({one.topic for one in covered.whole.uncovered if one.topic is not None})
    if not topics:
        return ""
    shown = [words(topic, NAME_MAX) for topic in topics[:TOPICS_NAMED_MAX]]
    if len(topics) > len(shown):
        shown.append(f"{len(topics) - len(shown):,} more")
    verb = "was" if len(topics) == 1 else "were"
    return f" For some time, {listing(shown)} {verb} not covered although other topics were."


def _end(covered: AccountCoverage) -> str:
    gap = covered.ongoing
    if gap is None or gap.begins_ns is None:
        return ""
    after = "this period" if gap.begins_ns + 1 >= covered.ends_ns else f"{instant(gap.begins_ns)} UTC"
    return f" Nothing was recorded after {after} ({words(gap.reason)})."


def summary(report: Report) -> list[SummaryLine]:
    """The findings, in the order of a reader's questions."""
    return [*_of_gaps(report), *_of_values(report), *_of_books(report.books), *_of_frames(report), *_of_seals(report)]


def _of_gaps(report: Report) -> Iterator[SummaryLine]:
    for state, what, weight, none in (
        ("unrecoverable", "Gaps that could not be recovered", LOOK, ""),
        ("open", "Gaps not reconciled yet", LOOK, "every gap that has ended is settled"),
        ("reconciled", "Gaps reconciled", NOTE, ""),
    ):
        number = sum(covered.gaps.get(state, 0) for covered in report.covered)
        length_ns = sum(covered.gaps_ns.get(state, 0) for covered in report.covered)
        if number:
            yield SummaryLine(what, f"{number:,}", f"{duration(length_ns)} in total", weight)
        else:
            yield SummaryLine(what, "none", none, WELL)


def _of_values(report: Report) -> Iterator[SummaryLine]:
    total = report.discrepancies.total
    compared = sum(rounds.results.get("compared", 0) for rounds in report.rounds)
    if total:
        yield SummaryLine("Discrepancies", f"{total:,}", "two sources contradict each other outside any gap", LOOK)
    elif compared:
        yield SummaryLine("Discrepancies", "none", f"REST and pushes were compared {count(compared, 'time')}", WELL)
    else:
        yield SummaryLine("Discrepancies", "none", "but REST and pushes were not compared in this period", NOTE)


def _of_books(books: Sequence[BookSum]) -> Iterator[SummaryLine]:
    what = "Unexplained balance changes"
    found = sum(book.found for book in books)
    if not books:
        return
    if found:
        detail = "an unknown transfer, or a push that was missed"
        yield SummaryLine(what, count(found, "change"), detail, LOOK)
    else:
        yield SummaryLine(what, "none", "realized PnL, fees and known transfers explain every change", WELL)


def _of_frames(report: Report) -> Iterator[SummaryLine]:
    total, what = report.undecoded.total, "Undecoded frames"
    if total:
        yield SummaryLine(what, f"{total:,}", "stored as received", LOOK)
    else:
        yield SummaryLine(what, "none", "every frame was decoded", WELL)
    if report.redacted.total:
        frames = sum(one.last_seq - one.first_seq + 1 for one in report.redacted.rows)
        yield SummaryLine("Redacted frames", count(frames, "frame"), "their digests are kept", NOTE)


def _of_seals(report: Report) -> Iterator[SummaryLine]:
    unsealed = sum(one.unsealed for one in report.seals)
    if unsealed:
        yield SummaryLine("Batches without a seal", f"{unsealed:,}", "every batch is sealed when it is written", LOOK)
    yield _of_verification(report.verification)


def _of_verification(result: VerificationResult | None) -> SummaryLine:
    if result is None:
        return SummaryLine("Seals", "not verified", "in this report; recorder verify does it", NOTE)
    if result.findings.total:
        return SummaryLine("Seals", count(result.findings.total, "finding"), "the record has been changed", LOOK)
    return SummaryLine("Seals", "intact", "nothing has changed since it was written; details below", WELL)
