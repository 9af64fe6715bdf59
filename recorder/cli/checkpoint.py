"""`recorder checkpoint`."""

from pathlib import Path

import click
from sqlalchemy import Connection

from recorder.audit.evidence.checkpoint import checkpoint_of, sign_checkpoint
from recorder.audit.evidence.delivery import NoteFile
from recorder.audit.evidence.keys import SigningKey, signing_key_in
from recorder.audit.evidence.tree import Tree, sizes
from recorder.cli import options
from recorder.cli.progress import bar
from recorder.errors import DatabaseError
from recorder.store import migrate
from recorder.store.engine import explained, open_engine, place


@click.command(
    help="Sign what a record holds now: how many seals, and the root of their tree, for each recorder that wrote into "
    "it. Nothing is written to the record. A checkpoint proves something once it lies where you cannot change it: send "
    "it to somebody, or let `recorder run` do so by itself ([checkpoints] in the configuration).\n\n"
    "Every seal is read, and the tree must be the one that this key has signed before, where the record holds such "
    "checkpoints; if it is not, nothing is signed, and the exit code is 1.\n\n"
    "\b\nExample:  recorder checkpoint --key audit.key\n"
    "From cron:  recorder checkpoint --key audit.key --out /mnt/elsewhere/recorder.checkpoints"
)
@options.database
@click.option(
    "--key", required=True, type=click.Path(path_type=Path), help="The private key; `recorder keys` makes one."
)
@click.option("--out", type=click.Path(path_type=Path), help="Append to this file, instead of printing.")
@click.option("--recorder", "recorder_id", type=int, help="Only of this recorder, by its number.")
def checkpoint(database: str | None, config: Path | None, key: Path, out: Path | None, recorder_id: int | None) -> None:
    """Sign."""
    url = options.database_url(database, config)
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
    """A note for each recorder, with a bar on a terminal."""
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
