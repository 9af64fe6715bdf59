"""`recorder merge`."""

from pathlib import Path

import click
from sqlalchemy import Connection, Engine, func, select

from recorder.cli.progress import bar, project_everything
from recorder.errors import MergeConflict
from recorder.store import migrate
from recorder.store.credentials import require_one_account
from recorder.store.crosscheck import compare_sessions
from recorder.store.engine import blaming, database_path, explained, is_file, open_engine, place, sole_writer
from recorder.store.mover import Mover, require_rights, require_same, update_statistics
from recorder.store.schema import batches
from recorder.store.snapshots import make_all


@click.command(
    help="Copy what SRC holds and DST lacks into DST: another recorder's file, or a journal that was not sent to its "
    "server. Readers of DST see each push once, whoever received it. Merging again copies only what is new, and the "
    "order of merging does not matter.\n\n"
    "SRC is a file, DST a file or a server's database; each is a path or an address. What both hold is compared first: "
    "if one byte differs, nothing is merged. SRC may be recorded into at the same time.\n\n"
    "\b\nExample:  recorder merge laptop.db recorder.db\n"
    "          recorder merge recorder-journal.db postgresql+psycopg://me@db.example/recorder"
)
@click.argument("src")
@click.argument("dst")
def merge(src: str, dst: str) -> None:
    """Merge."""
    source_url, target_url = _url(src), _url(dst)
    if not is_file(source_url):
        raise click.UsageError("SRC must be a file; a server's database is copied with its own tools, such as pg_dump.")
    if is_file(target_url) and database_path(source_url).resolve() == database_path(target_url).resolve():
        raise click.UsageError("SRC and DST are the same file.")
    source = blaming(open_engine(source_url, read_only=True), source_url)
    with explained(source_url):
        migrate.require_current(source)
    with sole_writer(target_url), explained(target_url):
        target = open_engine(target_url)
        migrate.require_usable(target)
        with source.connect() as one, target.connect() as other:
            require_rights(other, place(target_url))
            require_one_account(one, other)
            try:
                compared = require_same(one, other)
            except MergeConflict as error:
                raise MergeConflict(
                    f"{error} One of {place(source_url)} and {place(target_url)} was changed; nothing was merged."
                ) from error
            missing = max(_frames(one) - compared, 0)
        moved_frames = _move(Mover(source, target), missing)
        _make_snapshots(target)
        project_everything(target)
        with target.connect() as connection:
            update_statistics(connection)
        told = list(compare_sessions(target))
    click.echo(f"{moved_frames:,} frames moved into {place(target_url)}.")
    click.echo(f"{compared:,} were there already, the same byte for byte.")
    for comparison in told:
        click.echo(comparison.sentence())


def _url(text: str) -> str:
    return text if "://" in text else f"sqlite:///{Path(text)}"


def _frames(connection: Connection) -> int:
    return connection.scalar(select(func.coalesce(func.sum(batches.c.frames), 0))) or 0


def _move(mover: Mover, frames: int) -> int:
    """Move everything, with a progress bar on a terminal."""
    count = 0
    with bar("moving frames") as advance:
        while (moved := mover.step()) is not None:
            count += moved.frames
            advance(count, frames)
    mover.close()
    return count


def _make_snapshots(target: Engine) -> None:
    """Make the snapshots that are missing after merging; they only save reading."""
    with bar("indexing the latest states") as advance, target.connect() as connection:
        for made in make_all(connection):
            advance(made, None)
