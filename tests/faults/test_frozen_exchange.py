"""The exchange's process is frozen: its kernel still takes connections, and nobody answers. A true half-open line."""

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recorder.simulator.sent import read_sent_log
from tests.faults.conftest import Report
from tests.faults.oracle import judge
from tests.faults.scene import COVERED, QUICK
from tests.faults.table import read_table
from tests.integration.process import Folder, Process

pytestmark = pytest.mark.long


@contextmanager
def exchange_process(folder: Folder, log: Path) -> Iterator[Process]:
    """`recorder simulate`, and a configuration that names it."""
    arguments = ("simulate", "--port", "0", "--rate", "500", "--sent-log", str(log))
    with Process(folder, *arguments, show=True) as exchange:
        exchange.wait_for("symbols = ")
        found = re.search(r"url = \"(.*)\"", exchange.errors)
        assert found is not None
        folder.env |= {"KEY": "demo-key", "SECRET": "demo-secret"}
        limits = "".join(f"{name} = {value}\n" for name, value in (QUICK | {"connect_s": 1.0}).items())
        account = (
            f'venue = "fmex"\nurl = "{found[1]}"\nkey = "env:KEY"\nsecret = "env:SECRET"\nsymbols = ["btcusd_p"]\n'
            "heartbeat_s = 0.5\n"
        )
        folder.write(f"[limits]\n{limits}[accounts.main]\n{account}")
        yield exchange
        exchange.send(signal.SIGCONT)


@pytest.mark.parametrize("then", ["goes on", "is killed"])
def test_a_frozen_exchange(tmp_path: Path, report: Report, then: str) -> None:
    folder, log = Folder(tmp_path), tmp_path / "sent.log"
    with exchange_process(folder, log) as exchange:
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            folder.wait_acknowledged(100, process)
            exchange.send(signal.SIGSTOP)
            process.wait_for("nothing came for 2 s")
            process.wait_for("Trying again in", 2)
            if then == "goes on":
                exchange.send(signal.SIGCONT)
                process.wait_for(COVERED, 2)
                folder.wait_acknowledged(folder.acknowledged()["frames"] + 50, process)
            else:
                exchange.send(signal.SIGKILL)
                process.wait_for("cannot be reached: Connection refused")
            assert process.stop()[0] == 0, process.errors
        table = read_table(f"sqlite:///{folder.database}")
        verdict = judge(list(read_sent_log(log)), table)
    report("frozen exchange", verdict, [])
    verdict.require_clean()
    (gap,) = folder.rows("SELECT begins_ns FROM gaps WHERE reason = 'silent'")
    (session,) = folder.rows("SELECT ended_ns FROM sessions WHERE end_reason = 'silent'")
    assert session[0] - gap[0] >= 2_000_000_000, "it begins at the last frame, not where the silence was noticed"
