"""Secrets reach no table, no log, no error text, no export, no argument list."""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event

import pytest
from click.testing import CliRunner

from recorder import venues
from recorder.cli.commands import recorder as program
from recorder.live import collector, connection
from recorder.live.recording import Recording
from recorder.live.watermark import Watermark
from recorder.simulator import Simulator, SimulatorOptions
from recorder.simulator.faults import expired, refusing
from recorder.venues import VENUES, venue_named
from recorder.venues.fmex.sign import SIGNATURE
from tests.depth import share
from tests.faults.live import Live
from tests.integration.process import Folder
from tests.unit.live.peer import PATIENCE_S, frame, refuse
from tests.unit.live.stage import QUICK
from tests.unit.live.toy import KEY as TOY_KEY
from tests.unit.live.toy import SECRET as TOY_SECRET
from tests.unit.live.toy import SESSION, ToyExchange
from tests.waiting import wait_until

KEY = "a-key-that-stands-nowhere-else"
SECRET = "a-secret-that-stands-nowhere-else"

WITH_KEYS = [name for name in VENUES if any(field.is_secret for field in venue_named(name).credential_fields)]


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


def test_secrets_of_every_shape_never_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a venue with logins and tokens: it echoes all of them wherever it can."""
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(venues.VENUES, "toy", "tests.unit.live.toy:Toy")
    monkeypatch.setattr(connection, "RENEW_FIRST_S", 0.02)
    ended = Event()

    def echo(status: str) -> Callable[[bytes], bytes]:
        def answer(request: bytes) -> bytes:
            # Only in its own format, an exchange says that something is gone.
            words = json.dumps(told()) if status.startswith("404") else " ".join(told())
            return refuse(status, body=words.encode())(request)

        return answer

    def secrets() -> list[str]:
        return [TOY_KEY, TOY_SECRET, SESSION, *exchange.issued]

    def told() -> list[str]:
        # The answers that brought the last tokens, one for each stream, may still be on their way.
        return secrets()[:-2]

    def note(_watermark: Watermark) -> None:
        if caplog.text.count("topics acknowledged") >= 4:
            ended.set()

    with ToyExchange(by_hand=False, renew_s=0.3) as exchange:
        url = f"sqlite:///{tmp_path / 'recorder.db'}"
        for number in (1, 2):
            gone = [echo("500 Oops"), echo("404 Not Found")]
            exchange.answers[f"PUT /token/token-{number}-of-the-toy"] = gone
        exchange.answers["GET /open"] = [echo("401 No"), echo("404 Not Found")]
        with Recording(url, [exchange.account()], QUICK, on_durable=note):
            assert ended.wait(2 * PATIENCE_S)
            for line in tuple(exchange.lines.values()):
                for words in (b'{"say":"%s"}', b'{"id":"9","no":"%s"}', b"%s", b"\xff%s"):
                    with suppress(OSError):  # a connection may have ended, because its token could not be renewed
                        line.send(frame(words % " ".join(told()).encode()))
    for form in ("csv", "jsonl"):
        found = CliRunner().invoke(program, ["export", str(tmp_path / form), "--database", url, "--format", form])
        assert found.exit_code == 0, found.output
    left = b"".join(file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file())
    assert b"(secret masked)" in left and len(secrets()) >= 6
    for secret in secrets():
        assert secret.encode() not in left
        assert secret not in caplog.text


@pytest.mark.parametrize("venue", share(WITH_KEYS, "okx", "binance"))
def test_secrets_of_every_venue_never_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, venue: str
) -> None:
    """Neither what the configuration gives, nor what the exchange gives for it, such as a listen key."""
    caplog.set_level(logging.INFO, "recorder")
    monkeypatch.setattr(collector, "REFUSED_S", 0.1)
    with Simulator(SimulatorOptions(venue=venue, rate_per_s=100, live_clock=True)) as exchange:
        live = Live(tmp_path, exchange)
        with live.recording():
            live.wait_more(30)
            with expired(exchange):
                exchange.drop_connections()
                wait_until(lambda: "refused the" in caplog.text)
            live.wait_more(30)
    secrets = live.account.credentials.secrets
    assert len(secrets) >= 2
    left = b"".join(file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file())
    assert b"account_updates" in left
    for secret in secrets:
        assert secret.encode() not in left
        assert secret not in caplog.text
