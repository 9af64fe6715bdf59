"""Views of each venue's channels under the venue's own field names, straight from the JSON of the frames.

A `View` declares which frames it reads, where in their JSON the object (or the list of objects) is, and the documented
fields; here it becomes SQL for SQLite or PostgreSQL. A change of a view, or of the SQL here, needs a new revision in
`migrations/versions`: with each, `recorder db upgrade` drops the views and creates them again.

- Numbers keep their digits: `1.10`, `0E-18` and integers of any length are TEXT exactly as sent. Text is unquoted.
- A field that is null or missing is NULL. A nested object or list is its JSON text.
- An integer is NULL unless it is a whole number of 64 bits; a flag is 1 or 0, and NULL if it is neither.
- Frames that are not decoded, or whose payload was redacted, are not in any view. Neither is a frame that the
  database's own JSON parser refuses, such as one nested too deeply: one frame must not make a view unreadable.
- In a frame with an escaped NUL or surrogate (`\\u0000`, `\\ud83d`), which not every text in SQL can hold, all texts
  keep the escapes they were sent with.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sqlalchemy import Connection, inspect, select

from recorder.store.dialects import SQLITE
from recorder.store.schema import accounts
from recorder.venues import VENUES, find_venue
from recorder.venues.channel_view import View

TEXT, INTEGER, FLAG = "text", "int", "flag"
#: The columns that every view begins with, and `item` where a frame may list several objects.
KEY = ("account", "account_id", "session_id", "seq", "received_ns", "topic")
ITEM = "item"


class _Field(NamedTuple):
    column: str
    path: tuple[str, ...]
    kind: str


def drop(connection: Connection) -> None:
    """Drop the views of all venues, before a migration changes the tables that they read."""
    for name in {view.name for view in _views_of(VENUES)} & set(inspect(connection).get_view_names()):
        connection.exec_driver_sql(f"DROP VIEW {name}")


def create(connection: Connection) -> None:
    """Create the views again after a migration: on PostgreSQL of all venues, on SQLite of those with an account."""
    if connection.dialect.name == SQLITE:
        _create(connection, connection.scalars(select(accounts.c.venue).distinct()).all())
        return
    connection.exec_driver_sql(_FRAME_JSON)
    _create(connection, VENUES)


def account_added(connection: Connection, venue: str) -> None:
    """Create a venue's views in SQLite before its first account is added.

    Each connection to an SQLite file parses all views and keeps them in memory, and the views of all venues take
    longer than most commands. PostgreSQL reads a view when it is used, and a recorder may lack the right to create one.
    """
    known = select(accounts.c.account_id).where(accounts.c.venue == venue).limit(1)
    if connection.dialect.name == SQLITE and connection.execute(known).first() is None:
        _create(connection, [venue])


def _create(connection: Connection, venues: Iterable[str]) -> None:
    select_of = _on_sqlite if connection.dialect.name == SQLITE else _on_postgresql
    for view in _views_of(venues):
        names = [name.lower() for name in _columns(view)]
        if len(set(names)) < len(names):
            raise ValueError(f"View {view.name} has two columns of one name; rename one: column=path.")
        # An account may be added again: a database that lost its rows has its views still.
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {view.name}")
        connection.exec_driver_sql(f"CREATE VIEW {view.name} AS\n{select_of(view)}")


def _views_of(venues: Iterable[str]) -> Iterator[View]:
    """The views of venues by name; of a venue that only a newer recorder knows, none."""
    for venue in map(find_venue, sorted(venues)):
        if venue is not None:
            yield from venue.views


def _columns(view: View) -> Iterator[str]:
    yield from KEY
    if _has_items(view):
        yield ITEM
    yield from view.computed
    yield from [view.member] if view.member else []
    yield from (field.column for field in _fields(view.fields) + _fields(view.frame_fields))


def _has_items(view: View) -> bool:
    return view.is_list or bool(view.member)


def _fields(declared: str) -> list[_Field]:
    fields = []
    for word in declared.split():
        name, _, kind = word.partition(":")
        column, _, path = name.partition("=")
        fields.append(_Field(column, tuple((path or column).split(".")), kind or TEXT))
    return fields


def _places(view: View) -> list[str]:
    return [view.at, view.or_at] if view.or_at else [view.at]


def _path(place: str) -> tuple[str, ...]:
    return tuple(place.split(".")) if place else ()


def _escaped(text: str, character: str) -> str:
    """JSON in which every text reads as it was sent, escapes included: each backslash is escaped itself."""
    pair, quote = f"{character}(1)", f"{character}(2)"  # JSON has no control characters
    kept = rf"replace(replace(replace({text}, '\\', {pair}), '\"', {quote}), '\', '\\')"
    return rf"""replace(replace({kept}, {pair}, '\\\\'), {quote}, '\\\"')"""


def _key_hex(view: View) -> str:
    """The bytes of the outermost key: a frame without them need not be parsed."""
    return f'"{_path(view.at)[0]}"'.encode().hex()


def _select(view: View, item: str, parts: list[str], source: str, condition: str) -> str:
    key = ["a.name AS account", *(f"f.{name}" for name in KEY[1:])]
    key += [f"{item} AS {ITEM}"] if _has_items(view) else []
    columns = ",\n  ".join([", ".join(key), *parts])
    return f"SELECT {columns}\nFROM {source}\nWHERE a.venue = '{view.venue}' AND f.status = 'decoded' AND {condition}"


# SQLite: `->` gives a value's JSON text as sent. `json_each` over a list that holds only the frame makes the checked
# text a column (`j.json`) that all fields are read from, and another one does so with an item of a list (`o.json`).
# Without them, SQLite would evaluate the check again for each field, and could read a field before the check. They also
# keep the views short: every connection parses those of the venues recorded.

_PAYLOAD = "CAST(payload AS TEXT)"
_SQLITE_FRAMES = f"""(
  SELECT account_id, session_id, seq, received_ns, source, topic, status, payload,
    CASE WHEN json_valid('[' || {_PAYLOAD} || ']') THEN '[' ||
      CASE WHEN instr({_PAYLOAD}, '\\u') = 0 THEN {_PAYLOAD}
        WHEN {_PAYLOAD} GLOB '*\\u0000*' OR {_PAYLOAD} GLOB '*\\u[dD][89a-fA-F]*' THEN {_escaped(_PAYLOAD, "char")}
        ELSE {_PAYLOAD} END || ']'
    END AS frame FROM frames)"""


def _on_sqlite(view: View) -> str:
    # The accounts first: then a condition on `session_id` alone finds its frames by their key, too.
    source = f"accounts a CROSS JOIN {_SQLITE_FRAMES} f ON f.account_id = a.account_id"
    source += "\n  CROSS JOIN json_each(f.frame) j"
    condition, objects, above = view.frames, "j.json", ("0", *_path(view.at))
    if _has_items(view):
        item = "CASE WHEN e.type IN ('object', 'array') THEN e.value ELSE 'null' END"
        source += f"\n  CROSS JOIN json_each({_sqlite_list(view)}) e CROSS JOIN json_each('[' || {item} || ']') o"
        objects, above = "o.json", ("0",)
    else:
        if view.at:
            condition += f" AND instr(f.payload, x'{_key_hex(view)}') > 0"
        condition += f" AND json_type(j.json, {_sqlite_path(above)}) = 'object'"
    parts = [f'{_sqlite_whole(sql)} AS "{column}"' for column, sql in view.computed.items()]
    parts += [f'e.key AS "{view.member}"'] if view.member else []
    parts += [_sqlite_column(objects, above, field) for field in _fields(view.fields)]
    parts += [_sqlite_column("j.json", ("0",), field) for field in _fields(view.frame_fields)]
    return _select(view, "e.rowid", parts, source, condition)


def _sqlite_list(view: View) -> str:
    at = _sqlite_path(("0", *_path(view.at)))
    if view.member:
        return f"CASE json_type(j.json, {at}) WHEN 'object' THEN j.json -> {at} END"
    cases = ""
    for place in _places(view):
        at = _sqlite_path(("0", *_path(place)))
        cases += f" WHEN json_type(j.json, {at}) = 'array' THEN j.json -> {at}"
        cases += f" WHEN json_type(j.json, {at}) = 'object' THEN '[' || (j.json -> {at}) || ']'"
    return f"CASE{cases} END"


def _sqlite_path(path: tuple[str, ...]) -> str:
    return "'$" + "".join(f"[{part}]" if part.isdigit() else f'."{part}"' for part in path) + "'"


def _sqlite_column(objects: str, above: tuple[str, ...], field: _Field) -> str:
    path = _sqlite_path(above + field.path)
    kind, sent, plain = f"json_type({objects}, {path})", f"{objects} -> {path}", f"{objects} ->> {path}"
    if field.kind == INTEGER:
        value = f"CASE WHEN {kind} IN ('integer', 'text') THEN {_sqlite_whole(plain)} END"
    elif field.kind == FLAG:
        value = f"CASE trim({sent}, '\"') WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
    else:
        value = f"CASE {kind} WHEN 'text' THEN {plain} WHEN 'null' THEN NULL ELSE {sent} END"
    return f'{value} AS "{field.column}"'


def _sqlite_whole(text: str) -> str:
    return f"CASE CAST(CAST({text} AS INTEGER) AS TEXT) WHEN {text} THEN CAST({text} AS INTEGER) END"


# PostgreSQL: `json`, because `jsonb` rewrites numbers. `json_to_record` parses an object once for all of its fields.

_FRAME_JSON = rf"""CREATE OR REPLACE FUNCTION frame_json(payload bytea) RETURNS json
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  sent text;
BEGIN
  sent := convert_from(payload, 'UTF8');
  IF strpos(sent, '\u') > 0 THEN
    IF sent ~ '\\u(0000|[dD][89a-fA-F])' THEN
      sent := {_escaped("sent", "chr")};
    END IF;
    PERFORM CAST(sent AS json) -> '';  -- a text that cannot be read is an error here rather than in a view
  END IF;
  RETURN CAST(sent AS json);
