"""The configuration file: what to record, where to, as whom. Secrets are named in it, never written in it."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from shutil import which
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from recorder.audit.evidence.keys import read_signing_key
from recorder.audit.evidence.timestamp import roots_in
from recorder.errors import ConfigurationError
from recorder.live.settings import Account, Authority, Checkpoints, Limits
from recorder.store.engine import is_file, parse_url
from recorder.venues import venue_named
from recorder.venues.base import Credentials

#: The configuration that is read where none is named.
DEFAULT_FILE = Path("recorder.toml")
#: The database where no configuration names one.
DEFAULT_DATABASE = "sqlite:///recorder.db"
#: The local journal before a server's database, where a configuration names none.
DEFAULT_JOURNAL = "recorder-journal.db"

EXAMPLE = """\
[database]
url = "sqlite:///recorder.db"

[accounts.main]
venue = "fmex"
url = "https://api.fmex.com"
key = "env:FMEX_KEY"          # or file:/run/credentials/fmex_key
secret = "env:FMEX_SECRET"
symbols = ["btcusd_p"]
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SYMBOL = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class Database(NamedTuple):
    """Where a record goes."""

    #: The file that every batch is written to first.
    journal: str
    #: The server that batches are sent on to; None: the file is all there is.
    server: str | None = None

    @property
    def url(self) -> str:
        """Where people look."""
        return self.server or self.journal


class Config(NamedTuple):
    """What a configuration says, checked."""

    database: Database
    accounts: tuple[Account, ...]
    limits: Limits
    checkpoints: Checkpoints | None = None


class _Database(msgspec.Struct, forbid_unknown_fields=True):
    url: str = DEFAULT_DATABASE
    journal: str | None = None


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    venue: str
    key: str
    secret: str
    symbols: list[str]
    url: str | None = None
    heartbeat_s: float | None = None


