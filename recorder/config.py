"""The configuration file: accounts, database, limits, checkpoints. It names secrets and never contains them."""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from typing import NamedTuple, TypeVar
from urllib.parse import SplitResult, urlsplit

from recorder.audit.evidence.keys import read_signing_key
from recorder.audit.evidence.timestamp import roots_in
from recorder.config_file import EXAMPLE, ConfigFile, Section
from recorder.errors import ConfigurationError
from recorder.live.settings import Account, Authority, Checkpoints, Limits
from recorder.store.engine import is_file, parse_url
from recorder.venues import VENUES, venue_named
from recorder.venues.base import Venue
from recorder.venues.rest import Credentials

T = TypeVar("T")

#: The configuration that is read unless another is named.
DEFAULT_FILE = Path("recorder.toml")
#: The database unless the configuration names one.
DEFAULT_DATABASE = "sqlite:///recorder.db"
#: The local journal in front of a server's database, unless the configuration names one.
DEFAULT_JOURNAL = "recorder-journal.db"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SYMBOL = re.compile(r"[A-Za-z0-9@][A-Za-z0-9_./:@-]{0,39}")


class Database(NamedTuple):
    """The addresses of a record."""

    #: The file that every batch is written to first.
    journal: str
    #: The server's database that batches are then sent to; None: there is only the file.
    server: str | None = None

    @property
    def url(self) -> str:
        """The address that reads use."""
        return self.server or self.journal


class Config(NamedTuple):
    """A checked configuration."""

    database: Database
    accounts: tuple[Account, ...]
    limits: Limits
    checkpoints: Checkpoints | None = None


@dataclass(frozen=True)
class _DatabaseKeys:
    url: str = DEFAULT_DATABASE
    journal: str | None = None


@dataclass(frozen=True)
class _AccountKeys:
    """The keys that every venue has; `Venue.credential_fields` are the others."""

    venue: str
    environment: str | None = None
    symbols: tuple[str, ...] = ()
    url: str | None = None
    stream_url: str | None = None
    heartbeat_s: float | None = None
    exclude_topics: tuple[str, ...] = ()


@dataclass(frozen=True)
class _CheckpointKeys:
    key: str
    every_s: float = Checkpoints.every_s
    to: str | None = None
    command: tuple[str, ...] = ()
    authority: str | None = None
    authority_ca: str | None = None


def load(path: Path) -> Config:
    """Read a configuration and the secrets it names.

    Raises:
        ConfigurationError: it cannot be used; the message names the file, the line, the table and the key.
    """
    file = ConfigFile(path)
    accounts = tuple(_account(name, section, _secret) for name, section in file.accounts())
    if not accounts:
        raise ConfigurationError(f"{path} names no account to record; add a table such as:\n\n{EXAMPLE}")
    limits = file.section("limits").read(Limits)
    _check_silence(file.section("limits"), accounts, limits)
    checkpoints = _checkpoints(file.section("checkpoints")) if file.has("checkpoints") else None
    return Config(_database(file.section("database")), accounts, limits, checkpoints)


def check(path: Path, text: str) -> None:
    """Check the accounts of a configuration that is about to be written, without the secrets that it names.

    Raises:
        ConfigurationError: as `load`.
    """
    for name, section in ConfigFile(path, text).accounts():
        _account(name, section, lambda _section, _key, named: named)


def configured_accounts(path: Path) -> list[str]:
    """The accounts that a configuration names, as `venue/name`. The rest of it is not checked.

    Raises:
        ConfigurationError: it cannot be read.
    """
    return [f"{section.values.get('venue')}/{name}" for name, section in ConfigFile(path).accounts()]


def database_of(path: Path) -> Database:
    """The database that a configuration names. The rest of it is not checked: reading needs no secrets."""
    return _database(ConfigFile(path).section("database"))


