"""What a reader must know first: one honest sentence on how complete the record is, and findings by their weight."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from recorder.report.facts import BookSum, Checked, Covered, Report
from recorder.report.words import NAME_MAX, count, duration, instant, listing, share, words

#: Weights: all is well, worth knowing, to be looked at.
WELL, NOTE, LOOK = "well", "note", "look"

#: In a sentence.
TOPICS_NAMED_MAX = 3

#: State of a gap → how many of them are told of.
_STATES = {
    "reconciled": "reconciled with the exchange's REST interface",
    "unrecoverable": "not recoverable",
    "open": "not reconciled yet",
}


class Finding(NamedTuple):
    """One line of the summary."""

    what: str
    told: str
    detail: str
    weight: str


def sentence(covered: Covered, *, several: bool) -> str:
    """How complete the record of an account is.

    Args:
        covered: what is covered of it.
        several: whether there are more accounts, so that it is to be named.
    """
    of = f" of {words(covered.account)}" if several else ""
    if covered.begins_ns is None:
        return (
            f"The record{of} covers nothing of this period: there was no connection on which all topics were "
            "acknowledged."
        )
    whole_ns = covered.ends_ns - covered.begins_ns
    if covered.covered_ns == whole_ns:
        told = f"The record{of} covers all of the {duration(whole_ns)}: no push can have been missed unnoticed."
    else:
        # Both are cut off: they must not read as if nothing were missing.
        part, whole = duration(covered.covered_ns), duration(whole_ns)
        part = f"all but {duration(whole_ns - covered.covered_ns)}" if part == whole else part
        told = f"The record{of} covers {part} of {whole}, {share(covered).removesuffix(' covered')}. {_gaps(covered)}"
    return told + _topics(covered) + _end(covered)


def _gaps(covered: Covered) -> str:
    number = sum(covered.gaps.values())
    if number == 0:
        return "In the rest, pushes may have been missed."
    kinds = [f"{covered.gaps[state]:,} {means}" for state, means in _STATES.items() if covered.gaps.get(state)]
    if len(kinds) == 1:
        kinds = [f"{'it is' if number == 1 else 'all'} {kinds[0].partition(' ')[2]}"]
    together = f", {duration(sum(covered.gaps_ns.values()))}{' together' * (number > 1)}"
    return f"Pushes may have been missed in {count(number, 'gap')}{together}: {listing(kinds)}."


def _topics(covered: Covered) -> str:
    topics = sorted({stretch.topic for stretch in covered.whole.stretches if stretch.topic is not None})
    if not topics:
        return ""
    shown = [words(topic, NAME_MAX) for topic in topics[:TOPICS_NAMED_MAX]]
    if len(topics) > len(shown):
        shown.append(f"{len(topics) - len(shown):,} more")
    return f" For a time, {listing(shown)} alone {'was' if len(topics) == 1 else 'were'} not covered."


def _end(covered: Covered) -> str:
    if covered.lasting is None or covered.lasting.begins_ns is None:
        return ""
    at_the_end = covered.lasting.begins_ns + 1 >= covered.ends_ns
    after = "it" if at_the_end else f"{instant(covered.lasting.begins_ns)} UTC"
    return f" Nothing is recorded after {after} ({words(covered.lasting.reason)})."


def findings(report: Report) -> list[Finding]:
    """The summary, in the order of a reader's questions."""
    return [*_of_gaps(report), *_of_values(report), *_of_books(report.books), *_of_frames(report), *_of_seals(report)]


def _of_gaps(report: Report) -> Iterator[Finding]:
    for state, what, weight, none in (
        ("unrecoverable", "Gaps that could not be recovered", LOOK, ""),
        ("open", "Gaps not reconciled yet", LOOK, "every gap that has ended is settled"),
        ("reconciled", "Gaps reconciled", NOTE, ""),
    ):
        number = sum(covered.gaps.get(state, 0) for covered in report.covered)
        length_ns = sum(covered.gaps_ns.get(state, 0) for covered in report.covered)
        if number:
            yield Finding(what, f"{number:,}", f"{duration(length_ns)} together", weight)
        else:
            yield Finding(what, "none", none, WELL)


def _of_values(report: Report) -> Iterator[Finding]:
    total = report.discrepancies.total
    compared = sum(rounds.results.get("compared", 0) for rounds in report.rounds)
    if total:
        yield Finding("Discrepancies", f"{total:,}", "two sources contradict each other outside any gap", LOOK)
    elif compared:
        yield Finding("Discrepancies", "none", f"REST and pushes were compared {count(compared, 'time')}", WELL)
    else:
        yield Finding("Discrepancies", "none", "but REST and pushes were not compared in this period", NOTE)


def _of_books(books: Sequence[BookSum]) -> Iterator[Finding]:
    what = "Balances that nothing explains"
    found = sum(book.found for book in books)
    if not books:
        return
    if found:
        yield Finding(what, count(found, "change"), "a transfer that nobody named, or a push that was missed", LOOK)
    else:
        yield Finding(what, "none", "realized PnL, fees and named transfers explain every change", WELL)


def _of_frames(report: Report) -> Iterator[Finding]:
    total = report.undecoded.total
    yield Finding(
        "Frames that could not be decoded",
        f"{total:,}" if total else "none",
        "kept as received" if total else "every frame was read",
        LOOK if total else WELL,
    )
    if report.redacted.total:
        frames = sum(one.last_seq - one.first_seq + 1 for one in report.redacted.rows)
        yield Finding("Redacted on purpose", count(frames, "frame"), "their digests stay", NOTE)


def _of_seals(report: Report) -> Iterator[Finding]:
    unsealed = sum(one.unsealed for one in report.sealed)
    if unsealed:
        yield Finding("Batches without a seal", f"{unsealed:,}", "each batch is sealed when it is written", LOOK)
    yield _checked(report.checked)


def _checked(checked: Checked | None) -> Finding:
    if checked is None:
        return Finding("Seals", "not checked", "in this report; recorder verify checks them", NOTE)
    if checked.findings.total:
        return Finding("Seals", count(checked.findings.total, "finding"), "the record is not as it was written", LOOK)
    return Finding("Seals", "intact", "the record is as it was written; see the seals for against what", WELL)
