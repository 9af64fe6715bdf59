"""`python -m tests.report FOLDER [VENUE]`: two minutes of a simulated account, the report on them, and a picture."""

import os
import sys
import time
from pathlib import Path

from recorder.live.recording import Recording
from recorder.read.record import Filter
from recorder.report.gather import gather
from recorder.report.page import render
from recorder.simulator import Simulator, SimulatorOptions
from tests.faults.live import account_at
from tests.report.browser import Browser

VENUE = "bybit"
#: How long is recorded, and after how many pushes the exchange resets the connection.
RECORDED_S, DROP_EVERY = 120, 900
#: A push that nobody documented.
ODD = b'{"topic":"liquidation","id":"1","creationTime":1672364262444,"data":{}}'
#: Of the picture: to the end of the section on coverage.
HEIGHT = 1120


def main() -> None:
    """Make recorder.db, report.html, report.pdf and report.png there."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # the report says where the record is, as it was named
    venue = sys.argv[2] if len(sys.argv) > 2 else VENUE
    options = SimulatorOptions(
        venue=venue, rate_per_s=20, live_clock=True, funding_interval_s=20, drop_every=DROP_EVERY, keep_sent=False
    )
    with Simulator(options) as exchange, Recording("sqlite:///recorder.db", [account_at(exchange)]):
        time.sleep(RECORDED_S / 2)
        exchange.push(ODD)
        time.sleep(RECORDED_S / 2)
    Path("report.html").write_text(render(gather("sqlite:///recorder.db", Filter())), encoding="utf-8")
    with Browser() as browser, browser.open(Path("report.html")) as page:
        Path("report.pdf").write_bytes(page.printed())
        Path("report.png").write_bytes(page.screenshot(HEIGHT))


if __name__ == "__main__":
    main()
