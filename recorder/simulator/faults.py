"""What can go wrong with an exchange, as context managers on a `Simulator`: wrong within, well again after.

with silent(simulator):
    ...
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from recorder.simulator.simulator import Simulator

#: The frame that `stalled_mid_frame` sends half of: nobody will ever see what it says.
_HALF_SAID = b'{"type":"account","account":{"currency":"BTC","available":1.34242880408925,"frozen":0.0'


@contextmanager
def refusing(simulator: Simulator, status: int, *, retry_after_s: int = 1) -> Iterator[None]:
    """Answer every new connection and REST request with an HTTP status; the connections there are live on.

    Args:
        simulator: which.
        status: such as 503, 429, or 401 (which leaves the server's time alone, where no key is asked for).
        retry_after_s: what 429 and 503 ask for in ``Retry-After``.
    """
    quiet_s = retry_after_s if status in {429, 503} else 0
    with _changed(simulator, refuse_status=status, retry_after_s=quiet_s):
        yield


@contextmanager
def silent(simulator: Simulator) -> Iterator[None]:
    """Nothing is traded, so nothing pushed. All commands are answered."""
    with _changed(simulator, silent=True):
        yield


@contextmanager
def deaf(simulator: Simulator) -> Iterator[None]:
    """The exchange hangs: connections stay open, but nothing is read, answered or sent, to old clients or new.

    Trading goes on and its pushes are lost, so the connections there were are reset afterwards: none may go on as if it
    had missed nothing.
    """
    try:
        with _changed(simulator, deaf=True):
            yield
    finally:
        simulator.drop_stalled()


@contextmanager
def stalled_mid_frame(simulator: Simulator) -> Iterator[None]:
    """The connections there are get a frame's head and half of what it announces, then nothing more; not even a close.

    New connections are well. The stalled ones are reset afterwards.
    """
    simulator.stall(_HALF_SAID)
    try:
        yield
    finally:
        simulator.drop_stalled()


@contextmanager
def invalid_topics(simulator: Simulator, topics: Collection[str]) -> Iterator[None]:
    """Refuse topics with 41002 although they exist; who has them keeps them."""
    with _changed(simulator, invalid_topics=frozenset(topics)):
        yield


@contextmanager
def swallowing(simulator: Simulator, topics: Collection[str] | None = None) -> Iterator[None]:
    """Lose pushes, of some topics or of all: trading goes on and REST tells, but clients are not told, nor cut off."""
    symbols = simulator.options.symbols
    every = ["account", *(f"{kind}.{symbol}" for kind in ("order", "position") for symbol in symbols)]
    with _changed(simulator, swallowed_topics=frozenset(every if topics is None else topics)):
        yield


@contextmanager
def lagging(simulator: Simulator, lag_s: float) -> Iterator[None]:
    """REST is behind the pushes: it tells how things were so many seconds ago."""
    with _changed(simulator, rest_lag_s=lag_s):
        yield


@contextmanager
def fees_twice(simulator: Simulator) -> Iterator[None]:
    """Take each fee twice; orders and positions tell of one. What was taken stays taken."""
    with _changed(simulator, fees_twice=True):
        yield


@contextmanager
def leaking(simulator: Simulator, amount: Decimal = Decimal("1E-18")) -> Iterator[None]:
    """Take so much BTC with each execution, and tell nobody. What was taken stays taken."""
    with _changed(simulator, leak=amount):
        yield


@contextmanager
def misstating(simulator: Simulator, amount: Decimal = Decimal("1E-18")) -> Iterator[None]:
    """Let positions tell a realized PnL that is so much BTC too high; balances are right."""
    with _changed(simulator, misstatement=amount):
        yield


@contextmanager
def _changed(simulator: Simulator, **conditions: Any) -> Iterator[None]:
    before = {name: getattr(simulator.conditions, name) for name in conditions}
    simulator.change(**conditions)
    try:
        yield
    finally:
        simulator.change(**before)
