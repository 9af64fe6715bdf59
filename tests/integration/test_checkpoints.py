"""Checkpoints as their users have them made: keys, a run that signs, what leaves the machine, and signing by hand."""

import base64
import shutil
import signal
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest

from recorder.audit.evidence.checkpoint import Checkpoint, checkpoints_in, read_checkpoint
from recorder.audit.evidence.keys import read_verifier_key, verifier_key_in
from recorder.audit.evidence.timestamp import read_token
from recorder.simulator import Simulator, SimulatorOptions
from tests.authority import Authority
from tests.integration.process import Folder
from tests.integration.test_server_database import assert_the_same
from tests.integration.test_stopping import STOP_S_MAX
from tests.server import PostgresServer
from tests.waiting import wait_until


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with Simulator(SimulatorOptions(rate_per_s=200)) as simulator:
        yield simulator


@pytest.fixture
def authority() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


@pytest.fixture
def signed(folder: Folder) -> Folder:
    """A folder with a key, and a place elsewhere."""
    assert folder.command("keys", "make", "audit.key").returncode == 0
    (folder.path / "elsewhere").mkdir()
    return folder


TO = {"key": "file:audit.key", "to": "file:elsewhere/checkpoints"}


def arrived(folder: Folder, name: str = "elsewhere/checkpoints") -> list[Checkpoint]:
    """What is elsewhere, checked with the public key."""
    key = verifier_key_in(folder.path / "audit.key.pub")
    return [read_checkpoint(note, key) for note in checkpoints_in((folder.path / name).read_text())]