def database_at(url: str, path: Path) -> Database:
    """The database at an address given on the command line, with the journal that the configuration names.

    Args:
        url: the address.
        path: the configuration; it need not exist.
    """
    if is_file(url):
        return Database(url)
    journal = ConfigFile(path).section("database").read(_DatabaseKeys).journal if path.exists() else None
    return Database(_beside(path.absolute().parent, f"sqlite:///{journal or DEFAULT_JOURNAL}"), url)


def _account(name: str, section: Section, read_secret: Callable[[Section, str, str], str]) -> Account:
    if not _NAME.fullmatch(name):
        raise section.error("", f"an account's name has letters, digits, '_', '-' and '.', at most 64, unlike {name!r}")
    named = section.values.get("venue")
    if not isinstance(named, str):
        every = (field.name for name in VENUES for field in venue_named(name).credential_fields)
        section.read(_AccountKeys, *dict.fromkeys(every))  # an unknown key may be the misspelled one
    with section.blaming("venue"):
        venue = venue_named(str(named))
    keys = section.read(_AccountKeys, *(field.name for field in venue.credential_fields))
    symbols = tuple(dict.fromkeys(map(venue.native_symbol, keys.symbols)))
    wrong = [symbol for symbol in symbols if not _SYMBOL.fullmatch(symbol)]
    if wrong or (venue.needs_symbols and not symbols):
        raise section.error("symbols", f'must be a list such as ["BTC-USDT-SWAP"], not {wrong or list(symbols)}')
    if keys.heartbeat_s is not None and not 0 < keys.heartbeat_s <= venue.heartbeat_s:
        raise section.error(
            "heartbeat_s",
            f"must be above zero and at most {venue.heartbeat_s:g}, the interval {venue.name} asks for, "
            f"not {keys.heartbeat_s:g}",
        )
    names = list(venue.environments)
    if keys.environment is not None and keys.environment not in names:
        raise section.error("environment", f"must be one of {', '.join(names)}, not {keys.environment!r}")
    own = venue.environments[keys.environment or names[0]]
    url = own.url if keys.url is None else _host(section, "url", keys.url, own.url)
    # A `url` of another host is for everything, unless `stream_url` says otherwise.
    stream_url = own.stream_url if keys.url is None else None
    if keys.stream_url is not None:
        stream_url = _host(section, "stream_url", keys.stream_url, own.stream_url)
    account = Account(
        name=name,
        venue=venue,
        url=url,
        stream_url=stream_url,
        headers=own.headers,
        credentials=_credentials(section, venue, read_secret),
        symbols=symbols,
        heartbeat_s=keys.heartbeat_s,
        environment=keys.environment or names[0],
    )
    topics = [topic for stream in account.streams for topic in stream.topics]
    unknown = [topic for topic in keys.exclude_topics if topic not in topics]
    if unknown or len(set(keys.exclude_topics)) == len(topics):
        raise section.error("exclude_topics", f"must name some of {', '.join(topics)}, not {list(keys.exclude_topics)}")
    return replace(account, exclude_topics=keys.exclude_topics)


def _credentials(section: Section, venue: Venue, read_secret: Callable[[Section, str, str], str]) -> Credentials:
    """The credentials that the venue asks for; those that are no secret may be written out."""
    public: dict[str, str] = {}
    secret: dict[str, str] = {}
    for field in venue.credential_fields:
        value = section.text(field.name)
        if field.is_secret or value.startswith(("env:", "file:")):
            value = read_secret(section, field.name, value)
        (secret if field.is_secret else public)[field.name] = value
    return Credentials(public, **secret)


def _host(section: Section, key: str, text: str, example: str) -> str:
    """An address without a path, with the scheme of the example or its plain form."""
    parts = _address(text, {urlsplit(example).scheme, urlsplit(example).scheme.removesuffix("s")})
    if parts is None or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise section.error(key, f"must be the exchange's own address and nothing more, such as {example}")
    return f"{parts.scheme}://{parts.netloc}"


