"""The commands that sign a record and check proofs: `keys`, `checkpoint`, `verify-proof`."""

import sys
from pathlib import Path

import click
from sqlalchemy import Connection

from recorder.audit.evidence.checkpoint import (
    Checkpoint,
    checkpoint_of,
    checkpoints_in,
    read_checkpoint,
    sign_checkpoint,
)
from recorder.audit.evidence.delivery import NoteFile
from recorder.audit.evidence.keys import (
    SigningKey,
    VerifierKey,
    new_key,
    signing_key_in,
    verifier_key_in,
    write_key,
)
from recorder.audit.evidence.proof import Proved, check
from recorder.audit.evidence.tree import Tree, sizes
from recorder.cli import options
from recorder.cli.progress import bar
from recorder.clock import utc_text
from recorder.errors import ConfigurationError, DatabaseError, NotProven
from recorder.model import PUSHES, SENT
from recorder.store import migrate
from recorder.store.engine import explained, open_engine, place
from recorder.venues.reading import printable

#: Characters of a payload that are printed.
SHOWN_MAX = 2_000


@click.group(
    help="Make and show the keys that sign checkpoints. The private key stays with the recorder; give the public key "
    "to those who verify your record.\n\n"
    "\b\nExample:  recorder keys make audit.key"
)
def keys() -> None:
    """Keys that sign checkpoints."""


