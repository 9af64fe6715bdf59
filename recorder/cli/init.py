"""`recorder init`: write a configuration by asking for what it needs. Secrets are named, never typed."""

import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from recorder.cli import options
from recorder.config import DEFAULT_FILE, check
from recorder.config_file import ConfigFile
from recorder.errors import ConfigurationError
from recorder.venues import VENUES, venue_named
from recorder.venues.base import Venue

#: Ways to provide a secret → what that is, for people.
SECRETS = {
    "env": "environment variables",
    "file": "files beside the configuration",
    "systemd": "systemd credentials of the service recorder.service",
}
#: Where systemd puts the credentials of a service (systemd.exec(5), "CREDENTIALS").
_SYSTEMD = "/run/credentials/recorder.service"


class Answers(NamedTuple):
    """What the user wants."""

    venue: Venue
    account: str
    environment: str
    #: A key of `SECRETS`.
    secrets: str
    #: Field → value of the credentials that are no secret.
    public: dict[str, str]
    symbols: tuple[str, ...]


@click.command(
    help="Write a configuration: asks for the exchange, a name for the account, and how the credentials are provided. "
    "They are never typed in: the configuration says where they are, and the next steps say how to put them there. If "
    "the configuration exists, the account is added to it. Questions whose answers are given as options are not "
    "asked.\n\n"
    "\b\nExample:  recorder init\n"
    f"          recorder init --venue {min(VENUES)} --environment testnet --account test --secrets env"
)
@click.option("--venue", "venue_name", type=click.Choice(sorted(VENUES)), help="The exchange.")
@click.option("--account", "name", metavar="NAME", help="Your own name for the account, such as main.")
@click.option("--environment", help="One of the exchange's environments, such as testnet.")
@click.option("--secrets", type=click.Choice(tuple(SECRETS)), help="How key and secret are provided.")
@click.option(
    "--set", "given", metavar="KEY=VALUE", multiple=True, help="A credential that is no secret, such as address=0x..."
)
@click.option("--symbols", type=options.Names(), metavar="A,B,C", help="The symbols to record, where they are needed.")
@click.option(
    "--config", "path", type=click.Path(path_type=Path), default=DEFAULT_FILE, show_default=True, help="The file."
)
def init(
    venue_name: str | None,
    name: str | None,
    environment: str | None,
    secrets: str | None,
    given: tuple[str, ...],
    symbols: tuple[str, ...] | None,
    path: Path,
) -> None:
    """Ask, and write."""
    present = ConfigFile(path) if path.exists() else None
    existing = "" if present is None else present.text
    taken = set() if present is None else {account for account, _ in present.accounts()}
    try:
        venue = venue_named(venue_name or click.prompt("Exchange", type=click.Choice(sorted(VENUES))))
        answers = Answers(
            venue=venue,
            account=name or click.prompt("Your name for the account", default=None if "main" in taken else "main"),
            environment=environment or _environment(venue),
            secrets=secrets or _secrets(venue),
            public=_public(venue, given),
            symbols=symbols or _symbols(venue),
        )
    except click.Abort:
        if sys.stdin.isatty():
            raise
        raise click.UsageError(
            "A question was not answered. Without a terminal, give every answer as an option; see recorder init --help."
        ) from None
    if answers.account in taken:
        raise ConfigurationError(f"{path} already has an account {answers.account!r}: choose another name.")
    table = account_table(answers)
    separator = "" if not existing else "\n" if existing.endswith("\n") else "\n\n"
    check(path, f"{existing}{separator}{table}")
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{separator}{table}")
    click.echo(f"{'Added the account to' if existing else 'Wrote'} {path}:\n\n{table}")
    click.echo("\n".join(next_steps(answers, path)))


def _environment(venue: Venue) -> str:
    names = list(venue.environments)
    if len(names) == 1:
        return names[0]
    answer: str = click.prompt("Environment", type=click.Choice(names), default=names[0])
    return answer