def _secret(section: Section, key: str, named: str) -> str:
    """The secret that a key names by `env:` or `file:`. A secret written out is refused, and not repeated."""
    kind, _, name = named.partition(":")
    if kind == "env" and name:
        value = os.environ.get(name, "")
        if not value.strip():
            raise section.error(key, f"the environment variable {name} is not set: export it first")
    elif kind == "file" and name:
        try:
            value = (section.folder / name).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise section.error(key, f"the file {name} cannot be read: {cause}") from None
        if not value.strip():
            raise section.error(key, f"the file {name} is empty")
    else:
        raise section.error(
            key,
            'must say where the secret is, "env:NAME" or "file:/path"; a secret written here is refused',
        )
    return value.strip()


def _http_address(text: str) -> SplitResult | None:
    """The parts of an http(s) address without credentials; None if it is none."""
    return _address(text, {"http", "https"})


def _address(text: str, schemes: set[str]) -> SplitResult | None:
    """The parts of an address without credentials; None if it is none, or has another scheme."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in schemes and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return None
    return parts if right else None


def _database(section: Section) -> Database:
    keys = section.read(_DatabaseKeys)
    with section.blaming("url"):
        if not is_file(keys.url):
            return Database(_beside(section.folder, f"sqlite:///{keys.journal or DEFAULT_JOURNAL}"), keys.url)
        if keys.journal is None:
            return Database(_beside(section.folder, keys.url))
    raise section.error("journal", "is the file in front of a server's database, but url names a file: leave it out")


def _beside(folder: Path, url: str) -> str:
    """The address of a file whose relative path starts at the folder of the configuration."""
    parsed = parse_url(url)
    return parsed.set(database=str(folder / str(parsed.database))).render_as_string(hide_password=False)


def _checkpoints(section: Section) -> Checkpoints:
    keys = section.read(_CheckpointKeys)
    if not 0 < keys.every_s < math.inf:
        raise section.error("every_s", "must be a number of seconds above zero")
    if not (keys.to or keys.command or keys.authority):
        raise section.error(
            "", "checkpoints must leave this machine to prove anything: give a file (to), a command or an authority"
        )
    if keys.command and which(keys.command[0]) is None:
        raise section.error("command", f"there is no program {keys.command[0]!r}")
    secret = _secret(section, "key", keys.key)
    with section.blaming("key"):
        signing_key = read_signing_key(secret, keys.key)
    return Checkpoints(
        key=signing_key,
        every_s=keys.every_s,
        file=_file(section, "to", keys.to),
        command=keys.command,
        authority=_authority(section, keys),
    )


def _authority(section: Section, keys: _CheckpointKeys) -> Authority | None:
    certificates = _file(section, "authority_ca", keys.authority_ca)
    if keys.authority is None and certificates is None:
        return None
    if keys.authority is None or _http_address(keys.authority) is None:
        raise section.error(
            "authority", "must be the address of a time-stamp authority, such as https://tsa.example/tsr"
        )
    if certificates is None:
        raise section.error(
            "authority_ca", 'must name the file of the authority\'s root certificate, such as "file:tsa.pem"'
        )
    with section.blaming("authority_ca"):
        return Authority(keys.authority, roots_in(certificates))


def _file(section: Section, key: str, named: str | None) -> Path | None:
    """The file that a key names by `file:`; a relative path starts at the folder of the configuration."""
    if named is None:
        return None
    kind, _, name = named.partition(":")
    if kind != "file" or not name:
        raise section.error(key, 'must be a file, such as "file:/mnt/elsewhere/recorder.checkpoints"')
    return section.folder / name


def _check_silence(section: Section, accounts: Sequence[Account], limits: Limits) -> None:
    """Refuse a `silent_s` within one heartbeat: every quiet connection would count as lost."""
    for account in accounts:
        interval_s = account.heartbeat_interval_s
        if limits.silent_s <= interval_s:
            raise section.error(
                "silent_s",
                f"is {limits.silent_s:g} s, but account {account.name} sends a heartbeat every {interval_s:g} s, so a "
                f"quiet connection would count as lost: set silent_s above {interval_s:g}, or a lower heartbeat_s in "
                f"[accounts.{account.name}]",
            )
