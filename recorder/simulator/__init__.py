"""A simulated exchange for tests, demos and experiments: its trading follows from a seed, and its books balance.

    from recorder.simulator import Simulator, SimulatorOptions
    from recorder.simulator.faults import silent

    with Simulator(SimulatorOptions(seed=7, pushes=10_000)) as exchange:
        client = connect(exchange.url, exchange.key, exchange.secret)
        exchange.wait_finished(timeout_s=30)
        assert received(client) == [sent.payload for sent in exchange.sent if sent.kind == "push"]

It loads an event loop and a web server, so import it only to simulate.
"""

from recorder.simulator.books import BooksError
from recorder.simulator.options import SimulatorOptions
from recorder.simulator.sent import Sent
from recorder.simulator.simulator import Simulator

__all__ = ["BooksError", "Sent", "Simulator", "SimulatorOptions"]
