"""A simulated FMex: an exchange to try things on, whose pushes come from a seed and whose books balance.

    from recorder.simulator import Simulator, SimulatorOptions
    from recorder.simulator.faults import silent

    with Simulator(SimulatorOptions(seed=7, pushes=10_000)) as exchange:
        client = connect(exchange.url, exchange.key, exchange.secret)
        exchange.wait_finished(timeout_s=30)
        assert received(client) == [sent.payload for sent in exchange.sent if sent.kind == "push"]

It brings an event loop and a web server along, so what does not simulate does not import it.
"""

from recorder.simulator.books import BooksError
from recorder.simulator.options import SimulatorOptions
from recorder.simulator.sent import Sent
from recorder.simulator.simulator import Simulator

__all__ = ["BooksError", "Sent", "Simulator", "SimulatorOptions"]
