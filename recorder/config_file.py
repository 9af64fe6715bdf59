"""A configuration file in TOML: its tables and keys, with errors that name file, line, table and key."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from recorder.errors import ConfigurationError
from recorder.venues import EXAMPLE_ACCOUNT

T = TypeVar("T")

EXAMPLE = f"""\
[database]
url = "sqlite:///recorder.db"

[accounts.main]
{EXAMPLE_ACCOUNT}"""

#: The tables of a configuration.
_TABLES = ("accounts", "checkpoints", "database", "limits")
#: A type as msgspec names it → what to write in TOML.
_WORDS = {"str": "text in quotes", "int": "a whole number", "float": "a number", "array": "a list"}
_TYPE_ERROR = re.compile(r"Expected `([^`]+)`, got `[^`]+` - at `\$\.([^`]+)`")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")


class Section:
    """One table of a configuration. Its errors name the file, the line, the table and the key.

    Args:
        path: of the file.
        text: of the file.
        name: of the table, such as `accounts.main`.
        values: what TOML read there.

    Raises:
        ConfigurationError: it is not a table.
    """

    def __init__(self, path: Path, text: str, name: str, values: object) -> None:
        self.folder = path.absolute().parent
        self._path, self._text, self._name = path, text, name
        if not isinstance(values, dict):
            raise self.error("", "must be a table")
        self.values: dict[str, Any] = values

    def error(self, key: str, problem: object) -> ConfigurationError:
        """An error of one key; of the table where the key is empty."""
        line = _line_of(self._text, self._name, key.partition("[")[0])
        place = f"{self._path}, line {line}" if line else str(self._path)
        return ConfigurationError(f"{place}: [{self._name}]{' ' if key else ''}{key}: {str(problem).rstrip('.')}.")

    @contextmanager
    def blaming(self, key: str) -> Iterator[None]:
        """Say of a configuration error inside that this key caused it."""
        try:
            yield
        except ConfigurationError as error:
            raise self.error(key, error) from None

    def read(self, kind: type[T], *also: str) -> T:
        """The keys as a dataclass.

        Args:
            kind: the dataclass.
            also: further keys that the table may have; `text` reads them.

        Raises:
            ConfigurationError: a key is unknown or missing, or has a value of another type or out of range.
        """
        known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
        known[1:1] = also
        for key in self.values:
            if key not in known:
                raise self.error(key, f"there is no such key; the keys are {', '.join(known)}")
        try:
            return msgspec.convert({key: value for key, value in self.values.items() if key not in also}, kind)
        except msgspec.ValidationError as error:
            raise self._explained(str(error)) from None

    def text(self, key: str) -> str:
        """The value of a key that must be text.

        Raises:
            ConfigurationError: it is missing or something else.
        """
        value = self.values.get(key)
        if value is None:
            raise self.error(key, "is missing")
        if not isinstance(value, str):
            raise self.error(key, "must be text in quotes")
        return value

    def _explained(self, message: str) -> ConfigurationError:
        if wrong := _TYPE_ERROR.fullmatch(message):
            kinds = [_WORDS[kind] for kind in wrong[1].split(" | ") if kind != "null"]
            return self.error(wrong[2], f"must be {' or '.join(kinds)}")
        if missing := _MISSING.fullmatch(message):
            return self.error(missing[1], "is missing")
        key, _, problem = message.partition(" ")  # of the dataclass itself, as `Limits` raises it
        return self.error(key, problem)


def _line_of(text: str, table: str, key: str) -> int | None:
    """The number of the line that sets a key; of the table's head where there is none; None where neither is found."""
    inside, head = "", None
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if line.startswith("["):
            inside = _bare(line[1:].partition("]")[0])
            head = number if inside == _bare(table) and head is None else head
        elif _bare(line.partition("=")[0]) == (key or table) and inside == (_bare(table) if key else ""):
            return number
    return head


def _bare(name: str) -> str:
    """The name of a table or a key, without quotes and spaces."""
    return re.sub(r"[\"'\s]", "", name)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no configuration {path}; type recorder init, or write one such as:\n\n{EXAMPLE}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"The configuration {path} cannot be read: {cause}.") from None


class ConfigFile:
    """A configuration file, parsed but not checked.

    Args:
        path: of the file.
        text: of the file, if it is known.

    Raises:
        ConfigurationError: it cannot be read, is not TOML, or has unknown tables.
    """

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        self.text = _read(path) if text is None else text
        try:
            self._tables = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"The configuration {path} is not TOML: {error}.") from None
        for name in self._tables:
            if name not in _TABLES:
                raise self._section(name, {}).error("", f"there is no such table; the tables are {', '.join(_TABLES)}")

    def section(self, name: str) -> Section:
        """A table that may be left out."""
        return self._section(name, self._tables.get(name, {}))

    def accounts(self) -> Iterator[tuple[str, Section]]:
        """Name → table of each account."""
        self.section("accounts")  # it must be a table
        for name, values in self._tables.get("accounts", {}).items():
            yield name, self._section(f"accounts.{name}", values)

    def has(self, name: str) -> bool:
        """Whether there is a table of that name."""
        return name in self._tables

    def _section(self, name: str, values: object) -> Section:
        return Section(self.path, self.text, name, values)
