"""`recorder completion`: completion of commands and options in a shell."""

from pathlib import Path

import click

from recorder.errors import ConfigurationError

SHELLS = {
    "bash": 'eval "$(recorder completion bash)"    # a line of ~/.bashrc; bash 4.4 or newer',
    "zsh": 'eval "$(recorder completion zsh)"    # a line of ~/.zshrc, after compinit',
    "fish": "recorder completion fish > ~/.config/fish/completions/recorder.fish",
}


@click.command(
    help="Print a script that lets a shell complete commands, options and the names of accounts.\n\n"
    "\b\nExample:  " + "\n          ".join(SHELLS.values())
)
@click.argument("shell", type=click.Choice(tuple(SHELLS)))
def completion(shell: str) -> None:
    """Print the script."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415  it is seldom needed

    from recorder.cli.commands import recorder  # noqa: PLC0415  it imports this command

    found = get_completion_class(shell)
    assert found is not None  # click's own shells
    click.echo(found(recorder, {}, "recorder", "_RECORDER_COMPLETE").source())


def configured_names(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The accounts of the configuration that a shell may complete a name to."""
    from recorder.config import DEFAULT_FILE  # noqa: PLC0415  only for a shell
    from recorder.config_file import ConfigFile  # noqa: PLC0415

    file: Path = ctx.params.get("config") or DEFAULT_FILE
    try:
        return [name for name, _ in ConfigFile(file).accounts() if name.startswith(begun)]
    except ConfigurationError:
        return []
