"""How a venue shows a simulated account: what a stand-in implements to render it. Pure."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from recorder.venues.simulated import (
    Event,
    Moment,
    SimulatedFill,
    SimulatedOrder,
    SimulatedState,
    SimulatedTransaction,
)
from recorder.venues.view import Execution, SentState


class Push(NamedTuple):
    """A frame that the exchange pushes, and what it tells."""

    topic: str
    payload: bytes
    #: Of the moment it is made of: REST reports them once the frame is on its way.
    events: Sequence[Event]


class Face(Protocol):
    """Renders a simulated account as the venue shows it."""

    def topics(self) -> Collection[str]:
        """The topics that can be subscribed to."""
        ...

    def pushes(self, moment: Moment, now_ms: int) -> Iterable[Push]:
        """The frames that tell of a moment, in order.

        Where a venue has several topics for the same thing, each is a frame of its own: clients are sent those that
        they have subscribed to.

        Args:
            moment: what happened.
            now_ms: the exchange's clock as the frames leave, milliseconds since 1970.
        """
        ...

    def snapshot(self, topic: str, state: SimulatedState, now_ms: int, *, is_first: bool) -> Iterable[bytes]:
        """The frames with the full state of a topic; see `AccountView.snapshot`."""
        ...

    def balances(self, state: SimulatedState) -> Iterable[SentState]:
        """The balances as an answer to a request."""
        ...

    def positions(self, state: SimulatedState) -> Iterable[SentState]:
        """The positions that have ever changed as an answer to a request."""
        ...

    def order_number(self, order_id: str) -> int | None:
        """The number of the order that an id of the venue names; None if it is no such id."""
        ...

    def order(self, order: SimulatedOrder) -> SentState:
        """An order as an answer to a request."""
        ...

    def fill(self, fill: SimulatedFill) -> SentState:
        """A fill as an answer to a request. Raises NotImplementedError if the venue has none such."""
        ...

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """A transaction as an answer to a request. Raises NotImplementedError if the venue has none such."""
        ...

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill for a list of an order's executions. Raises NotImplementedError if the venue has none such."""
        ...
