"""The commands that compare a record with its seals: `verify`, and `rebuild`, which repairs typed rows."""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import click

from recorder.audit.evidence.keys import VerifierKey, verifier_key_in
from recorder.audit.evidence.proof import encode, make_proof
from recorder.audit.reading import RecordReader
from recorder.audit.verify import rebuilding
from recorder.audit.verify.chain import Claim
from recorder.audit.verify.findings import DERIVED, Finding, Verified
from recorder.audit.verify.verification import Verification, Wanted
from recorder.cli import options
from recorder.cli.output import Column, Layout, counted, show, word
from recorder.cli.progress import bar, project_everything
from recorder.cli.prove import checkpoint_notes, signed_checkpoints
from recorder.errors import ConfigurationError
from recorder.export.checking import ExportCheck
from recorder.read.projection_check import repair
from recorder.read.records import Filter
from recorder.read.scope import find_account, require
from recorder.store import migrate
from recorder.store.engine import explained, open_engine

COLUMNS = [
    word("kind", "finding"),
    word("table", rank=1),
    word("account", if_it_differs=True),
    word("session_id", "session"),
    Column("seq", "frame", lambda found: _frames(found)),  # noqa: PLW0108  defined below
    word("run_id", "run", if_it_differs=True),
    word("batch", rank=2),
    word("detail", is_prose=True),
]


@click.command(
    help="Verify that nothing has changed since it was recorded: each batch against its seal, each frame against its "
    "digest, typed rows and event log against the frames and entries they follow from, and everything against "
    "checkpoints that you kept elsewhere. Without a checkpoint, a record that was cut off at its end, or sealed again "
    "as a whole, looks intact.\n\n"
    "--since and --until select whole batches. The record is only read; a recorder may write to it meanwhile. Exit "
    "codes: 0 nothing found, 1 findings, 2 it could not be verified.\n\n"
    "\b\nExample:  recorder verify\n"
    "          recorder verify --checkpoint checkpoints.txt --public-key audit.key.pub\n"
    "          recorder verify --since 7d --quick\n"
    "          recorder verify --export everything\n"
    "          recorder verify --proof 1657730073673728 17 --out frame.proof"
)
@options.record_address
@options.account
@options.period("was received")
@click.option("--quick", is_flag=True, help="Verify frames and seals only, not typed rows: three times as fast.")
@click.option("--jobs", type=click.IntRange(min=1), help="Number of processes.  [default: one for each processor]")
@options.checkpoints
@click.option(
    "--proof",
    "proved",
    type=(int, int),
    metavar="SESSION SEQ",
    help="Do not verify, but write a proof of this frame to --out, for `recorder verify-proof`.",
)
@options.file("--out", "out", "The file for the proof. It must not exist.")
@options.file(
    "--export",
    "folder",
    "Verify this export instead of a record: its files against its manifest, its frames against their seals.",
    metavar="FOLDER",
)
@options.layout
@click.pass_context
def verify(
    ctx: click.Context,
    at: options.RecordAddress,
    account: str | None,
    since: int | None,
    until: int | None,
    quick: bool,
    jobs: int | None,
    files: tuple[Path, ...],
    key_file: Path | None,
    proved: tuple[int, int] | None,
    out: Path | None,
    folder: Path | None,
    layout: Layout,
) -> None:
    """Verify."""
    if (proved is None) != (out is None):
        raise click.UsageError("--proof and --out belong together: give both, or neither.")
    key, claims = claims_in(files, key_file)
    if folder is not None:
        if any(one is not None for one in (*at, account, since, until, jobs, proved)) or quick:
            raise click.UsageError("--export verifies all of an export: combine it with --checkpoint only.")
        _verify(ctx, lambda progress: ExportCheck(folder, claims, progress), layout)
        return
    url = at.url
    account_id = require_scope(url, Filter(account, None, since, until))
    if proved is not None and out is not None:
        _write_proof(url, proved, [note for file in files for note in checkpoint_notes(file)], key, out)
        return
    wanted = Wanted(account_id, since, until, quick, claims, key, jobs)
    _verify(ctx, lambda progress: Verification(url, wanted, progress), layout)


def _verify(
    ctx: click.Context, look: Callable[[Callable[[int, int], None]], Verification | ExportCheck], layout: Layout
) -> None:
    began_s = time.monotonic()
    with bar("verifying frames") as progress:
        verification = look(progress)
        # The first is shown when all are found: until then, the bar occupies the terminal.
        found = list(verification)
    if found or not layout.is_table:
        show_findings(found, layout)
    _summary(found, verification.verified, time.monotonic() - began_s, to_stderr=not layout.is_table)
    ctx.exit(1 if found else 0)


def show_findings(found: list[Finding], layout: Layout | None = None) -> None:
    """Print findings."""
    show(found, COLUMNS, layout or Layout(), "", Finding._fields)


