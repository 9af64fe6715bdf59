"""Transfers that a person names, and the changes of a balance that they explain. Pure."""

from collections.abc import Iterable
from decimal import Decimal

from recorder.clock import NS_PER_S
from recorder.read.records import Transfer

#: So far may the time that is named be from that of the push: people note the day, and a transfer takes its time. That
#: the amount is the same to the last digit is what makes it the same transfer.
APART_NS = 24 * 3600 * NS_PER_S


class NamedTransfers:
    """Transfers that are known, each explaining one change at most.

    Args:
        transfers: all of them, in any order.
    """

    def __init__(self, transfers: Iterable[Transfer] = ()) -> None:
        #: Those that have explained nothing yet.
        self.left: list[Transfer] = list(transfers)

    def explains(self, account: str, currency: str, amount: Decimal, at_ns: int) -> bool:
        """Whether one of them is this change; it is used up then, the nearest in time."""
        fitting = [
            one
            for one in self.left
            if (one.account, one.currency, one.amount) == (account, currency, amount)
            and abs(one.at_ns - at_ns) <= APART_NS
        ]
        if fitting:
            self.left.remove(min(fitting, key=lambda one: abs(one.at_ns - at_ns)))
        return bool(fitting)
