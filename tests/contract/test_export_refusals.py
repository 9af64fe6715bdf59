"""What cannot be exported is refused in one sentence, and leaves no files."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from recorder.errors import ExportError, Incomplete
from recorder.export import export
from recorder.export.manifest import read_manifest
from recorder.export.scope import Scope
from recorder.read.record import Filter
from tests.contract import exported
from tests.contract.exported import DAY_NS
from tests.made import ACCOUNT, NOON_NS, SESSION
from tests.unit.read.desk import Desk

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_an_empty_record_can_be_exported",
    "test_the_manifest_lists_the_gaps",
)

BIG = "123456789012345678901.5"
FINE = "0.0000000000000000000000001"


@pytest.mark.parametrize("digits", [BIG, FINE])
def test_numbers_that_do_not_fit_are_named_in_the_error(own: Desk, tmp_path: Path, digits: str) -> None:
    own.balance(40, "NEW", digits, session_id=SESSION + 9)
    with pytest.raises(ExportError, match=r"account_updates\.balance does not fit .* use --decimals string") as raised:
        exported.made(own, tmp_path / "export", "order_updates", "account_updates")
    assert Decimal(str(raised.value).split()[0]) == Decimal(digits)
    assert list(tmp_path.glob("**/*.parquet")) == [] and list(tmp_path.glob(".*")) == []
    folder = exported.made(own, tmp_path / "strings", "account_updates", decimals="string")
    assert Decimal(digits) in {
        Decimal(row["available"]) for row in exported.parquet(folder, "account_updates") if row["available"] is not None
    }


def test_a_larger_scale_fits_more_decimals(own: Desk, tmp_path: Path) -> None:
    own.balance(40, "NEW", FINE, session_id=SESSION + 9)
    folder = exported.made(own, tmp_path / "export", "account_updates", scale=30)
    assert Decimal(FINE) in {row["available"] for row in exported.parquet(folder, "account_updates")}


def test_floats_only_on_request(full: Desk, tmp_path: Path) -> None:
    for form in exported.READERS:
        folder = exported.made(full, tmp_path / form, "account_updates", form=form, decimals="float")
        read = exported.READERS[form](folder, "account_updates")
        assert 2.106888254907565438 in {None if row["available"] is None else float(row["available"]) for row in read}
        assert {type(row["available"]) for row in read} == ({str, type(None)} if form == "csv" else {float, type(None)})


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"tables": ["fill"]}, "no table 'fill' to export; there are: frames, "),
        (
            {"tables": ["fills"], "columns": ["prise"]},
            "fills has no column 'prise'; it has: venue, account, ",
        ),
        ({"tables": ["fills", "orders"], "columns": ["price"]}, "for a single table"),
        ({"form": "xlsx"}, "no format 'xlsx' to export in; there are: parquet, csv, jsonl"),
        (
            {"tables": ["frames"], "scope": Scope(topics=("order.x",))},
            "no topic 'order.x' .* there are: order",
        ),
        ({"scope": Scope(topics=("account",))}, "--topic is for frames only"),
        ({"scope": Scope(Filter(account="mian"))}, "no account 'mian' in this record; there are: main, other"),
        ({"scope": Scope(Filter(symbol="x"))}, "no symbol 'x' in this record; there are: BTCUSD_P, "),
        ({"scope": Scope(Filter(since_ns=5, until_ns=5))}, "--since must be earlier than --until"),
        (
            {"scope": Scope(Filter(until_ns=NOON_NS))},
            "The record lasts from 2020-02-04 07:40:53.662 to 2020-02-05 .* UTC",
        ),
        ({"scope": Scope(Filter(since_ns=NOON_NS + 3 * DAY_NS))}, "nothing in the requested period"),
    ],
)
def test_unknown_names_and_periods_are_refused(full: Desk, tmp_path: Path, how: dict[str, Any], words: str) -> None:
    with full.open() as record, pytest.raises(ExportError, match=words):
        export(record, tmp_path / "export", **how)
    assert list(tmp_path.iterdir()) == [] or [path.suffix for path in tmp_path.iterdir()] == [".db"]


def test_an_empty_record_can_be_exported(desk: Desk, tmp_path: Path) -> None:
    folder = exported.made(desk, tmp_path / "export", "fills", "frames")
    assert exported.parquet(folder, "fills") == exported.parquet(folder, "frames") == []
    assert [one["complete"] for one in read_manifest(folder)["accounts"]] == [False, False]


def gaps_in(desk: Desk, tmp_path: Path, scope: Scope) -> list[Any]:
    """The gaps for which `require_complete` refuses the export; none if it does not."""
    with desk.open() as record:
        try:
            export(record, tmp_path / "export", ["gaps"], scope, require_complete=True)
        except Incomplete as error:
            assert not (tmp_path / "export").exists()
            assert f"Nothing was exported: the requested period has gaps ({len(error.gaps)})." in str(error)
            return [(gap.account, gap.begins_ns, gap.ends_ns) for gap in error.gaps]  # type: ignore[attr-defined]
    with desk.open() as record:
        result = read_manifest(export(record, tmp_path / "again", ["gaps"], scope).folder)
    assert all(one["complete"] and one["gaps"] == [] for one in result["accounts"])
    return []


LAST_NS = NOON_NS + DAY_NS + 21


@pytest.mark.parametrize(
    ("wanted", "gaps"),
    [
        # The record's own beginning and end are no gaps.
        (Filter(), []),
        (Filter(since_ns=NOON_NS), []),
        (Filter(account="main", until_ns=LAST_NS), []),
        # The period begins before the record, or ends after it.
        (Filter(account="main", since_ns=NOON_NS - 1), [("main", None, NOON_NS)]),
        (Filter(account="main", until_ns=LAST_NS + 1), [("main", LAST_NS, None)]),
        # Nobody knows yet what an open session will receive.
        (Filter(account="other", until_ns=LAST_NS), [("other", NOON_NS + 18, None)]),
        (Filter(account="other", until_ns=NOON_NS + 18), []),
        (Filter(symbol="btcusd_p", since_ns=NOON_NS - 1, until_ns=NOON_NS + 9), [
            ("main", None, NOON_NS), ("other", None, NOON_NS),
        ]),
    ],
)  # fmt: skip
def test_require_complete_refuses_gaps(full: Desk, tmp_path: Path, wanted: Filter, gaps: list[Any]) -> None:
    assert gaps_in(full, tmp_path, Scope(wanted)) == gaps


@pytest.mark.parametrize(
    ("begins", "ends", "topic", "state", "forbids"),
    [
        (5, 8, None, "open", True),
        (5, 8, None, "reconciled", True),
        (0, 3, None, "unrecoverable", False),
        (3, 4, None, "open", True),
        (10, 12, None, "open", False),
        (2, 3, None, "open", False),
        (8, None, "order.btcusd_p", "open", True),
        (8, None, "order.ethusd_p", "open", False),
        (8, None, "account", "open", True),
    ],
)
def test_only_gaps_of_the_exported_part_count(
    own: Desk, tmp_path: Path, begins: int, ends: int | None, topic: str | None, state: str, forbids: bool
) -> None:
    row = {"account_id": ACCOUNT, "gap_id": 77, "topic": topic, "state": state, "begins_ns": NOON_NS + begins}
    own.gap(row | {"ends_ns": None if ends is None else NOON_NS + ends})
    wanted = Filter("main", "btcusd_p", NOON_NS + 3, NOON_NS + 10)
    found = gaps_in(own, tmp_path, Scope(wanted))
    assert found == ([("main", NOON_NS + begins, None if ends is None else NOON_NS + ends)] if forbids else [])


def test_gaps_of_other_topics_do_not_count(own: Desk, tmp_path: Path) -> None:
    row = {"account_id": ACCOUNT, "gap_id": 77, "state": "open", "begins_ns": NOON_NS, "ends_ns": None}
    own.gap(row | {"topic": "order.ethusd_p"})
    for topic, complete in (("order.btcusd_p", True), ("order.ethusd_p", False)):
        with own.open() as record:
            scope = Scope(Filter("main"), (topic,))
            result = read_manifest(export(record, tmp_path / topic, ["frames"], scope).folder)
        assert [one["complete"] for one in result["accounts"]] == [complete]


def test_the_manifest_lists_the_gaps(full: Desk, tmp_path: Path) -> None:
    folder = exported.made(full, tmp_path / "export", "gaps", wanted=Filter("main", since_ns=NOON_NS - 1))
    (result,) = read_manifest(folder)["accounts"]
    assert not result["complete"]
    (gap,) = result["gaps"]
    assert (gap["begins_ns"], gap["ends_ns"], gap["ends_utc"]) == (None, NOON_NS, "2020-02-04 07:40:53.662")
