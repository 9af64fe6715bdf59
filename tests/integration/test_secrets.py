"""Secrets reach no table, no log, no error text, no argument list."""

from pathlib import Path

from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import refusing
from recorder.venues.fmex.sign import SIGNATURE
from tests.integration.process import Folder

KEY = "a-key-that-stands-nowhere-else"
SECRET = "a-secret-that-stands-nowhere-else"


def everything_left(folder: Folder) -> bytes:
    """All files of the folder, the configuration aside: it names the variables, not the values."""
    return b"".join(file.read_bytes() for file in sorted(folder.path.rglob("*")) if file.is_file())


def test_secrets_never_show(folder: Folder) -> None:
    limits = {"reconnect_first_s": 0.05, "reconnect_last_s": 0.1}
    folder.anew = True
    with Simulator(SimulatorOptions(accounts={KEY: SECRET}, rate_per_s=200)) as exchange:
        folder.configure(exchange, limits=limits)
        with folder.run("--ack-file", str(folder.ack_file)) as process:
            process.wait_for("covered")
            with refusing(exchange, 401):
                exchange.drop_connections()
                process.wait_for("refused the key")
            arguments = Path(f"/proc/{process.pid}/cmdline").read_bytes()
            assert process.stop()[0] == 0, process.errors
        said = process.errors
        for wrong in ("KEY_MAIN", "SECRET_MAIN"):
            right = folder.env[wrong]
            folder.env[wrong] = right + "x"
            said += folder.command("run", "--for", "1s").stderr
            folder.env[wrong] = right
        for name in ("orders", "fills", "status", "gaps"):
            said += folder.command(name, "--format", "json").stdout
    left = everything_left(folder)
    assert b"account_updates" in left
    for secret in (KEY, SECRET, SIGNATURE):
        assert secret not in said
        assert secret.encode() not in left
        assert secret.encode() not in arguments
