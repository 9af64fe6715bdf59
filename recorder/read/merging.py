"""What the latest state of a thing leaves out, and older ones say. Pure.

- The terms of an order stay what they are while it exists, but not every channel of a venue has them all: of each, the
  newest value of any state counts.
- Everything else is of one moment. In a whole state, None means that there is none; in a partial one, unchanged.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

S = TypeVar("S")

#: The terms of an order. A venue may leave out the symbol where the id alone identifies an order.
TERMS = (
    *("market", "symbol", "client_order_id", "side", "position_side", "order_type", "time_in_force"),
    *("post_only", "reduce_only", "price", "trigger_price", "quantity", "quote_quantity", "fee_currency", "created_ms"),
)
#: What a partial state of an order may leave out.
LEFT_OUT = (*TERMS, "filled_quantity", "average_price", "status", "venue_status", "reason", "fee", "updated_ms")


def merged(before: S, state: S) -> S:
    """The state of an order, completed with what was known before.

    Args:
        before: what was known: the state before, completed in the same way.
        state: the next one.
    """
    some: Any = state
    return completed(state, before, LEFT_OUT if some.is_partial else TERMS)


def completed(state: S, before: Any, names: Iterable[str]) -> S:
    """A state with those of its fields that are None as they were before."""
    some: Any = state
    known = {name: was for name in names if getattr(some, name) is None and (was := getattr(before, name)) is not None}
    return some._replace(**known) if known else state
