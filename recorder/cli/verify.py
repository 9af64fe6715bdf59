"""`recorder verify`."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from recorder.audit.evidence.checkpoint import checkpoints_in, read_checkpoint
from recorder.audit.evidence.keys import VerifierKey, verifier_key_in
from recorder.audit.evidence.proof import encode, make_proof
from recorder.audit.reading import RecordReader
from recorder.audit.verify.chain import Claim
from recorder.audit.verify.findings import DERIVED, Finding, Verified
from recorder.audit.verify.verification import Verification, Wanted
from recorder.cli import options
from recorder.cli.output import Column, Layout, show, word
from recorder.cli.progress import bar
from recorder.errors import ConfigurationError, NotProven
from recorder.export.checking import ExportCheck
from recorder.read.scope import find_account
from recorder.store import migrate
from recorder.store.engine import explained, open_engine

COLUMNS = [
    word("kind", "finding"),
    word("table", rank=1),
    word("account", if_it_differs=True),
    word("session_id", "session"),
    Column("seq", "frame", lambda found: _frames(found)),  # noqa: PLW0108  it stands below
    word("run_id", "run", if_it_differs=True),
    word("batch", rank=2),
    word("detail", is_prose=True),
]


@click.command(
    help="Check that a record is as it was written: every batch against its seal, every frame against its digest, "
    "typed rows and event log against what they follow from, and all of it against a checkpoint kept elsewhere. "
    "Without one, a record whose end was cut off, or whose seals were all made anew, cannot be told from a whole "
    "one.\n\n"
    "It only reads, also beside a recorder that is writing. Exits with 0 where nothing is found, with 1 where "
    "something is, with 2 where it could not look.\n\n"
    "\b\nExample:  recorder verify\n"
    "          recorder verify --checkpoint checkpoints.txt --public-key audit.key.pub\n"
    "          recorder verify --since 7d --quick\n"
    "          recorder verify --export everything\n"
    "          recorder verify --proof 1657730073673728 17 --out frame.proof"
)
@options.database
@click.option("--account", help="Only this account's frames, by its name in the configuration.")
@click.option(
    "--since", type=options.Instant(), help="Only batches with a frame received since: 2020-02-04, or 2h (ago)."
)
@click.option("--until", type=options.Instant(), help="Only batches with a frame received before; as --since.")
@click.option("--quick", is_flag=True, help="Only frames and seals, not what follows from them: three times as fast.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: one a processor]")
@click.option(
    "--checkpoint",
    "files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file of checkpoints that was kept elsewhere; may be given several times.",
)
@click.option("--public-key", "key_file", type=click.Path(path_type=Path), help="The key whose signatures count.")
@click.option(
    "--proof",
    "proved",
    type=(int, int),
    metavar="SESSION SEQ",
    help="Instead, write a proof of this frame, for `recorder verify-proof`.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file for the proof; one that is there is not replaced."
)
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path),
    help="Instead, an export: its files against its manifest, its frames against their seals.",
)
@options.layout
@click.pass_context
def verify(
    ctx: click.Context,
    database: str | None,
    config: Path | None,
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
        raise click.UsageError("--proof names a frame, --out the file for its proof: give both, or none.")
    if files and key_file is None:
        raise click.UsageError("A checkpoint counts by its signature: name the key with --public-key.")
    key = None if key_file is None else verifier_key_in(key_file)
    notes = [(file, note) for file in files for note in _notes(file)]
    claims = [_claim(file, note, key) for file, note in notes if key is not None]
    if folder is not None:
        if any(one is not None for one in (database, config, account, since, until, jobs, proved)) or quick:
            raise click.UsageError("An export is checked whole and by itself: leave all but the checkpoints away.")
        _verify(ctx, lambda progress: ExportCheck(folder, claims, progress), layout)
        return
    url = options.database_url(database, config)
    account_id = require_account(url, account)
    if proved is not None and out is not None:
        _write_proof(url, proved, [note for _, note in notes], key, out)
        return
    wanted = Wanted(account_id, since, until, quick, claims, key, jobs)
    _verify(ctx, lambda progress: Verification(url, wanted, progress), layout)


def _verify(
    ctx: click.Context, look: Callable[[Callable[[int, int], None]], Verification | ExportCheck], layout: Layout
) -> None:
    began_s = time.monotonic()
    with bar("verifying frames") as progress:
        verification = look(progress)
        # All of them before the first is shown: the bar is in the way.
        found = list(verification)
    if found or not layout.is_table:
        show_findings(found, layout)
    _summary(found, verification.verified, time.monotonic() - began_s, to_stderr=not layout.is_table)
    ctx.exit(1 if found else 0)


def show_findings(found: list[Finding], layout: Layout | None = None) -> None:
    """Show what was found."""
    show(found, COLUMNS, layout or Layout(), "", Finding._fields)


def claims_in(file: Path, key: VerifierKey | None) -> Iterator[Claim]:
    """The checkpoints in a file, as what a key has signed."""
    assert key is not None
    yield from (_claim(file, note, key) for note in _notes(file))


def _write_proof(url: str, frame: tuple[int, int], notes: list[str], key: VerifierKey | None, out: Path) -> None:
    with closing(RecordReader(url)) as reader, reader.snapshot():
        data = encode(make_proof(reader, *frame, notes, key))
    try:
        with out.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be made: {error.strerror}; name another file with --out.") from None
    click.echo(f"Frame {frame[1]} of session {frame[0]} is proved by {out}, {len(data):,} bytes.")


def _notes(file: Path) -> list[str]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(f"The checkpoints {file} cannot be read: {told}.") from None
    with _useless(file):
        return checkpoints_in(text)


@contextmanager
def _useless(file: Path) -> Iterator[None]:
    """What cannot be believed is no finding about the record: nothing can be looked at with it."""
    try:
        yield
    except NotProven as error:
        raise ConfigurationError(f"The checkpoints {file} are of no use: {error}") from error


def _claim(file: Path, note: str, key: VerifierKey) -> Claim:
    with _useless(file):
        checkpoint = read_checkpoint(note, key)
        if checkpoint.recorder_id is None:
            raise NotProven(f"{checkpoint.origin} is no recorder's log.")
    return Claim(checkpoint, f"the checkpoint in {file}", "seals")


def require_account(url: str, account: str | None) -> int | None:
    """The key of an account, in a record at this program's schema."""
    engine = open_engine(url, read_only=True)
    try:
        with explained(url):
            migrate.require_current(engine)
            with engine.connect() as connection:
                return None if account is None else find_account(connection, account).account_id
    finally:
        engine.dispose()


def _frames(found: Finding) -> str:
    if found.seq is None or found.last_seq in {None, found.seq}:
        return "" if found.seq is None else str(found.seq)
    return f"{found.seq} - {found.last_seq}"


def _summary(found: list[Finding], seen: Verified, took_s: float, *, to_stderr: bool) -> None:
    def tell(line: str) -> None:
        click.echo(line, err=to_stderr)

    rate = f"{seen.frames / max(took_s, 0.001):,.0f}/s"
    looked_at = (
        f"{seen.frames:,} frames in {seen.batches:,} batches, {seen.seals:,} seals, {seen.checkpoints:,} checkpoints"
    )
    told = f"{len(found):,} findings" if found else "nothing found"
    tell(f"{looked_at}, in {took_s:.1f} s ({rate}): {told}.")
    if seen.redacted:
        tell(
            f"{seen.redacted:,} frames were redacted, as sealed entries prove; table `redactions` says by whom and why."
        )
    for words in seen.not_checked:
        tell(f"Not looked at: {words}.")
    if found and all(one.kind in DERIVED for one in found):
        tell("Frames and seals are intact: these rows can be made again from them with `recorder rebuild`.")
