"""`docs/schema.md`: all tables and views, from the schema, its descriptions, and the documentation's record."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Table

from recorder.store import projection_tables, schema
from recorder.store.columns import Bytes, ExactDecimal, Int64

DOCS = Path(__file__).parents[2] / "docs"
PAGE, WORDS = DOCS / "schema.md", DOCS / "schema.toml"

#: The tables that are recorded, and then those that follow from them, whichever module was imported first.
TABLES = {
    table.name: table
    for table in sorted(schema.metadata.tables.values(), key=lambda table: table in projection_tables.PROJECTIONS)
}

#: An example is cut to this number of characters.
EXAMPLE_CHARS_MAX = 48

#: What is said of a table or view besides its columns: what it is, the one whose columns it shares, and, for a view
#: under a venue's own names, the page where the venue describes them; then its columns have no words here.
ABOUT = frozenset(["about", "like", "fields_at"])


class Words(NamedTuple):
    """The description of a column."""

    meaning: str
    unit: str = ""
    #: If the record has none.
    example: str = ""


class Missing(Exception):
    """A description is missing, or describes nothing."""


class _Thing(NamedTuple):
    """A table or a view."""

    name: str
    about: str
    columns: dict[str, Words]


def page(connection: Connection) -> str:
    """The page, with examples from this database.

    Raises:
        Missing: it names every table, view and column without a description, every description of nothing, and every
            missing example.
    """
    words = tomllib.loads(WORDS.read_text())
    views = _views(connection)
    faults = list(_faults(words, {name: list(table.c.keys()) for name, table in TABLES.items()}, views))
    if faults:
        raise Missing("docs/schema.toml: " + "; ".join(faults))
    parts = [words["head"], "## Tables\n"]
    for table in TABLES.values():
        thing = _thing(words, "tables", table.name, list(table.c.keys()))
        parts.append(_section(thing, _of_table(table), [_type(column) for column in table.c], connection))
    parts.append("## Views\n")
    for name, columns in views.items():
        if "fields_at" in words["views"][name]:
            parts.append(_listed(name, columns, **words["views"][name]))
            continue
        like = TABLES.get(words["views"][name].get("like", ""))
        parts.append(_section(_thing(words, "views", name, columns), "", None, connection, like))
    return "\n".join(parts)


def _views(connection: Connection) -> dict[str, list[str]]:
    """View → its columns, in the order of creation."""
    names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'view' ORDER BY rowid").scalars()
    return {name: list(connection.exec_driver_sql(f"SELECT * FROM {name} LIMIT 0").keys()) for name in names.all()}


def _faults(words: dict[str, Any], tables: dict[str, list[str]], views: dict[str, list[str]]) -> Iterator[str]:
    for kind, there in (("tables", tables), ("views", views)):
        yield from (f"[{kind}.{name}] is missing" for name in there if name not in words[kind])
        yield from (f"[{kind}.{name}] is of nothing" for name in words[kind] if name not in there)
        for name, columns in there.items():
            said = words[kind].get(name, {})
            known = _inherited(words, said)
            if "fields_at" not in said:
                yield from (f"{kind}.{name}.{column} has no words" for column in columns if column not in known)
            own = said.keys() - ABOUT
            yield from (f"{kind}.{name}.{column} is of no column" for column in sorted(own - set(columns)))


def _inherited(words: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """The descriptions of a thing, and of what it is like."""
    like = said.get("like")
    above = words["tables"].get(like) or words["views"].get(like) or {}
    inherited: dict[str, Any] = _inherited(words, above) if above else {}
    return {**words["shared"], **inherited, **said}


def _thing(words: dict[str, Any], kind: str, name: str, columns: list[str]) -> _Thing:
    said = _inherited(words, words[kind][name])
    return _Thing(name, said["about"], {column: Words(*said[column]) for column in columns})


def _type(column: Column[Any]) -> str:
    if isinstance(column.type, ExactDecimal):
        name = "decimal"
    else:
        name = {Int64: "integer", Bytes: "bytes"}.get(column.type, "text")
    return f"{name}, may be NULL" if column.nullable else name


def _of_table(table: Table) -> str:
    key = ", ".join(f"`{column.name}`" for column in table.primary_key)
    parts = [f"Key: {key}."]
    parts += [
        f"`{foreign.parent.name}` refers to `{foreign.column.table.name}`."
        for foreign in sorted(table.foreign_keys, key=lambda foreign: foreign.parent.name)
    ]
    return " ".join(parts) + "\n"


def _section(
    thing: _Thing, keys: str, types: list[str] | None, connection: Connection, like: Table | None = None
) -> str:
    examples = _examples(thing, connection)
    kinds = types or [
        _kind(examples[name]) if like is None or examples[name] is not None else _kind_like(like, thing.name, name)
        for name in thing.columns
    ]
    lines = [f"### {thing.name}\n", f"{thing.about}\n"]
    lines += [keys] if keys else []
    lines += ["| column | type | meaning | unit | example |", "| --- | --- | --- | --- | --- |"]
    for kind, (name, words) in zip(kinds, thing.columns.items(), strict=True):
        cells = f"`{name}`", kind, words.meaning, words.unit, _shown(examples[name], words)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _listed(name: str, columns: list[str], *, about: str, fields_at: str) -> str:
    names = ", ".join(f"`{column}`" for column in columns)
    return f"### {name}\n\n{about} The exchange describes [the fields]({fields_at}).\n\nColumns: {names}.\n"


def _examples(thing: _Thing, connection: Connection) -> dict[str, Any]:
    """A value for each column: of the row with the fewest NULLs, or else of the first row that has one."""
    every = ", ".join(str(at) for at in range(1, len(thing.columns) + 1))
    rows = connection.exec_driver_sql(f"SELECT * FROM {thing.name} ORDER BY {every}").mappings().all()
    nothing: Mapping[Any, Any] = {}
    fullest = max(rows, key=lambda row: sum(value is not None for value in row.values()), default=nothing)
    found: dict[str, Any] = {}
    for name in thing.columns:
        values = [fullest.get(name), *(row[name] for row in rows)]
        found[name] = next((value for value in values if value is not None), None)
    return found


def _kind(example: Any) -> str:
    kinds: Sequence[tuple[type, str]] = ((int, "integer"), (float, "number"), (bytes, "bytes"))
    return next((name for kind, name in kinds if isinstance(example, kind)), "text")


def _kind_like(table: Table, view: str, name: str) -> str:
    """The kind of a view's column of which the record has no example, by the table that the view is like."""
    column = table.c.get(name)
    if name.endswith("_ms") or (column is not None and column.type is Int64):
        return "integer"
    # Views with readable names have plain numbers; those with each row once have the exact digits.
    is_number = column is not None and isinstance(column.type, ExactDecimal) and not view.endswith("_once")
    return "number" if is_number else "text"


def _shown(value: Any, words: Words) -> str:
    if value is None or (value == "" and words.example):
        if not words.example:
            raise Missing(f"docs/schema.toml: the record has no example of: {words.meaning}; give one")
        value = words.example
    # All versions of SQLite agree on this number of a float's digits.
    text = _of_bytes(value) if isinstance(value, bytes) else f"{value:.12g}" if isinstance(value, float) else str(value)
    text = text if len(text) <= EXAMPLE_CHARS_MAX else text[: EXAMPLE_CHARS_MAX - 3] + "..."
    quote = "``" if "`" in text else "`"
    return f"{quote}{text}{quote}" if text else ""


def _of_bytes(value: bytes) -> str:
    try:
        return value.decode() or "x''"
    except UnicodeDecodeError:
        return f"x'{value[:8].hex()}...'"