def claims_in(files: Sequence[Path], key_file: Path | None) -> tuple[VerifierKey | None, list[Claim]]:
    """The key that `--public-key` names, and what it has signed in the files of `--checkpoint`.

    Raises:
        click.UsageError: there are checkpoints, but no key.
        ConfigurationError: a file cannot be read, or a checkpoint is not a recorder's, signed by the key.
    """
    if key_file is None:
        if files:
            raise click.UsageError(
                "--checkpoint needs --public-key: a checkpoint counts only if its signature is valid."
            )
        return None, []
    key, claims = verifier_key_in(key_file), []
    for file in files:
        for checkpoint in signed_checkpoints(file, key):
            if checkpoint.recorder_id is None:
                raise ConfigurationError(
                    f"The checkpoints {file} cannot be used: {checkpoint.origin} is not a recorder."
                )
            claims.append(Claim(checkpoint, f"the checkpoint in {file}", "seals"))
    return key, claims


def _write_proof(url: str, frame: tuple[int, int], notes: list[str], key: VerifierKey | None, out: Path) -> None:
    with closing(RecordReader(url)) as reader, reader.snapshot():
        data = encode(make_proof(reader, *frame, notes, key))
    try:
        with out.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be created: {error.strerror}; name another file with --out.") from None
    click.echo(f"The proof of frame {frame[1]} of session {frame[0]} is in {out}, {len(data):,} bytes.")


def require_scope(url: str, wanted: Filter) -> int | None:
    """The key of the account; None for all accounts.

    Raises:
        ConfigurationError: the record has no such account, or the times make no sense.
        DatabaseError: the record is not at this program's schema.
    """
    engine = open_engine(url, read_only=True)
    try:
        with explained(url):
            migrate.require_current(engine)
            with engine.connect() as connection:
                require(connection, wanted, time.time_ns())
                return None if wanted.account is None else find_account(connection, wanted.account).account_id
    finally:
        engine.dispose()


def _frames(found: Finding) -> str:
    if found.seq is None or found.last_seq in {None, found.seq}:
        return "" if found.seq is None else str(found.seq)
    return f"{found.seq} - {found.last_seq}"


def _summary(found: list[Finding], verified: Verified, took_s: float, *, to_stderr: bool) -> None:
    rate = f"{verified.frames / max(took_s, 0.001):,.0f}/s"
    lines = [
        f"{counted(verified.frames, 'frame')} in {counted(verified.batches, 'batch', 'batches')}, "
        f"{counted(verified.seals, 'seal')}, {counted(verified.checkpoints, 'checkpoint')}, "
        f"in {took_s:.1f} s ({rate}): " + (f"{counted(len(found), 'finding')}." if found else "nothing found.")
    ]
    if verified.redacted:
        lines.append(
            f"{verified.redacted:,} frames were redacted, as sealed entries prove; table `redactions` says by whom and "
            "why."
        )
    lines += [f"Not verified: {words}." for words in verified.not_checked]
    if found and all(one.kind in DERIVED for one in found):
        lines.append("Frames and seals are intact: `recorder rebuild` can repair these rows.")
    for line in lines:
        click.echo(line, err=to_stderr)


@click.command(
    help="Decode the frames again, and replace the typed rows (orders, positions, balances, fills, heartbeats) that "
    "are missing or differ, for example after an upgrade that decodes more. Frames are never changed. It can run "
    "beside a recorder.\n\n"
    "The frames are verified against their seals first. If one was changed, nothing is rebuilt, because the typed rows "
    "may be the only evidence of the original. Exit code 1: there are findings that rebuilding does not repair.\n\n"
    "\b\nExample:  recorder rebuild\n"
    "          recorder rebuild --account main --database sqlite:///old.db"
)
@options.record_address
@options.account
@click.pass_context
def rebuild(ctx: click.Context, at: options.RecordAddress, account: str | None) -> None:
    """Rebuild the typed rows."""
    url = at.url
    account_id = require_scope(url, Filter(account))
    with bar("verifying frames") as progress:
        found = rebuilding.damage(url, progress)
    if found:
        show_findings(found)
        click.echo(
            f"Frames or seals were changed ({counted(len(found), 'finding')}), so nothing was rebuilt: the typed rows "
            "are evidence. Restore a backup, or merge another recorder's record.",
            err=True,
        )
        ctx.exit(1)
    done = rebuilding.Rebuilt()
    with bar("rebuilding") as progress:
        for some in rebuilding.rebuild(url, account_id, progress):
            done += some
    repaired = _rebuild_projections(url, account_id)
    if done.frames == 0 and repaired:
        click.echo(f"All typed rows agree with their frames; {repaired:,} rows of orders and fills were made again.")
    elif done.frames == 0:
        click.echo("All typed rows agree with their frames; nothing was changed.")
    else:
        decoded = f", {done.read_anew:,} of them decoded anew" if done.read_anew else ""
        click.echo(f"Rebuilt {done.rows:,} rows from {done.frames:,} frames{decoded}.")
    if done.left:
        click.echo(
            f"Left, because rebuilding does not repair it: {counted(done.left, 'finding')}. "
            "recorder verify lists them.",
            err=True,
        )
        ctx.exit(1)


def _rebuild_projections(url: str, account_id: int | None) -> int:
    """Project what is not, and repair what does not follow from the typed rows. Returns how many rows were repaired."""
    engine = open_engine(url, turn_s=rebuilding.TURN_S)
    try:
        with explained(url):
            project_everything(engine)
            with bar("comparing orders and fills") as advance:
                repaired = 0
                for rows in repair(engine, account_id):
                    repaired += rows
                    advance(repaired, None)
    finally:
        engine.dispose()
    return repaired
