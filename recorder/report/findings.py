"""What a reader must know first: one honest sentence on how complete the record is, and findings, each with its weight."""

from collections.abc import Iterator
from typing import NamedTuple

from recorder.report.facts import Checked, Covered, Report
from recorder.report.words import count, duration, instant, listing, share, words

#: Weights: all is well, worth knowing, to be looked at.
WELL, NOTE, LOOK = "well", "note", "look"

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


def sentence(covered: Covered) -> str:
    """How complete the record of an account is."""
    if covered.begins_ns is None:
        return (
            f"In this period the record does not cover account {words(covered.account)} at any time: there was no "
            "connection on which all topics were acknowledged."
        )
    begins, ends = instant(covered.begins_ns), instant(covered.ends_ns)
    told = f"Of account {words(covered.account)} the record covers "
    whole_ns = covered.ends_ns - covered.begins_ns
    if covered.covered_ns == whole_ns:
        told += f"all of the {duration(whole_ns)} from {begins} to {ends} UTC: in no stretch of it could a push have been missed."
    else:
        told += (
            f"{duration(covered.covered_ns)} of the {duration(whole_ns)} from {begins} to {ends} UTC, "
            f"{share(covered).removesuffix(' covered')}. {_gaps(covered)}"
        )
    return told + _topics(covered) + _end(covered)


def _gaps(covered: Covered) -> str:
    number = sum(covered.gaps.values())
    if number == 0:
        return "Pushes may have been missed in the rest."
    kinds = [f"{covered.gaps[state]:,} {means}" for state, means in _STATES.items() if covered.gaps.get(state)]
    together = duration(sum(covered.gaps_ns.values()))
    became = f"{'it is' if number == 1 else 'they are'} {list(_STATES.values())[0]}"
    if len(kinds) > 1:
        became = f"{listing(kinds)}"
    else:
        (state,) = [state for state in _STATES if covered.gaps.get(state)]
        became = f"{'it is' if number == 1 else 'all are'} {_STATES[state]}"
    return f"Pushes may have been missed in {count(number, 'gap')}, {together} together: {became}."


def _topics(covered: Covered) -> str:
    topics = sorted({stretch.topic for stretch in covered.whole.stretches if stretch.topic is not None})
    if not topics:
        return ""
    return f" For a time {listing([words(topic) for topic in topics[:4]])}{' and others' * (len(topics) > 4)} alone {'was' if len(topics) == 1 else 'were'} not covered."


def _end(covered: Covered) -> str:
    if covered.lasting is None or covered.lasting.begins_ns is None:
        return ""
    return (
        f" Since {instant(covered.lasting.begins_ns)} nothing is recorded ({words(covered.lasting.reason)})."
    )


def findings(report: Report) -> list[Finding]:
    """The summary, in the order of a reader's questions."""
    return [*_of_gaps(report), *_of_values(report), *_of_frames(report), *_of_seals(report)]


def _of_gaps(report: Report) -> Iterator[Finding]:
    for state, what, weight, none in (
        ("unrecoverable", "Gaps that could not be recovered", LOOK, "what may have been missed was always asked for"),
        ("open", "Gaps not reconciled yet", LOOK, "every gap that has ended was settled"),
        ("reconciled", "Gaps reconciled", NOTE, "there was none to reconcile"),
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
    return Finding("Seals", "intact" if checked.intact else "broken", checked.sentence, WELL if checked.intact else LOOK)
