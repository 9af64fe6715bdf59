"""The commands for the keys that sign checkpoints."""

from pathlib import Path

import click

from recorder.audit.evidence.keys import new_key, signing_key_in, verifier_key_in, write_key
from recorder.errors import ConfigurationError


@click.group(
    help="Keys that sign checkpoints. The private one stays where the recorder runs; the public one is for whoever is "
    "to believe it.\n\n"
    "\b\nExample:  recorder keys make audit.key"
)
def keys() -> None:
    """Keys that sign checkpoints."""


@keys.command(
    help="Make a key: the private one into FILE, which only you can read, and the public one into FILE.pub beside it. "
    "What is printed is the public one: give it to whoever is to check your record, before there is anything to check. "
    "No file is ever replaced.\n\n"
    "\b\nExample:  recorder keys make audit.key --name alice.example/fmex"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--name", help="What the key is called in its signatures, such as alice.example/fmex.  [default: the file's name]"
)
def make(file: Path, name: str | None) -> None:
    """Make a key."""
    key = new_key(file.stem if name is None else name)
    write_key(file, key)
    click.echo(key.verifier.text)


@keys.command(
    help="Show the public key in FILE, or the one of the private key in FILE; a private key itself is never shown."
    "\n\n\b\nExample:  recorder keys show audit.key"
)
@click.argument("file", type=click.Path(path_type=Path))
def show(file: Path) -> None:
    """Show a public key."""
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
