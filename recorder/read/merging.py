"""What the latest state of a thing leaves out, and older ones say. Pure.

- The terms of an order stay what they are while it exists, but not every channel of a venue has them all: of each, the
  newest value of any state counts.
- Everything else is of one moment. In a whole state, None means that there is none; in a partial one, unchanged.
- An open state without a time of its own, as in a list of open orders, may be older than the end of the order that was
  received before it: of an order that has ended, it says terms that nothing else does, and no more.
"""

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any, TypeVar

from recorder.model import OPEN_STATUSES
from recorder.store.latest_orders import KNOWN_ENDS

S = TypeVar("S")

#: The terms of an order. A venue may leave out the symbol where the id alone identifies an order.
TERMS = (
    *("market", "symbol", "client_order_id", "side", "position_side", "order_type", "time_in_force"),
    *("post_only", "reduce_only", "price", "trigger_price", "quantity", "quote_quantity", "fee_currency", "created_ms"),
)
#: What a partial state of an order may leave out.
LEFT_OUT = (*TERMS, "filled_quantity", "average_price", "status", "venue_status", "reason", "fee", "updated_ms")


def latest(states: Sequence[S]) -> tuple[int, S]:
    """The place of an order's latest state among all, oldest first; and that state, completed with what all say.

    It is the last one; but the end of the order, if only open states without a time of their own came after it.
    """
    last = next((place for place in range(len(states) - 1, -1, -1) if not is_listed_open(states[place])), -1)
    end: Any = states[last]
    place = last if last >= 0 and end.status in KNOWN_ENDS else len(states) - 1
    state = reduce(merged, states[: place + 1])
    return place, reduce(lambda known, behind: completed(known, behind, TERMS), states[place + 1 :], state)


def merged(before: S, state: S) -> S:
    """The state of an order, completed with what was known before.

    Args:
        before: what was known: the state before, completed in the same way.
        state: the next one.
    """
    some: Any = state
    return completed(state, before, LEFT_OUT if some.is_partial else TERMS)


def is_listed_open(state: Any) -> bool:
    """Whether an order is open by a state without a time of its own."""
    return state.status in OPEN_STATUSES and state.updated_ms is None and state.event_ms is None


def is_behind(state: Any, before: Any) -> bool:
    """Whether a state of an order that was received after another one is not later."""
    return before.status in KNOWN_ENDS and is_listed_open(state)


def completed(state: S, before: Any, names: Iterable[str]) -> S:
    """A state with those of its fields that are None as they were before."""
    some: Any = state
    known = {name: was for name in names if getattr(some, name) is None and (was := getattr(before, name)) is not None}
    return some._replace(**known) if known else state
