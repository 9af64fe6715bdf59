"""`recorder verify-proof`."""

import sys
from pathlib import Path

import click

from recorder.audit.evidence.checkpoint import Checkpoint, checkpoints_in, read_checkpoint
from recorder.audit.evidence.keys import VerifierKey, verifier_key_in
from recorder.audit.evidence.proof import Proved, check
from recorder.clock import utc_text
from recorder.errors import ConfigurationError, NotProven
from recorder.model import PUSH, SENT
from recorder.venues.base import printable

#: So much of a payload is shown.
SHOWN_MAX = 2_000


@click.command(
    "verify-proof",
    help="Check a proof of one frame, which `recorder verify --proof` has made, with nothing but the public key of "
    "whoever signed the checkpoint in it. Best is a checkpoint that came to you another way, at the time: name it with "
    "--checkpoint. No record is needed, and nothing else of it is shown.\n\n"
    "Exits with 0 where the proof holds, with 1 where it does not.\n\n"
    "\b\nExample:  recorder verify-proof frame.proof --public-key audit.key.pub",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--public-key", "key_file", type=click.Path(path_type=Path), required=True, help="Whose word counts.")
@click.option(
    "--checkpoint", "checkpoint_file", type=click.Path(path_type=Path), help="Checkpoints that came another way."
)
@click.option("--payload", is_flag=True, help="Print the frame's bytes, and nothing else.")
@click.pass_context
def verify_proof(ctx: click.Context, file: Path, key_file: Path, checkpoint_file: Path | None, payload: bool) -> None:
    """Check a proof."""
    key = verifier_key_in(key_file)
    others = [] if checkpoint_file is None else _checkpoints(checkpoint_file, key)
    data = _bytes(file)
    try:
        proved = check(data, key, others)
    except NotProven as error:
        click.echo(f"{file} proves nothing: {error}", err=True)
        ctx.exit(1)
    if payload:
        sys.stdout.buffer.write(proved.proof.frame.payload)
        return
    click.echo(words(proved, key, brought_along=checkpoint_file is not None))


def words(proved: Proved, key: VerifierKey, *, brought_along: bool) -> str:
    """What is proved, in sentences."""
    frame, batch, checkpoint = proved.proof.frame, proved.proof.batch, proved.checkpoint
    answered = f"answered its question {printable(frame.asked or '')}"
    what = str({PUSH: "was pushed to it", SENT: "was sent by it"}.get(frame.source, answered))
    text = printable(frame.payload.decode(errors="replace"))
    more = f"... (--payload prints all {len(frame.payload):,} bytes)"
    shown = text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}{more}"
    whose = "the checkpoint you brought along" if brought_along else "the checkpoint in the proof"
    return (
        f"Proved: of account {printable(frame.account)} at {printable(frame.venue)}, recorder {checkpoint.recorder_id} "
        f"says of this text that it {what}:\n\n{shown}\n\n"
        f"received   {utc_text(frame.received_ns)} UTC by its clock ({frame.received_ns} ns), "
        f"as frame {frame.seq} of session {frame.session_id}\n"
        f"sealed     {utc_text(batch.written_ns)} UTC by its clock, as seal {batch.index + 1:,} of its recorder\n"
        f"signed     with {whose}, over its first {checkpoint.size:,} seals, by {printable(key.name)}\n\n"
        "So the text, its place and its time of receipt are what they were when that checkpoint was signed. When that "
        "was, and that the exchange said it, is the word of whoever signed."
    )


def _checkpoints(file: Path, key: VerifierKey) -> list[Checkpoint]:
    try:
        text = _bytes(file).decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{file} holds no checkpoints: it is no text.") from None
    try:
        return [read_checkpoint(note, key) for note in checkpoints_in(text)]
    except NotProven as error:
        raise ConfigurationError(f"The checkpoints {file} are of no use: {error}") from error


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.") from None