def root(seals: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, over leaves that are seals."""
    if len(seals) == 1:
        return seals[0]
    split = 1
    while split * 2 < len(seals):
        split *= 2
    return sha256(b"\x01" + root(seals[:split]) + root(seals[split:])).digest()


def require_true(folder: Folder, checkpoint: Checkpoint) -> None:
    """It is what a fresh reader finds."""
    seals = [seal for (seal,) in folder.rows("SELECT seal FROM seals ORDER BY run_id, batch")]
    ((recorder_id,),) = folder.rows("SELECT recorder_id FROM recorders")
    assert checkpoint == (f"recorder/{recorder_id}", checkpoint.size, root(seals[: checkpoint.size]))


def test_keys(folder: Folder) -> None:
    made = folder.command("keys", "make", "audit.key", "--name", "alice.example/fmex")
    assert made.returncode == 0, made.stderr
    key = read_verifier_key(made.stdout)
    assert key.name == "alice.example/fmex"
    assert stat.S_IMODE((folder.path / "audit.key").stat().st_mode) == 0o600
    for name in ("audit.key", "audit.key.pub"):
        assert folder.command("keys", "show", name).stdout == made.stdout
    again = folder.command("keys", "make", "audit.key")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "recorder: audit.key is there already: a key is never replaced; name another file.\n"
    assert folder.command("keys", "show", "audit.key").stdout == made.stdout
    for arguments, words in (
        (("make", "x.key", "--name", "a b"), "A key cannot be named 'a b': a name has no spaces and no +"),
        (
            ("make", "none/x.key"),
            "none/x.key cannot be made: No such file or directory; name a file in a folder of yours.",
        ),
        (("show", "none"), "The key none cannot be read: No such file or directory."),
        (("show", "recorder.toml"), "In recorder.toml is no public key"),
    ):
        folder.write("")
        said = folder.command("keys", *arguments)
        assert (said.returncode, said.stdout) == (2, "")
        assert said.stderr.startswith(f"recorder: {words}")
    assert not (folder.path / "x.key").exists()


def test_a_run_signs_what_it_records(signed: Folder, exchange: Simulator, authority: Authority) -> None:
    authority.stamper.write_root(signed.path / "tsa.pem")
    more = {"every_s": 0.3, "command": ["sh", "-c", "cat >> piped"]}
    more |= {"authority": authority.url, "authority_ca": "file:tsa.pem"}
    # On a busy machine the last answer of the authority may take longer than half of the usual time for a stop.
    signed.configure(exchange, checkpoints=TO | more, limits={"stop_s": 30})
    with signed.run("--for", "4s") as process:
        assert process.wait() == 0, process.errors
    assert "ERROR" not in process.errors
    checkpoints = arrived(signed)
    assert len(checkpoints) > 3
    # Each destination gets the newest one when it is done with the one before, so on a busy machine not every one.
    piped = arrived(signed, "piped")
    assert len(piped) > 1 and piped[-1] == checkpoints[-1]
    assert [one for one in checkpoints if one in piped] == [one for one in piped if one in checkpoints]
    for checkpoint in checkpoints:
        require_true(signed, checkpoint)
    # The last one covers the end of the run; only the batch that notes it came after.
    assert signed.rows("SELECT count(*) - 1 FROM seals") == [(checkpoints[-1].size,)]
    assert signed.rows("SELECT end_reason FROM runs") == [("time is over",)]
    noted = signed.rows("SELECT size, note, token FROM checkpoints ORDER BY size")
    assert len(noted) > 1 and noted[-1][0] == checkpoints[-1].size
    assert noted[-1][2] is not None
    for note, token in [(note, token) for _, note, token in noted if token is not None]:
        assert read_token(token, note, (authority.stamper.root,)).year >= 2024

    # The next run goes on with the same tree.
    with signed.run("--for", "1s") as process:
        assert process.wait() == 0, process.errors
    require_true(signed, arrived(signed)[-1])
    assert signed.rows("SELECT count(*) - 1 FROM seals") == [(arrived(signed)[-1].size,)]


@pytest.mark.parametrize("hanging", ["command", "authority"])
@pytest.mark.alone
def test_whatever_hangs_a_stop_is_quick_and_clean(
    signed: Folder, exchange: Simulator, authority: Authority, hanging: str
) -> None:
    authority.stamper.write_root(signed.path / "tsa.pem")
    told = dict(TO)
    if hanging == "command":
        told |= {"command": ["sh", "-c", "sleep 1000 & wait"]}  # type: ignore[dict-item]
    else:
        authority.answer = lambda query: b""
        told |= {"authority": authority.url, "authority_ca": "file:tsa.pem"}
    signed.configure(exchange, checkpoints=told)
    with signed.run("--ack-file", str(signed.ack_file)) as process:
        signed.wait_acknowledged(200, process)
        code, took_s = process.stop(signal.SIGTERM)
    assert code == 0, process.errors
    assert took_s < STOP_S_MAX
    assert signed.rows("SELECT end_reason FROM runs") == [("SIGTERM",)]
    last = arrived(signed)[-1]
    require_true(signed, last)
    assert signed.rows("SELECT count(*) - 1 FROM seals") == [(last.size,)]
    # Nothing of ours is left behind; a signal is obeyed a little after it was sent.
    wait_until(lambda: not [pid for pid in Path("/proc").glob("[0-9]*") if is_left(pid, signed.path)])


def is_left(process: Path, folder: Path) -> bool:
    try:
        return process.joinpath("cwd").readlink() == folder and process.joinpath("cmdline").read_bytes() != b""
    except OSError:
        return False


def test_a_place_that_is_away_costs_nothing_and_comes_back(signed: Folder, exchange: Simulator) -> None:
    (signed.path / "elsewhere").rmdir()
    signed.configure(exchange, checkpoints=TO | {"every_s": 0.1})
    with signed.run() as process:
        process.wait_for("A checkpoint could not be sent: ")
        process.wait_for("covered")
        (signed.path / "elsewhere").mkdir()
        process.wait_for("takes checkpoints again")
        assert process.stop()[0] == 0, process.errors
    assert process.errors.count("could not be sent") == 1
    require_true(signed, arrived(signed)[-1])


def test_secrets_of_checkpoints_never_show(signed: Folder, exchange: Simulator) -> None:
    secret = (signed.path / "audit.key").read_text().strip()
    (signed.path / "audit.key").unlink()
    signed.env["AUDIT_KEY"] = secret
    signed.anew = True
    command = ["sh", "-c", "env > known; tr '\\0' '\\n' < /proc/$PPID/cmdline >> known"]
    signed.configure(exchange, checkpoints=TO | {"key": "env:AUDIT_KEY", "command": command})
    with signed.run("--for", "1s") as process:
        assert process.wait() == 0, process.errors
    known = (signed.path / "known").read_text()
    assert "recorder" in known
    everything = process.errors.encode() + b"".join(
        file.read_bytes() for file in sorted(signed.path.rglob("*")) if file.is_file()
    )
    seed = secret.split("+", 4)[4]
    for one in (secret.encode(), seed.encode(), base64.b64decode(seed)[1:], exchange.secret.encode()):
        assert one not in everything


def test_by_hand(signed: Folder, exchange: Simulator) -> None:
    signed.configure(exchange)
    with signed.run("--for", "1s") as process:
        assert process.wait() == 0, process.errors
    before = signed.database.read_bytes()
    printed = signed.command("checkpoint", "--key", "audit.key")
    assert (printed.returncode, printed.stderr) == (0, "")
    (signed.path / "printed").write_text(printed.stdout)
    (checkpoint,) = arrived(signed, "printed")
    require_true(signed, checkpoint)
    assert signed.rows("SELECT count(*) FROM seals") == [(checkpoint.size,)]
    for _ in range(2):
        said = signed.command("checkpoint", "--key", "audit.key", "--out", "elsewhere/checkpoints")
        assert said.stdout == f"{checkpoint.size:,} seals signed into elsewhere/checkpoints.\n"
    assert arrived(signed) == [checkpoint, checkpoint]
    assert signed.database.read_bytes() == before, "nothing is written to the record"

    # While it is recorded into, too.
    with signed.run() as process:
        process.wait_for("covered")
        said = signed.command("checkpoint", "--key", "audit.key", "--out", "elsewhere/checkpoints")
        assert said.returncode == 0, said.stderr
        assert process.stop()[0] == 0, process.errors
    require_true(signed, arrived(signed)[-1])


def test_by_hand_what_is_wrong(signed: Folder, exchange: Simulator) -> None:
    signed.configure(exchange, checkpoints=TO)
    with signed.run("--for", "1s") as process:
        assert process.wait() == 0, process.errors

    def said(*arguments: str) -> tuple[int, str]:
        ended = signed.command("checkpoint", *arguments)
        assert ended.stdout == ""
        return ended.returncode, ended.stderr

    assert said("--key", "none.key") == (2, "recorder: The key none.key cannot be read: No such file or directory.\n")
    public = "recorder: In audit.key.pub is no private key; `recorder keys make FILE` makes one.\n"
    assert said("--key", "audit.key.pub") == (2, public)
    code, words = said("--key", "audit.key", "--recorder", "5")
    assert (code, words.partition(" holds ")[2]) == (2, "no seals of recorder 5: there is nothing to sign.\n")
    code, words = said("--key", "audit.key", "--out", "recorder.toml")
    assert (code, words) == (
        2,
        "recorder: recorder.toml cannot be written: it contains something else; name a file for checkpoints only.\n",
    )
    # What this key has signed is not so any more: a finding, and nothing is signed.
    shutil.copy(signed.database, signed.path / "forged.db")
    with closing(sqlite3.connect(signed.path / "forged.db", isolation_level=None)) as forged:
        for (name,) in forged.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            forged.execute(f"DROP TRIGGER {name}")
        forged.execute("UPDATE seals SET seal = zeroblob(32) WHERE batch = 1")
    code, words = said("--key", "audit.key", "--database", "sqlite:///forged.db", "--out", "elsewhere/more")
    assert code == 1
    assert words.startswith("recorder: The first ")
    assert words.endswith("the record was changed; `recorder verify` says where.\n")
    assert not (signed.path / "elsewhere" / "more").exists()


def test_on_a_server(signed: Folder, exchange: Simulator, postgres: PostgresServer) -> None:
    """Checkpoints travel with their batches, and the server's record has the same tree."""
    url = postgres.new_database(empty=True)
    signed.configure(exchange, server=url, checkpoints=TO | {"every_s": 0.3})
    with signed.run("--for", "4s") as process:
        assert process.wait() == 0, process.errors
    assert "not on the server yet" not in process.errors
    assert_the_same(signed, url)
    on_server = signed.command("checkpoint", "--key", "audit.key")
    here = signed.command("checkpoint", "--key", "audit.key", "--database", f"sqlite:///{signed.database}")
    assert on_server.returncode == 0, on_server.stderr
    assert on_server.stdout == here.stdout
    (signed.path / "printed").write_text(on_server.stdout)
    (checkpoint,) = arrived(signed, "printed")
    require_true(signed, checkpoint)
    assert signed.rows("SELECT count(*) FROM seals") == [(checkpoint.size,)]
