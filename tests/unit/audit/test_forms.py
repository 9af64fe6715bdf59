"""A row that is held against its frame without decoding: what is taken for right must be what the decoder reads."""

import re
import sqlite3
from contextlib import suppress
from itertools import islice
from typing import Any, cast

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable

from recorder.audit.forms import Forms
from recorder.audit.frames import Piece
from recorder.audit.kept import Span
from recorder.audit.reading import Reader, Row
from recorder.model import DECODED, PUSH, OrderUpdate, Update
from recorder.simulator.exchange import Exchange
from recorder.store.schema import TYPED
from recorder.venues.base import read_frame
from tests.samples import FMEX, sample

PUSHES = [payload for _, payload in islice(Exchange(3), 400)]
TOPIC = "order.btcusd_p"
INTS = {"ts", "order_id", "features", "created_at", "updated_at", "risk_level"}


class Rows:
    """Stands in for a reader: of the typed tables, with one row in one of them."""

    exact = True

    def __init__(self, record: type[Update], row: Row) -> None:
        self._database = sqlite3.connect(":memory:")
        for table in TYPED.values():
            self._database.execute(str(CreateTable(table).compile(dialect=sqlite.dialect())))
        table, (seq, item, received_ns, extra, *fields) = TYPED[record], row
        named = dict(zip(FMEX.forms[record].fields, fields, strict=True))
        told = {"account_id": 1, "session_id": 2, "seq": seq, "item": item, "received_ns": received_ns, "extra": extra}
        values = [(told | named)[column.name] for column in table.c]
        self._database.execute(f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(values))})", values)

    def rows(self, sql: str) -> list[Row]:
        return self._database.execute(sql).fetchall()


def frame_of(payload: bytes, **fields: Any) -> Row:
    told = {"received_ns": 9, "source": PUSH, "topic": read_frame(FMEX, PUSHES[0]).topic, "status": DECODED} | fields
    return (1, 2, 0, told["received_ns"], told["source"], told["topic"], told["status"], told.get("error"), payload)


def is_settled(forms: Forms, frame: Row, record: type[Update], row: Row) -> bool:
    piece = Piece(Span(1, 2, 0, 0), 3, [frame], b"")
    return forms.settled(cast("Reader", Rows(record, row)), FMEX, piece) == {0}


def row_of(update: Update, *, item: int = 0, received_ns: int = 9) -> Row:
    """As it is selected: number, item, receipt, what nobody knows, then the fields of the form."""
    fields = FMEX.forms[type(update)].fields
    return (0, item, received_ns, update[-1], *(getattr(update, name) for name in fields))


def learned(*payloads: bytes) -> Forms:
    forms = Forms()
    forms.learn(FMEX, [frame_of(payload) for payload in payloads])
    return forms


@pytest.mark.parametrize("payload", PUSHES[:15])
def test_a_push_of_the_usual_form_is_its_row(payload: bytes) -> None:
    decoded = read_frame(FMEX, payload)
    (update,) = decoded.updates
    frame, row = frame_of(payload, topic=decoded.topic), row_of(update)
    assert is_settled(learned(payload), frame, type(update), row)
    assert not is_settled(Forms(), frame, type(update), row), "nothing like it has been decoded"
    assert not is_settled(learned(payload), frame, type(update), row_of(update, item=1))
    assert not is_settled(learned(payload), frame, type(update), row_of(update, received_ns=8))
    for wrong in ({"status": "control"}, {"source": "rest"}, {"topic": "account.x"}, {"error": "x"}):
        other = frame_of(payload, **({"topic": decoded.topic} | wrong))
        assert not is_settled(learned(payload), other, type(update), row)
    for place in range(4, len(row)):
        for value in (None, "1", 7, "null", "", '"'):
            if value != row[place]:
                changed = (*row[:place], value, *row[place + 1 :])
                with suppress(sqlite3.IntegrityError):  # where a column takes no such value
                    assert not is_settled(learned(payload), frame, type(update), changed), (place, value)


