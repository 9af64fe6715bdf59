"""A run on a terminal: a live line, Ctrl-C, and a terminal left as it was."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

from recorder.simulator import Simulator, SimulatorOptions
from tests.integration.process import PATIENCE_S, Folder

SHOW_CURSOR = b"\x1b[?25h"


def test_a_live_line_and_ctrl_c(folder: Folder) -> None:
    main_end, terminal = pty.openpty()
    with Simulator(SimulatorOptions(rate_per_s=200)) as exchange:
        folder.configure(exchange)
        process = subprocess.Popen(
            [sys.executable, "-m", "recorder", "run"],
            cwd=folder.path,
            env=os.environ | folder.env | {"TERM": "xterm", "COLUMNS": "120"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
        )
        os.close(terminal)
        try:
            shown = _read_until(main_end, b"/s, ", b" | main covered")
            process.send_signal(signal.SIGINT)
            shown += _read_until(main_end, b"all durable", SHOW_CURSOR)
            assert process.wait(PATIENCE_S) == 0, shown
        finally:
            process.kill()
            process.wait()
            os.close(main_end)
    assert b" frames, " in shown
    assert b"INFO stopping (SIGINT)" in shown
    # Rich hides the cursor for the live line: the last word must bring it back.
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(b"\x1b[?25l")


def _read_until(main_end: int, *texts: bytes) -> bytes:
    shown = b""
    deadline_s = time.monotonic() + PATIENCE_S
    while not all(text in shown for text in texts):
        assert select.select([main_end], [], [], max(deadline_s - time.monotonic(), 0.0))[0], shown
        try:
            shown += os.read(main_end, 65_536)
        except OSError:  # Linux: nobody has the terminal open any more
            break
    assert all(text in shown for text in texts), shown
    return shown