@keys.command(
    help="Make a key pair: the private key in FILE, readable by you only, and the public key in FILE.pub. The public "
    "key is also printed. Existing files are never replaced.\n\n"
    "\b\nExample:  recorder keys make audit.key --name alice.example/record"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--name", help="Name of the key in its signatures, such as alice.example/record.  [default: the file's name]"
)
def make(file: Path, name: str | None) -> None:
    """Make a key pair."""
    key = new_key(file.stem if name is None else name)
    write_key(file, key)
    click.echo(key.verifier.text)


@keys.command(
    help="Print the public key of FILE, which holds a public or a private key. A private key is never printed.\n\n"
    "\b\nExample:  recorder keys show audit.key"
)
@click.argument("file", type=click.Path(path_type=Path))
def show(file: Path) -> None:
    """Print a public key."""
    try:
        verifier = verifier_key_in(file)
    except ConfigurationError as error:
        if not file.is_file():
            raise
        try:
            verifier = signing_key_in(file).verifier
        except ConfigurationError:
            raise error from None
    click.echo(verifier.text)


@click.command(
    help="Sign the present state of a record: for each recorder in it, the number of seals and the root of their "
    "Merkle tree. Nothing is written to the record. A checkpoint proves something only if it is kept where you cannot "
    "change it: send it to somebody, or let `recorder run` do so ([checkpoints] in the configuration).\n\n"
    "All seals are read. If the record holds checkpoints of the same key that contradict them, nothing is signed, and "
    "the exit code is 1.\n\n"
    "\b\nExample:  recorder checkpoint --key audit.key\n"
    "From cron:  recorder checkpoint --key audit.key --out /mnt/elsewhere/recorder.checkpoints"
)
@options.record_address
@options.file("--key", "key", "The private key, as made by `recorder keys make`.", required=True)
@options.file("--out", "out", "Append the checkpoints to this file instead of printing them.")
@click.option(
    "--recorder", "recorder_id", type=int, metavar="ID", help="Only this recorder: its id in the table recorders."
)
def checkpoint(at: options.RecordAddress, key: Path, out: Path | None, recorder_id: int | None) -> None:
    """Sign the present state."""
    url = at.url
    signing = signing_key_in(key)
    engine = open_engine(url, read_only=True)
    with explained(url):
        migrate.require_current(engine)
        with engine.connect() as connection:
            wanted = {one: size for one, size in sizes(connection).items() if recorder_id in {None, one}}
            if not wanted:
                of_whom = "" if recorder_id is None else f" of recorder {recorder_id}"
                raise DatabaseError(f"{place(url)} holds no seals{of_whom}: there is nothing to sign.")
            notes = _sign(connection, wanted, signing)
    if out is None:
        click.echo("\n".join(notes).encode(), nl=False)  # bytes: a terminal's encoding may lack the dash
        return
    file = NoteFile(out)
    for note in notes:
        file.send(note)
    click.echo(f"{sum(wanted.values()):,} seals signed into {out}.")


def _sign(connection: Connection, wanted: dict[int, int], key: SigningKey) -> list[str]:
    """A signed note for each recorder, with a bar on a terminal."""
    notes, done, total = [], 0, sum(wanted.values())
    with bar("reading seals") as advance:
        for recorder_id in wanted:
            tree = Tree(recorder_id, key.verifier)
            tree.begin(connection, anew=True)
            while read := tree.read(connection):
                done += read
                advance(done, total)
            frontier = tree.frontier
            notes.append(sign_checkpoint(checkpoint_of(recorder_id, frontier.size, frontier.root()), key))
    return notes


@click.command(
    "verify-proof",
    help="Check a proof of one frame, made by `recorder verify --proof`. Only the public key of the signer is needed, "
    "not the record, and the proof reveals no other frame. A checkpoint that you received independently (--checkpoint) "
    "proves more than the one inside the proof.\n\n"
    "Exit codes: 0 the proof is valid, 1 it is not.\n\n"
    "\b\nExample:  recorder verify-proof frame.proof --public-key audit.key.pub",
)
@click.argument("file", type=click.Path(path_type=Path))
@options.file("--public-key", "key_file", "Public key of the signer.", required=True)
@options.file("--checkpoint", "checkpoint_file", "Checkpoints that you received independently of the proof.")
@click.option("--payload", is_flag=True, help="Print the frame's bytes and nothing else.")
@click.pass_context
def verify_proof(ctx: click.Context, file: Path, key_file: Path, checkpoint_file: Path | None, payload: bool) -> None:
    """Check a proof."""
    key = verifier_key_in(key_file)
    others = [] if checkpoint_file is None else signed_checkpoints(checkpoint_file, key)
    data = _bytes(file)
    try:
        proved = check(data, key, others)
    except NotProven as error:
        click.echo(f"{file} proves nothing: {error}", err=True)
        ctx.exit(1)
    if payload:
        sys.stdout.buffer.write(proved.proof.frame.payload)
        return
    click.echo(words(proved, key, independent=checkpoint_file is not None))


def words(proved: Proved, key: VerifierKey, *, independent: bool) -> str:
    """What a proof proves, in sentences.

    Args:
        proved: the checked proof.
        key: of the signer.
        independent: the checkpoint was received independently of the proof.
    """
    frame, batch, checkpoint = proved.proof.frame, proved.proof.batch, proved.checkpoint
    what = f"was the answer to {printable(frame.asked or '')}"
    if frame.source in {*PUSHES, SENT}:
        what = "was sent to the exchange" if frame.source == SENT else "was pushed by the exchange"
    text = printable(frame.payload.decode(errors="replace"))
    more = f"... (--payload prints all {len(frame.payload):,} bytes)"
    shown = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}{more}"
    source = "your own checkpoint" if independent else "the checkpoint in the proof"
    return (
        f"Valid: recorder {checkpoint.recorder_id} recorded for account {printable(frame.account)} at "
        f"{printable(frame.venue)} that this text {what}:\n\n{shown}\n\n"
        f"received   {utc_text(frame.received_ns)} UTC by the recorder's clock ({frame.received_ns} ns), "
        f"frame {frame.seq} of session {frame.session_id}\n"
        f"sealed     {utc_text(batch.written_ns)} UTC by the recorder's clock, seal {batch.index + 1:,}\n"
        f"signed     by {printable(key.name)}, over the first {checkpoint.size:,} seals ({source})\n\n"
        "Neither the text nor its place nor its time of receipt has changed since that checkpoint was signed. When it "
        "was signed, and that the text came from the exchange, is the signer's claim."
    )


def checkpoint_notes(file: Path) -> list[str]:
    """The signed notes in a file of checkpoints.

    Raises:
        ConfigurationError: it cannot be read, or is not a file of checkpoints.
    """
    try:
        return checkpoints_in(_bytes(file).decode())
    except (UnicodeDecodeError, NotProven) as error:
        cause = error if isinstance(error, NotProven) else "it is not text."
        raise ConfigurationError(f"The checkpoints {file} cannot be used: {cause}") from None


def signed_checkpoints(file: Path, key: VerifierKey) -> list[Checkpoint]:
    """The checkpoints in a file, each with a valid signature of this key.

    Raises:
        ConfigurationError: the file cannot be read, or one of them is not signed by the key.
    """
    try:
        return [read_checkpoint(note, key) for note in checkpoint_notes(file)]
    except NotProven as error:
        raise ConfigurationError(f"The checkpoints {file} cannot be used: {error}") from None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