def test_the_page_is_written_with_spaces_and_is_decoded() -> None:
    payload = sample("order")
    (update,) = read_frame(FMEX, payload).updates
    assert not is_settled(learned(payload), frame_of(payload), OrderUpdate, row_of(update))


ORDERS = [payload for payload in PUSHES if b'"order":' in payload]
DIGITS = re.compile(rb"[0-9]")


def tokens_of(payload: bytes, template: str) -> dict[str, str]:
    """What stands in a frame in the places of a form, whatever it is."""
    fields = FMEX.forms[OrderUpdate].fields
    pattern = re.escape(template.replace("%s", "\0", 1)).replace("\0", '([^"]*)', 1)
    pattern = pattern.replace('"%s"', '"([^"]*)"').replace("%s", '([^"]*?)').replace("%d", '([^"]*?)')
    found = re.fullmatch(pattern, payload.decode())
    assume(found is not None)
    assert found is not None
    return dict(zip(("topic", *fields), found.groups(), strict=True))


@given(st.data())
@example(None)
def test_what_differs_in_digits_only_is_right_only_if_the_decoder_reads_it(data: st.DataObject | None) -> None:
    """Somebody makes a row out of a frame's own text, also where the decoder would not have read it."""
    original = ORDERS[5] if data is None else data.draw(st.sampled_from(ORDERS))
    payload = bytearray(original)
    places = [found.start() for found in DIGITS.finditer(original)]
    if data is None:
        # 0E-18 becomes 00E-18's like: a number that is none.
        payload[original.index(b'"price":') + len(b'"price":')] = ord("0")
    else:
        for place in data.draw(st.lists(st.sampled_from(places), max_size=6)):
            payload[place] = data.draw(st.sampled_from(b"0019"))
    changed = bytes(payload)
    told = tokens_of(changed, FMEX.forms[OrderUpdate].template)
    fields = FMEX.forms[OrderUpdate].fields
    values = [int(told[name]) if name in INTS else told[name] for name in fields]
    row = (0, 0, 9, None, *values)
    if is_settled(learned(original), frame_of(changed, topic=told["topic"]), OrderUpdate, row):
        decoded = read_frame(FMEX, changed)
        assert decoded[:3] == (told["topic"], DECODED, None)
        assert [row_of(update) for update in decoded.updates] == [row]
    else:
        assert changed != original


@given(st.sampled_from(ORDERS), st.data())
def test_whatever_is_changed_in_a_frame_whose_shape_is_known(original: bytes, data: st.DataObject) -> None:
    """The frame is another, its row is made from it as the form has it: shapes that were not decoded are not known."""
    place = data.draw(st.integers(0, len(original) - 1))
    changed = original[:place] + data.draw(st.binary(max_size=2)) + original[place + data.draw(st.integers(0, 2)) :]
    try:
        told = tokens_of(changed, FMEX.forms[OrderUpdate].template)
        values = [int(told[name]) if name in INTS else told[name] for name in FMEX.forms[OrderUpdate].fields]
    except (UnicodeDecodeError, ValueError):
        return
    row = (0, 0, 9, None, *values)
    if is_settled(learned(original), frame_of(changed, topic=told["topic"]), OrderUpdate, row):
        assert [row_of(update) for update in read_frame(FMEX, changed).updates] == [row]


def test_not_many_shapes_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.audit.forms.SHAPES_MAX", 3)
    forms = learned(*PUSHES[:50])
    (update,) = read_frame(FMEX, PUSHES[0]).updates
    topic = read_frame(FMEX, PUSHES[0]).topic
    assert is_settled(forms, frame_of(PUSHES[0], topic=topic), type(update), row_of(update))
    forms.learn(FMEX, [frame_of(ORDERS[7])])
    assert not is_settled(forms, frame_of(PUSHES[0], topic=topic), type(update), row_of(update)), "it was forgotten"
