"""The generated part of `docs/commands.md`: every command and option, from click's own help."""

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import click

from recorder.cli.commands import GROUPS, recorder

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
BEGIN, END = "<!-- commands: written by make docs -->\n", "<!-- end of commands -->\n"

#: An option that at least this many commands have, with the same words, is described once.
SHARED_MIN = 4


class Named(NamedTuple):
    """A command and how it is called."""

    #: Without `recorder`, such as `db upgrade`.
    name: str
    command: click.Command


def commands(group: click.Group | None = None, prefix: str = "") -> Iterator[Named]:
    """Every command, subcommands after the command they belong to."""
    group = group or recorder
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield Named(prefix + name, command)
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix}{name} ")


def options(command: click.Command) -> Iterator[click.Option]:
    """The options of a command, without `--help`."""
    return (
        one for one in command.params if isinstance(one, click.Option) and not one.hidden and "--help" not in one.opts
    )


def rewritten(page: str) -> str:
    """The page with its generated part made again."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{_generated()}\n{END}{after}"


def _generated() -> str:
    every = list(commands())
    counted = Counter(_row(named.command, option) for named in every for option in options(named.command))
    shared = {row for row, count in counted.items() if count >= SHARED_MIN}
    parts = ["## Shared options\n", *_table(sorted(shared))]
    for group, names in GROUPS.items():
        parts.append(f"## {group}\n")
        for named in every:
            if named.name.split()[0] in names:
                parts += _section(named, shared)
    return "\n".join(parts).rstrip() + "\n"


def _section(named: Named, shared: set[str]) -> Iterator[str]:
    yield f"### recorder {named.name}\n"
    context = click.Context(named.command, info_name=f"recorder {named.name}")
    yield f"    {' '.join([context.command_path, *named.command.collect_usage_pieces(context)])}\n"
    for verbatim, paragraphs in groupby(
        inspect.cleandoc(named.command.help or "").split("\n\n"), lambda text: text.startswith("\b")
    ):
        if verbatim:
            yield "```text\n" + "\n\n".join(text.removeprefix("\b").strip("\n") for text in paragraphs) + "\n```\n"
        else:
            yield from (" ".join(text.split()) + "\n" for text in paragraphs)
    rows = {option.opts[-1]: _row(named.command, option) for option in options(named.command)}
    own = [row for row in rows.values() if row not in shared]
    yield from _table(own) if own else ()
    common = [f"`{name}`" for name, row in rows.items() if row in shared]
    if common:
        yield f"[Shared options](#shared-options): {', '.join(common)}.\n"


def _table(rows: list[str]) -> Iterator[str]:
    yield "| option | meaning | default |\n| --- | --- | --- |"
    yield "\n".join(rows) + "\n"


def _row(command: click.Command, option: click.Option) -> str:
    context = click.Context(command)
    names, meaning = option.get_help_record(context) or ("", "")
    extra = re.search(r"  \[([^][]*(?:\[[^]]*\][^][]*)*)\]$", meaning)
    meaning = meaning[: extra.start()] if extra else meaning
    default = re.sub(r"^default: \(?(.*?)\)?$", r"\1", extra[1].partition(";")[0]) if extra else ""
    if option.multiple and "repeat" not in meaning and "several times" not in meaning:
        meaning += " Can be given more than once."
    cells = f"`{names}`", meaning, default
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
