"""Faults of an exchange, as context managers on a `Simulator`: active within the block, gone after it.

with silent(simulator):
    ...
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from recorder.simulator.simulator import Simulator

#: `stalled_mid_frame` sends half of this frame.
_HALF_SENT = b'{"type":"account","account":{"currency":"BTC","available":1.34242880408925,"locked":0.0'


@contextmanager
def refusing(simulator: Simulator, status: int, *, retry_after_s: int = 1) -> Iterator[None]:
    """Refuse every handshake and REST request with an HTTP status; existing connections stay up.

    Args:
        simulator: the simulator.
        status: such as 503, 429 or 401 (which does not refuse the server's time, because that needs no key).
        retry_after_s: ``Retry-After`` of 418, 429 and 503.
    """
    quiet_s = retry_after_s if status in {418, 429, 503} else 0
    with _changed(simulator, refuse_status=status, retry_after_s=quiet_s):
        yield


@contextmanager
def silent(simulator: Simulator) -> Iterator[None]:
    """Stop trading, so that nothing is pushed. Commands are answered."""
    with _changed(simulator, silent=True):
        yield


@contextmanager
def deaf(simulator: Simulator) -> Iterator[None]:
    """Let the exchange hang: connections stay open, but nothing is read, answered or sent.

    Trading goes on and its pushes are lost. So existing connections are reset afterwards: no client may continue as if
    it had missed nothing.
    """
    try:
        with _changed(simulator, deaf=True):
            yield
    finally:
        simulator.drop_stalled()


@contextmanager
def stalled_mid_frame(simulator: Simulator) -> Iterator[None]:
    """Send half a frame on every existing connection, then nothing more, not even a close.

    New connections work. The stalled ones are reset afterwards.
    """
    simulator.stall(_HALF_SENT)
    try:
        yield
    finally:
        simulator.drop_stalled()


@contextmanager
def invalid_topics(simulator: Simulator, topics: Collection[str]) -> Iterator[None]:
    """Refuse topics although they exist; existing subscriptions stay."""
    with _changed(simulator, invalid_topics=frozenset(topics)):
        yield


@contextmanager
def swallowing(simulator: Simulator, topics: Collection[str] | None = None) -> Iterator[None]:
    """Lose the pushes of some topics or of all: trading goes on, REST reports it, and connections stay up."""
    with _changed(simulator, swallowed_topics=frozenset(simulator.topics() if topics is None else topics)):
        yield


@contextmanager
def expired(simulator: Simulator, key: str | None = None) -> Iterator[None]:
    """Let a key expire, by default the first account's: open connections stay up and are pushed nothing more."""
    with _changed(simulator, expired_keys=frozenset([key or simulator.key])):
        yield


@contextmanager
def lagging(simulator: Simulator, lag_s: float) -> Iterator[None]:
    """Let REST lag behind the pushes by this many seconds."""
    with _changed(simulator, rest_lag_s=lag_s):
        yield


@contextmanager
def fees_twice(simulator: Simulator) -> Iterator[None]:
    """Charge each fee twice; orders and positions report one. It is not paid back afterwards."""
    with _changed(simulator, fees_twice=True):
        yield


@contextmanager
def leaking(simulator: Simulator, amount: Decimal = Decimal("1E-18")) -> Iterator[None]:
    """Take this amount with each execution, in the currency of its fee, unreported. It is not paid back afterwards."""
    with _changed(simulator, leak=amount):
        yield


@contextmanager
def misstating(simulator: Simulator, amount: Decimal = Decimal("1E-18")) -> Iterator[None]:
    """Let positions report a realized PnL that is too high by this amount; balances are correct."""
    with _changed(simulator, misstatement=amount):
        yield


@contextmanager
def _changed(simulator: Simulator, **changes: Any) -> Iterator[None]:
    before = {name: getattr(simulator.active_faults, name) for name in changes}
    simulator.change(**changes)
    try:
        yield
    finally:
        simulator.change(**before)
