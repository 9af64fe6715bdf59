"""The views under Hyperliquid's own field names: every field of its sample frames and answers, with its digits."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from recorder.live.channel import Recorded
from recorder.model import DECODED
from recorder.store.venue_views import account_added
from tests.contract.test_projections import project
from tests.contract.test_views import ask
from tests.made import NOON_NS, SESSION, answered, of_venue, received
from tests.samples import HYPERLIQUID, sample, sample_lines, sample_names
from tests.unit.hyperliquid.test_rest import target
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too.
ON_POSTGRESQL = (
    "test_every_field_of_every_frame_is_in_a_view",
    "test_fills_without_an_id_count_once_whoever_tells_of_them",
)

PUSHES = sample_lines("hyperliquid/pushes.jsonl")
REQUESTS = sample_names("hyperliquid/answers")
ROUND = 75
#: Frames whose data no view has: control frames, and an answer that is a bare text.
WITHOUT_VIEW = {"pong", "post exchangeStatus", target("userAbstraction")}


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """A record with every sample frame, as that of an account at Hyperliquid."""
    with desk.engine.begin() as connection:
        account_added(connection, "hyperliquid")
        connection.exec_driver_sql("UPDATE accounts SET venue = 'hyperliquid'")
    recorded = [of_venue(HYPERLIQUID, received(seq, frame)) for seq, frame in enumerate(PUSHES)]
    for seq, kind in enumerate(REQUESTS):
        body = sample(f"answers/{kind}", "hyperliquid")
        recorded.append(of_venue(HYPERLIQUID, answered(seq, target(kind), body, NOON_NS, round_id=ROUND)))
    desk.write(*recorded)
    return desk


def views(desk: Desk) -> list[str]:
    sqlite = "SELECT name FROM sqlite_master WHERE type = 'view' AND name LIKE 'hyperliquid%'"
    postgresql = "SELECT viewname AS name FROM pg_views WHERE viewname LIKE 'hyperliquid%%'"
    query = sqlite if desk.engine.dialect.name == "sqlite" else postgresql
    return [row["name"] for row in ask(desk.engine, query)]


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The name and the value of everything in an object that is not null; of a list's members, the list's name."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one, name)
    elif value is not None:
        yield name, str(int(value)) if isinstance(value, bool) else str(value)


def shown(column: str, value: Any) -> Iterator[tuple[str, str]]:
    """What a column shows: the value, or what is in its JSON text."""
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        yield from leaves(json.loads(value, parse_float=str, parse_int=str), column)
    elif value is not None:
        yield column, str(value)


def test_every_field_of_every_frame_is_in_a_view(filled: Desk) -> None:
    found: dict[tuple[int, int], set[tuple[str, str]]] = {}
    names = views(filled)
    with filled.engine.connect() as connection:
        for view in names:
            for row in connection.exec_driver_sql(f"SELECT * FROM {view}").mappings():
                key = row["session_id"], row["seq"]
                found.setdefault(key, set()).update(one for column in row for one in shown(column, row[column]))
    frames = ask(filled.engine, "SELECT session_id, seq, topic, status, payload FROM frames")
    looked_at = 0
    for frame in frames:
        tree = json.loads(bytes(frame["payload"]), parse_float=str, parse_int=str)
        sent = set(leaves(tree["data"] if isinstance(tree, dict) and "data" in tree and "channel" in tree else tree))
        if frame["status"] != DECODED or frame["topic"] in WITHOUT_VIEW:
            continue
        looked_at += 1
        there = found.get((frame["session_id"], frame["seq"]), set())
        if not there:
            assert b"[]" in bytes(frame["payload"]) or b"{}" in bytes(frame["payload"]), "only what lists nothing"
            continue
        # A column has the field's name, or ends with it, or is named after the list that it is a member of.
        missing = {
            (name, value)
            for name, value in sent
            if not any(
                value == one and (column == name or column.endswith(f"_{name}") or column.startswith(f"{name}_"))
                for column, one in there
            )
        }
        assert {one for one in missing if not is_renamed(one, there)} == set(), frame["topic"]
    assert looked_at > 45


def is_renamed(field: tuple[str, str], there: set[tuple[str, str]]) -> bool:
    """Whether it is a member of a pair, which the venue gives no name of its own."""
    names = {"clearinghouseStates": "dex", "states": "twapId", "tokens": "base quote", "": ""}
    return any((name, field[1]) in there for name in names.get(field[0], "").split())


def test_digits_and_types(filled: Desk) -> None:
    fills = ask(filled.engine, "SELECT * FROM hyperliquid_userfills WHERE item = 2")
    assert len(fills) == 1
    (fill,) = fills
    assert {name: fill[name] for name in ("px", "tid", "time", "crossed", "isSnapshot", "method", "builderFee")} == {
        **{"px": "2811.5", "tid": "801234567890125", "time": 1795800004555, "crossed": 1, "isSnapshot": 1},
        **{"method": "market", "builderFee": None},
    }
    positions = ask(
        filled.engine, 'SELECT coin, szi, "leverage_rawUsd", dex FROM hyperliquid_clearinghousestate_positions'
    )
    assert [tuple(row.values()) for row in positions] == [("xyz:TSLA", "-0.3", "-68.126246", "xyz")]


def test_the_items_of_a_list_are_those_of_the_typed_rows(filled: Desk) -> None:
    for view, table, column, name in (
        ("hyperliquid_orderupdates", "order_updates", "oid", "order_id"),
        ("hyperliquid_userfills", "fills", "oid", "order_id"),
        ("hyperliquid_clearinghousestate_positions", "position_updates", "coin", "symbol"),
        ("hyperliquid_info_openorders", "order_updates", "oid", "order_id"),
    ):
        rows = ask(
            filled.engine,
            f"SELECT v.{column} AS sent, t.{name} AS typed FROM {view} v LEFT JOIN {table} t "
            "ON t.account_id = v.account_id AND t.session_id = v.session_id AND t.seq = v.seq AND t.item = v.item",
        )
        assert rows
        assert [row["sent"] for row in rows] == [row["typed"] for row in rows]


def test_similar_requests_and_topics_are_kept_apart(filled: Desk) -> None:
    def topics(view: str) -> set[str]:
        return {row["topic"] for row in ask(filled.engine, f"SELECT topic FROM {view}")}

    assert topics("hyperliquid_info_userfills") == {target("userFills"), target("userFillsByTime")}
    assert topics("hyperliquid_info_meta") == {target("meta")}
    assert topics("hyperliquid_openorders") == {"openOrders"}  # that of `xyz` lists none
    assert topics("hyperliquid_clearinghousestate") == {"clearinghouseState", "clearinghouseState:xyz"}


def dust(coin: str, before: str, **changed: object) -> dict[str, object]:
    """A conversion of dust: all of them have the id 0, and those of a day one time, order and hash."""
    same = {"time": 1795800000123, "oid": 577, "tid": 0, "hash": "0x" + "0" * 64, "dir": "Spot Dust Conversion"}
    amounts = {"px": "0.19", "sz": "0.4", "fee": "0.0", "feeToken": "USDC", "closedPnl": "0.0", "crossed": True}
    return {"coin": coin, "side": "A", "startPosition": before, **same, **amounts, **changed}


def test_fills_without_an_id_count_once_whoever_tells_of_them(desk: Desk) -> None:
    told = [dust("@107", "0.9"), dust("@107", "0.5"), dust("PURR/USDC", "0.9"), dust("@107", "0.1", px="0.20")]
    # Digits differ between channels, and so do fields for people.
    over_rest = [{**one, "sz": "0.40", "startPosition": f"{one['startPosition']}0", "dir": "Sell"} for one in told]

    def pushed(seq: int, fills: object, session_id: int, **more: object) -> Recorded:
        frame = {"channel": "userFills", "data": {"user": "0x5e11", "fills": fills, **more}}
        return of_venue(HYPERLIQUID, received(seq, json.dumps(frame).encode(), session_id=session_id))

    with desk.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE accounts SET venue = 'hyperliquid'")
    desk.write(pushed(1, told[:2], SESSION), pushed(2, told[2:], SESSION))
    # The second recorder was connected to later, and is sent a snapshot.
    desk.write(pushed(1, told, SESSION + 1, isSnapshot=True))
    answer = answered(1, target("userFillsByTime"), json.dumps(over_rest).encode(), NOON_NS + 9, round_id=ROUND)
    desk.write(of_venue(HYPERLIQUID, answer))
    with desk.open() as record:
        assert sorted((one.symbol, one.price) for one in record.fills()) == [
            ("@107", Decimal("0.19")),
            ("@107", Decimal("0.19")),
            ("@107", Decimal("0.20")),
            ("PURR/USDC", Decimal("0.19")),
        ]
    project(desk.engine, None)
    assert len(ask(desk.engine, "SELECT * FROM trade_history")) == 4
