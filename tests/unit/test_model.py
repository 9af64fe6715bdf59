"""Keys, and records that are rows."""

from hypothesis import given
from hypothesis import strategies as st

from recorder import model
from recorder.store.schema import TYPED, TYPED_KEY, frames

NS_PER_MS = 1_000_000


def test_the_key_of_an_account_is_the_same_for_ever() -> None:
    # A change here would split every record that was made before.
    assert model.account_id("fmex", "main") == 2591907295452149849


def test_the_key_of_an_account_depends_on_venue_and_name() -> None:
    keys = {model.account_id(venue, name) for venue in ("fmex", "fme", "x") for name in ("main", "xmain", "", "büro")}
    assert len(keys) == 12


@given(st.text(), st.text())
def test_the_key_of_an_account_is_a_positive_64_bit_integer(venue: str, name: str) -> None:
    try:
        (venue + name).encode()
    except UnicodeEncodeError:
        return
    assert 0 <= model.account_id(venue, name) < 2**63


@given(st.integers(0, 2**43 - 2), st.integers(1, 10**9))
def test_a_later_key_is_greater(now_ms: int, later_ms: int) -> None:
    earlier = model.time_ordered_id(now_ms * NS_PER_MS)
    later = model.time_ordered_id(min(now_ms + later_ms, 2**43 - 1) * NS_PER_MS)
    assert 0 <= earlier < later < 2**63


def test_keys_of_one_millisecond_differ() -> None:
    keys = {model.time_ordered_id(1_580_802_053_662_000_000 + ns) for ns in range(100)}
    assert len(keys) > 95
    assert {key >> 20 for key in keys} == {1_580_802_053_662}


def test_a_clock_beyond_the_key_still_gives_63_bits() -> None:
    for now_ns in (2**63 - 1, 2**70, -1, -(2**70)):
        assert 0 <= model.time_ordered_id(now_ns) < 2**63


def test_a_record_is_the_row_of_its_table() -> None:
    assert [column.name for column in frames.columns] == list(model.Frame._fields)
    for record, table in TYPED.items():
        assert tuple(column.name for column in table.columns) == (*TYPED_KEY, *record._fields)
