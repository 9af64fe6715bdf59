"""`python -m tests.bench.first_push`: how long the first steps of a new user take, at each simulated exchange.

`recorder init` with every answer as an option, `recorder doctor`, and from `recorder run` to the first push that is
durable, each a new process. Medians of five rounds.
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

from rich.console import Console
from rich.table import Table

from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues import VENUES
from tests.integration.process import Folder
from tests.integration.test_init_and_doctor import configure

ROUNDS = 5


def _timed(what: Callable[[], object]) -> float:
    began_s = monotonic()
    what()
    return monotonic() - began_s


def _steps(venue: str) -> tuple[float, float, float]:
    with (
        tempfile.TemporaryDirectory() as path,
        Simulator(SimulatorOptions(venue=venue, rate_per_s=1_000, live_clock=True)) as exchange,
    ):
        folder = Folder(Path(path))
        folder.anew = True
        init_s = _timed(lambda: configure(folder, venue, exchange.url))
        doctor_s = _timed(lambda: folder.command("doctor"))
        began_s = monotonic()
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            while not folder.ack_file.exists() or not folder.acknowledged()["frames"]:
                assert process.running, process.errors
                sleep(0.002)
            first_s = monotonic() - began_s
            process.stop()
    return init_s, doctor_s, first_s


def main() -> None:
    """Print the table."""
    table = Table("venue", "init", "doctor", "run to the first durable push", title="seconds")
    for venue in VENUES:
        rounds = [_steps(venue) for _ in range(ROUNDS)]
        table.add_row(venue, *(f"{statistics.median(step):.2f}" for step in zip(*rounds, strict=True)))
    Console().print(table)


if __name__ == "__main__":
    main()