EXCEPTION WHEN OTHERS THEN
  RETURN NULL;
END $$"""


def _on_postgresql(view: View) -> str:
    source = "frames f JOIN accounts a ON a.account_id = f.account_id"
    source += "\n  CROSS JOIN LATERAL frame_json(f.payload) AS j (frame)"
    objects, condition, parts = _postgresql_at("j.frame", _path(view.at)), view.frames, []
    if view.member:
        listed = f"CASE json_typeof({objects}) WHEN 'object' THEN {objects} END"
        source += f"\n  CROSS JOIN LATERAL json_each({listed}) WITH ORDINALITY AS e (key, value, nth)"
        objects = "e.value"
    elif view.is_list:
        listed = _postgresql_list(view)
        source += f"\n  CROSS JOIN LATERAL json_array_elements({listed}) WITH ORDINALITY AS e (value, nth)"
        objects = "e.value"
    elif view.at:
        condition += rf" AND position(CAST('\x{_key_hex(view)}' AS bytea) IN f.payload) > 0"
        condition += f" AND json_typeof({objects}) = 'object'"
    else:
        condition += f" AND json_typeof({objects}) = 'object'"
    fields, around = _fields(view.fields), _fields(view.frame_fields)
    named = {path[0]: f'o."{path[0]}"' for _, path, _ in fields if len(path) == 1 and not path[0].isdigit()}
    if named:
        record = ", ".join(f'"{name}" text' for name in named)
        objects = f"CASE json_typeof({objects}) WHEN 'object' THEN {objects} END"
        source += f"\n  CROSS JOIN LATERAL json_to_record({objects}) AS o ({record})"
    parts += [f'{_postgresql_whole(sql)} AS "{column}"' for column, sql in view.computed.items()]
    parts += [f'e.key AS "{view.member}"'] if view.member else []
    parts += [_postgresql_column(named.get(".".join(field.path)), objects, field) for field in fields]
    parts += [_postgresql_column(None, "j.frame", field) for field in around]
    return _select(view, "e.nth - 1", parts, source, condition)


def _postgresql_list(view: View) -> str:
    cases = ""
    for place in _places(view):
        at = _postgresql_at("j.frame", _path(place))
        cases += f" WHEN json_typeof({at}) = 'array' THEN {at}"
        cases += f" WHEN json_typeof({at}) = 'object' THEN json_build_array({at})"
    return f"CASE{cases} END"


def _postgresql_at(value: str, path: tuple[str, ...], operator: str = "#>") -> str:
    return f"({value} {operator} '{{{','.join(path)}}}')" if path else value


def _postgresql_column(named: str | None, objects: str, field: _Field) -> str:
    value = named or _postgresql_at(objects, field.path, "#>>")
    if field.kind == INTEGER:
        value = _postgresql_whole(value)
    elif field.kind == FLAG:
        value = f"CASE {value} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"
    return f'{value} AS "{field.column}"'


def _postgresql_whole(text: str) -> str:
    in_range = f"CAST({text} AS numeric) BETWEEN {-(2**63)} AND {2**63 - 1}"
    whole = f"CASE WHEN {in_range} THEN CAST({text} AS bigint) END"
    return f"CASE WHEN {text} ~ '^-?(0|[1-9][0-9]{{0,18}})$' THEN {whole} END"
