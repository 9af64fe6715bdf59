"""What is wrong with the exchange just now: set by the faults, obeyed and kept by the portal in its thread."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from recorder.simulator.contract import ZERO


@dataclass(kw_only=True, slots=True)
class Conditions:
    """All false and empty on a good day."""

    #: HTTP status that new connections and REST are answered with; 0 for none.
    refuse_status: int = 0
    #: Seconds of quiet asked for with it; 0 for none.
    retry_after_s: int = 0
    #: No trading, so no pushes; everything else works.
    silent: bool = False
    #: Nothing is answered and nothing sent; trading goes on, and its pushes are lost.
    deaf: bool = False
    #: Topics whose pushes are lost on their way to everybody; who has them is not told.
    swallowed_topics: Collection[str] = ()
    #: REST tells how things were so many seconds ago.
    rest_lag_s: float = 0.0
    #: Topics refused although they exist.
    invalid_topics: Collection[str] = ()
    #: Each fee is taken twice, and told once.
    fees_twice: bool = False
    #: So much is taken with each execution, and nobody is told, BTC.
    leak: Decimal = ZERO
    #: Positions tell a realized PnL that is so far off, BTC.
    misstatement: Decimal = ZERO
