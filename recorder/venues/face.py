"""How a venue shows a simulated account: what a stand-in implements to render it. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
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


def pushed(moment: Moment, frame_of: Callable[[Event], tuple[str, bytes] | None]) -> Iterator[Push]:
    """The frames that tell of a moment, where each tells of one event.

    Args:
        moment: what happened.
        frame_of: topic and frame of an event; None if it is not pushed.
    """
    passed: list[Event] = []
    for event in moment:
        passed.append(event)
        told = frame_of(event)
        if told is not None:
            yield Push(*told, passed)
            passed = []


class Face(Protocol):
    """Renders a simulated account as the venue shows it. A member with a body is what most venues have."""

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
        return ()

    def balances(self, state: SimulatedState) -> Iterable[SentState]:
        """The balances as an answer to a request."""
        ...

    def positions(self, state: SimulatedState) -> Iterable[SentState]:
        """The positions that have ever changed as an answer to a request."""
        ...

    def order_number(self, order_id: str) -> int | None:
        """The number of the order that an id of the venue names; None if it is no such id."""
        return int(order_id) if order_id.isascii() and order_id.isdigit() else None

    def order(self, order: SimulatedOrder) -> SentState:
        """An order as an answer to a request."""
        ...

    def fill(self, fill: SimulatedFill) -> SentState:
        """A fill as an answer to a request. Raises NotImplementedError if the venue has none such."""
        raise NotImplementedError

    def transaction(self, transaction: SimulatedTransaction) -> SentState:
        """A transaction as an answer to a request. Raises NotImplementedError if the venue has none such."""
        raise NotImplementedError

    def execution(self, fill: SimulatedFill) -> Execution:
        """A fill as records have it, for lists of an order's executions and for tests; not by way of the decoder."""
        ...
