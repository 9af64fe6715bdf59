"""Where a snapshot over REST contradicts the pushes, by a venue's table of what can be compared. Pure.

A snapshot and the pushes race, so a value is a contradiction only if *none* of the states seen around the time of the
request carried it. Values are compared one by one, because nothing promises that REST reads all fields at one instant.

A venue gives `Venue.comparable`, one `Comparable` for each list in the answers to `Purpose.SNAPSHOT`. To fill it:

- Leave out every field that changes without a push (mark price, unrealized PnL, liquidation price, leverage), that
  pushes or answers lack, or that the two define differently. A missing value (None) contradicts nothing.
- Give `absent` only where an answer lists everything of its kind, over all its pages.
- Give several entries of one kind if several requests list it, each with `covers` for its part. If an answer lists more
  than is pushed, `topic` is None for the rest.
- Allow no more tolerance than the venue's own digits need.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from recorder.model import (
    BALANCES,
    ENDED,
    FINAL_STATUSES,
    POSITIONS,
    AccountUpdate,
    Listing,
    OrderUpdate,
    PositionUpdate,
    State,
    Thing,
    thing_of,
)
from recorder.venues.rest import Answer

_ZERO = Decimal(0)
#: A text that ends within the name of a path or of a parameter's value: it may go on and be another one.
_goes_on = re.compile(r"\w[\w/.-]$").search
_NOUNS: dict[type[State], str] = {AccountUpdate: "balance", OrderUpdate: "order", PositionUpdate: "position"}


class Comparable(NamedTuple):
    """What of one list in a snapshot can be compared with the pushes."""

    #: Of the things listed: `AccountUpdate`, `OrderUpdate` or `PositionUpdate`.
    kind: type[State]
    #: The list is in the answers to requests that begin with this text (`target_of`): `/positions?category=spot`,
    #: `POST /info {"type":"positions"`.
    target: str
    #: The topic that pushes a thing, as `Stream.topics` spells it; None: none does.
    topic: Callable[[Any], str | None]
    #: The fields that are numbers.
    numbers: tuple[str, ...]
    #: The fields that are words, such as `status`.
    words: tuple[str, ...] = ()
    #: The values of a thing that is not listed, such as a quantity of 0, or the status `ENDED`, which equals any
    #: final one; empty: the list is not complete, and what it leaves out contradicts nothing.
    absent: Mapping[str, str] = {}
    #: When a thing expires, by its name, milliseconds since 1970; None: it does not. Maybe nobody pushes its end: from
    #: then on it contradicts nothing if it is not listed.
    expires_ms: Callable[[Any], int | None] = lambda _state: None
    #: Whether a thing belongs to this list, where several lists have things of this kind.
    covers: Callable[[Any], bool] = lambda _state: True
    #: Numbers are the same within this share of the greater one, or within this distance.
    relative: Decimal = _ZERO
    absolute: Decimal = _ZERO
    #: Words that count as another one, because the pushes of the topic do not tell the two apart.
    alike: Mapping[str, str] = {}


class CompleteList(NamedTuple):
    """A frame that lists all balances or positions of a part of the account: what it leaves out is zero."""

    #: `BALANCES` or `POSITIONS`.
    kind: str
    #: The topic of such a frame, or the path of such a request, or all that comes before the rest of its parameters.
    begins: str
    #: What a topic that begins so contains if only a part is asked for, such as `symbol=`.
    parts: tuple[str, ...] = ()
    #: Whether the list with this topic covers a thing, of which only what identifies it is known.
    covers: Callable[[str, Any], bool] = lambda _topic, _state: True

    def has(self, topic: str) -> bool:
        """Whether the frame with this topic is such a list."""
        if not topic.startswith(self.begins):
            return False
        rest = topic[len(self.begins) :]
        is_another = bool(rest) and _goes_on(self.begins[-1] + rest[0])
        return not is_another and not any(part in rest for part in self.parts)


def complete_lists(comparable: Sequence[Comparable], *parts: str) -> tuple[CompleteList, ...]:
    """The lists of balances and positions that are complete, by what it means if they leave something out.

    Args:
        comparable: the venue's table.
        parts: what a request for a part of such a list contains.
    """
    kinds: dict[type[State], str] = {AccountUpdate: BALANCES, PositionUpdate: POSITIONS}
    return tuple(
        CompleteList(kinds[how.kind], how.target, parts, partial(_covers, how))
        for how in comparable
        if how.absent and how.kind in kinds
    )


def _covers(how: Comparable, _topic: str, state: State) -> bool:
    return how.covers(state)


def listings_of(lists: Sequence[CompleteList], topic: str) -> tuple[Listing, ...]:
    """Which complete lists the frame with this topic is."""
    return tuple(Listing(None, 1, kind, topic) for kind in dict.fromkeys(one.kind for one in lists if one.has(topic)))


class Seen(NamedTuple):
    """A state as one frame showed it."""

    session_id: int
    state: State


#: For each thing its states around the time of a request, oldest first, at least one. None: there was no such thing.
Passed = Mapping[Thing, Sequence[Seen | None]]


class Contradiction(NamedTuple):
    """A snapshot carries a value that the record did not show at any time near it."""

    thing: Thing
    #: For people, such as `order 849758102002`.
    subject: str
    field: str
    #: The frame of the snapshot. Of a thing that is not listed, the last frame of the list.
    seq: int
    #: The value in the snapshot, and the one the record showed last; None if there is no such thing.
    told: str | None
    held: str | None
    #: Session of the frame that showed `held`; None if there was none.
    held_session_id: int | None


def contradictions(
    comparable: Sequence[Comparable],
    answers: Sequence[Answer],
    topics: Collection[str],
    passed: Passed,
    unanswered: Collection[str] = (),
    asked_ms: int = 0,
) -> tuple[Contradiction, ...]:
    """The values in a snapshot that no push around the time of the request carried.

    Args:
        comparable: the venue's table.
        answers: all answers of a snapshot.
        topics: the topics that are pushed; nothing else is compared.
        passed: all states that the record had or received in that time.
        unanswered: beginnings of the topics of questions without an answer: of those, what is not listed says nothing.
        asked_ms: when the snapshot was asked for, milliseconds since 1970.
    """
    found: list[Contradiction] = []
    for how in comparable:
        pages = [answer for answer in answers if answer.target.startswith(how.target)]
        if pages:
            found += _of_list(how, pages, topics, passed, tuple(unanswered), asked_ms)
    return tuple(found)


def _of_list(
    how: Comparable,
    pages: Sequence[Answer],
    topics: Collection[str],
    passed: Passed,
    unanswered: tuple[str, ...],
    asked_ms: int,
) -> list[Contradiction]:
    listed: dict[Thing, tuple[State | None, int]] = {
        thing: (None, pages[-1].seq)
        for thing, states in passed.items()
        if thing.kind is how.kind
        and any(seen is not None and how.covers(seen.state) and _exists(how, seen.state, asked_ms) for seen in states)
    }
    for page in pages:
        states = (state for state in page.updates if isinstance(state, how.kind) and how.covers(state))
        listed |= {thing_of(state): (state, page.seq) for state in states}
    found: list[Contradiction] = []
    for thing, (state, seq) in listed.items():
        held = passed.get(thing, (None,))
        topic = _topic(how, state, held)
        if topic is not None and topic in topics and not (state is None and topic.startswith(unanswered)):
            found += _of_thing(how, thing, seq, state, held)
    return found


def _exists(how: Comparable, state: State, at_ms: int) -> bool:
    """Whether a thing has not expired at a time, milliseconds since 1970."""
    expires_ms = how.expires_ms(state)
    return expires_ms is None or at_ms < expires_ms


def _topic(how: Comparable, listed: State | None, states: Sequence[Seen | None]) -> str | None:
    """The topic of a thing, according to any of its states."""
    every = [listed, *(seen.state for seen in states if seen is not None)]
    return next((topic for state in every if state and (topic := how.topic(state))), None)


def _of_thing(
    how: Comparable, thing: Thing, seq: int, listed: State | None, states: Sequence[Seen | None]
) -> list[Contradiction]:
    found = []
    for field in (*how.numbers, *how.words):
        value = _value(how, listed, field)
        values = [(_value(how, seen.state if seen else None, field), seen) for seen in states]
        shown = [(held, seen) for held, seen in values if held is not None]
        if value is None or not shown or any(_same(how, field, value, held) for held, _ in shown):
            continue
        held, seen = shown[-1]
        found.append(
            Contradiction(
                thing,
                f"{_NOUNS[how.kind]} {thing.name}",
                field,
                seq,
                None if listed is None else value,
                None if seen is None else held,
                None if seen is None else seen.session_id,
            )
        )
    return found


def _value(how: Comparable, state: State | None, field: str) -> str | None:
    """The value of a field; None if the state has none, which contradicts nothing."""
    if state is None:
        return how.absent.get(field)
    if isinstance(state, PositionUpdate) and field != "quantity" and _is_zero(state.quantity):
        return None  # the fields of a closed position mean nothing
    value: str | None = getattr(state, field)
    return value


def _same(how: Comparable, field: str, one: str, other: str) -> bool:
    if field in how.words:
        one, other = how.alike.get(one, one), how.alike.get(other, other)
        return one == other or (one == ENDED and other in FINAL_STATUSES) or (other == ENDED and one in FINAL_STATUSES)
    first, second = Decimal(one), Decimal(other)
    return abs(first - second) <= max(how.absolute, how.relative * max(abs(first), abs(second)))


def _is_zero(digits: str | None) -> bool:
    return digits is not None and Decimal(digits) == _ZERO