class _Checkpoints(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    every_s: float = Checkpoints.every_s
    to: str | None = None
    command: list[str] = []
    authority: str | None = None
    authority_ca: str | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    accounts: dict[str, Any] = {}
    checkpoints: dict[str, Any] | None = None
    database: _Database = msgspec.field(default_factory=_Database)
    limits: dict[str, int | float] = {}


def load(path: Path) -> Config:
    """Read a configuration and everything it names.

    Raises:
        ConfigurationError: with the place, and what to write there.
    """
    file = _read(path)
    if not file.accounts:
        raise ConfigurationError(f"{path} names no account to record; add a table such as:\n\n{EXAMPLE}")
    accounts = tuple(_account(path, name, told) for name, told in file.accounts.items())
    checkpoints = None if file.checkpoints is None else _checkpoints(path, file.checkpoints)
    limits = _limits(path, file.limits)
    _check_silence(path, accounts, limits)
    return Config(_database(path, file.database), accounts, limits, checkpoints)


def database_of(path: Path) -> Database:
    """The database that a configuration names, without looking at the rest: reading needs no secrets."""
    return _database(path, _read(path).database)


def database_at(url: str, path: Path) -> Database:
    """The database at an address given on the command line; a server's has its journal where the configuration says.

    Args:
        url: the address.
        path: the configuration.
    """
    if is_file(url):
        return Database(url)
    told = _read(path).database.journal if path.exists() else None
    return Database(_beside(path, f"sqlite:///{told or DEFAULT_JOURNAL}"), url)


def _read(path: Path) -> _File:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(f"There is no configuration {path}; make one such as:\n\n{EXAMPLE}") from None
    except OSError as error:
        raise ConfigurationError(f"The configuration {path} cannot be read: {error.strerror}.") from None
    try:
        return msgspec.toml.decode(text, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The configuration {path} is not right: {_place(error)}.") from None


def _place(error: Exception) -> str:
    return str(error).replace("`$.", "`").replace("Object missing", "It lacks the").replace("Object", "It")


def _account(path: Path, name: str, fields: object) -> Account:
    where = f"[accounts.{name}] in {path}"
    try:
        told = msgspec.convert(fields, _Account)
    except msgspec.ValidationError as error:
        known = ", ".join(_Account.__struct_fields__)
        raise ConfigurationError(f"{where} is not right: {_place(error)}. It knows: {known}.") from None
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{path}: an account's name is of letters, digits, '_', '-' and '.', not {name!r}.")
    venue = venue_named(told.venue)
    symbols = tuple(dict.fromkeys(symbol.lower() for symbol in told.symbols))
    wrong = [symbol for symbol in symbols if not _SYMBOL.fullmatch(symbol)]
    if wrong or not symbols:
        raise ConfigurationError(f'{where}: symbols must be a list such as ["btcusd_p"], not {wrong or list(symbols)}.')
    if told.heartbeat_s is not None and not 0 < told.heartbeat_s <= venue.heartbeat_s:
        raise ConfigurationError(
            f"{where}: heartbeat_s must be above zero and at most {venue.heartbeat_s:g}, the interval {venue.name} "
            f"asks for, not {told.heartbeat_s:g}."
        )
    folder = path.absolute().parent
    key = _secret(f"{where}: key", told.key, folder)
    return Account(
        name=name,
        venue=venue,
        url=_exchange_url(where, told.url or venue.default_url),
        credentials=Credentials(key, _secret(f"{where}: secret", told.secret, folder)),
        symbols=symbols,
        heartbeat_s=told.heartbeat_s,
    )


def _secret(where: str, named: str, folder: Path) -> str:
    """The secret that a configuration names by `env:` or `file:`; one that is written out is never repeated.

    A relative file lies beside the configuration, as a relative database does.
    """
    kind, _, name = named.partition(":")
    if kind == "env" and name:
        value = os.environ.get(name, "")
        if not value.strip():
            raise ConfigurationError(
                f"{where} is in the environment variable {name}, which is not set: export it first."
            )
    elif kind == "file" and name:
        try:
            value = (folder / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            cause = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigurationError(f"{where} is in the file {name}, which cannot be read: {cause}.") from None
        if not value.strip():
            raise ConfigurationError(f"{where} is in the file {name}, which is empty.")
    else:
        raise ConfigurationError(
            f'{where} must say where the secret is, "env:NAME" or "file:/path"; a secret written out there is refused.'
        )
    return value.strip()


def _exchange_url(where: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        right = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.path in {"", "/"} and parts.port != 0
        )
    except ValueError:
        right = False
    if not right or parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError(
            f"{where}: url must be the exchange's own address and nothing more, such as https://api.fmex.com."
        )
    return f"{parts.scheme}://{parts.netloc}"


def _database(path: Path, told: _Database) -> Database:
    if not is_file(told.url):
        return Database(_beside(path, f"sqlite:///{told.journal or DEFAULT_JOURNAL}"), told.url)
    if told.journal is not None:
        raise ConfigurationError(
            f"{path}: [database] journal is the file in front of a server's database; url names a file: leave it out."
        )
    return Database(_beside(path, told.url))


def _beside(path: Path, url: str) -> str:
    """A relative database file lies beside the configuration that names it, wherever the command is typed."""
    parsed = parse_url(url)
    file = path.absolute().parent / str(parsed.database)
    return parsed.set(database=str(file)).render_as_string(hide_password=False)


def _checkpoints(path: Path, fields: object) -> Checkpoints:
    where, folder = f"[checkpoints] in {path}", path.absolute().parent
    try:
        told = msgspec.convert(fields, _Checkpoints)
    except msgspec.ValidationError as error:
        known = ", ".join(_Checkpoints.__struct_fields__)
        raise ConfigurationError(f"{where} is not right: {_place(error)}. It knows: {known}.") from None
    if not 0 < told.every_s < math.inf:
        raise ConfigurationError(f"{where}: every_s must be above zero, and a number.")
    if not (told.to or told.command or told.authority):
        raise ConfigurationError(
            f"{where}: a checkpoint that stays here binds nobody; name a file (to), a command or an authority."
        )
    if told.command and which(told.command[0]) is None:
        raise ConfigurationError(f"{where}: there is no program {told.command[0]!r} for the command.")
    key = read_signing_key(_secret(f"{where}: key", told.key, folder), f"the key of {where}")
    return Checkpoints(
        key=key,
        every_s=told.every_s,
        file=_file(f"{where}: to", told.to, folder),
        command=tuple(told.command),
        authority=_authority(where, told, folder),
    )


def _authority(where: str, told: _Checkpoints, folder: Path) -> Authority | None:
    certificates = _file(f"{where}: authority_ca", told.authority_ca, folder)
    if told.authority is None and certificates is None:
        return None
    try:
        parts = urlsplit(told.authority or "")
        right = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError:
        right = False
    if not right or certificates is None:
        raise ConfigurationError(
            f"{where}: authority is the address of a time-stamp authority, such as https://tsa.example/tsr, and "
            'authority_ca the file of its root certificate, such as "file:tsa.pem"; write both.'
        )
    return Authority(str(told.authority), roots_in(certificates))


def _file(where: str, named: str | None, folder: Path) -> Path | None:
    """A file that a configuration names by `file:`; a relative one lies beside the configuration."""
    if named is None:
        return None
    kind, _, name = named.partition(":")
    if kind != "file" or not name:
        raise ConfigurationError(f'{where} must be a file, such as "file:/mnt/elsewhere/recorder.checkpoints".')
    return folder / name


def _limits(path: Path, told: dict[str, Any]) -> Limits:
    known = {field.name: field.type for field in fields(Limits)}
    for name, value in told.items():
        if name not in known:
            raise ConfigurationError(f"{path}: [limits] knows no {name!r}; it knows: {', '.join(known)}.")
        if known[name] is int and not isinstance(value, int):
            raise ConfigurationError(f"{path}: [limits] {name} must be a whole number.")
    try:
        return Limits(**told)
    except ValueError as error:
        raise ConfigurationError(f"{path}: [limits] {error}.") from None


def _check_silence(path: Path, accounts: Sequence[Account], limits: Limits) -> None:
    """Refuse a time of silence in which no heartbeat is answered: every quiet connection would count as lost."""
    for account in accounts:
        interval_s = account.heartbeat_interval_s
        if limits.silent_s <= interval_s:
            raise ConfigurationError(
                f"{path}: [limits] silent_s is {limits.silent_s:g} s, but account {account.name} sends a heartbeat "
                f"every {interval_s:g} s, so a quiet connection would count as lost: set silent_s above "
                f"{interval_s:g}, or a lower heartbeat_s in [accounts.{account.name}]."
            )