def _secrets(venue: Venue) -> str:
    if not _secret_fields(venue):
        return "env"
    for kind, words in SECRETS.items():
        click.echo(f"  {kind:<8} {words}")
    fields = " and ".join(_secret_fields(venue))
    answer: str = click.prompt(f"How {fields} are provided", type=click.Choice(tuple(SECRETS)), default="env")
    return answer


def _public(venue: Venue, given: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    public = [field.name for field in venue.credential_fields if not field.is_secret]
    for one in given:
        key, equals, value = one.partition("=")
        if not equals or key not in public:
            known = ", ".join(f"{field}=..." for field in public) or "none"
            raise click.UsageError(f"--set: {venue.name} has no such credential; it can be given: {known}.")
        values[key] = value
    return {key: values.get(key) or click.prompt(f"Your {key} at {venue.name}") for key in public}


def _symbols(venue: Venue) -> tuple[str, ...]:
    if not venue.needs_symbols:
        return ()
    default = ",".join(map(venue.native_symbol, venue.stand_in.default_symbols))
    answer: tuple[str, ...] = click.prompt("Symbols to record", type=options.Names(), default=default)
    return answer


def _secret_fields(venue: Venue) -> list[str]:
    return [field.name for field in venue.credential_fields if field.is_secret]


def account_table(answers: Answers) -> str:
    """The account's table, as TOML."""
    venue = answers.venue
    lines = [f"[accounts.{_toml_key(answers.account)}]", f'venue = "{venue.name}"']
    if answers.environment != next(iter(venue.environments)):
        lines.append(f'environment = "{answers.environment}"')
    for field in venue.credential_fields:
        value = _reference(answers, field.name) if field.is_secret else answers.public[field.name]
        lines.append(f"{field.name} = {_toml_text(value)}")
    if answers.symbols:
        lines.append(f"symbols = [{', '.join(map(_toml_text, answers.symbols))}]")
    return "\n".join(lines) + "\n"


def next_steps(answers: Answers, path: Path) -> list[str]:
    """What to type next."""
    steps = []
    if names := _secret_fields(answers.venue):
        steps.append(f"Make a key that can only read at {answers.venue.name}, then provide it:")
        steps += [f"  {line}" for name in names for line in _provide(answers, name)]
        steps.append("")
    config = "" if path == DEFAULT_FILE else f" --config {shlex.quote(str(path))}"
    steps += ["Check everything:", f"  recorder doctor{config}", "Record:", f"  recorder run{config}"]
    return steps


def _provide(answers: Answers, field: str) -> list[str]:
    """How to put a secret where the configuration expects it, without a trace in the shell's history."""
    where = _reference(answers, field).partition(":")[2]
    match answers.secrets:
        case "env":
            return [f"read -rs {where} && export {where}"]
        case "file":
            return [f"(umask 077 && cat > {where})    # paste the {field}, then Enter and Ctrl-D"]
    name = Path(where).name
    return [
        f"sudo sh -c 'umask 077 && cat > /etc/recorder/{name}'    # paste the {field}, then Enter and Ctrl-D",
        f"LoadCredential={name}:/etc/recorder/{name}    # a line of the service's unit",
    ]


def _reference(answers: Answers, field: str) -> str:
    """Where a secret is, as the configuration says it."""
    prefix = answers.venue.name if answers.account == "main" else answers.account
    name = re.sub(r"[^A-Za-z0-9]", "_", f"{prefix}_{field}")
    match answers.secrets:
        case "env":
            return f"env:{name.upper() if not name[0].isdigit() else f'A{name.upper()}'}"
        case "file":
            return f"file:{name.lower()}"
    return f"file:{_SYSTEMD}/{name.lower()}"


def _toml_key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml_text(name)


def _toml_text(text: str) -> str:
    # A basic string of TOML escapes what JSON does, in the same way, but for the control character DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
