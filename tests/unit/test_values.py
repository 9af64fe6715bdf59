"""Several numbers looked at together say what each says on its own."""

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Raw

from recorder.errors import Undecodable
from recorder.model import Digits
from recorder.venues.values import MISSING, all_digits, digits
from tests.unit.fmex.pushes import numbers

#: JSON that stands where a number should, or a number that no market has.
STRANGE = (
    *('""', '"1"', '","', '"1,2"', '"e000"', "null", "true", "false", "[]", "[1,2]", "[1, 2]", "{}", '{"a":1}'),
    *("1e100", "1E+100", "1e-100", "1e099", "1e-007", "0e000", "-0E+000", "9" * 100, "9" * 101, "0." + "3" * 99),
)

_read = msgspec.json.Decoder(list[Raw]).decode


def each(raws: list[Raw]) -> list[Digits | None] | str:
    try:
        return [digits(raw) for raw in raws]
    except Undecodable as error:
        return str(error)


def together(raws: list[Raw]) -> list[Digits | None] | str:
    try:
        return list(all_digits(raws))
    except Undecodable as error:
        return str(error)


@given(st.lists(numbers | st.sampled_from(STRANGE), min_size=1, max_size=9), st.sampled_from([",", " , "]))
@example(["1e9", "99"], ",")
@example(["1e99", "0"], ",")
@example(["9" * 100, "9" * 100], ",")
@example(["1", "9" * 101], ",")
def test_together_they_are_what_each_is_alone(texts: list[str], comma: str) -> None:
    raws = _read(f"[{comma.join(texts)}]".encode())
    assert together(raws) == each(raws)


@pytest.mark.parametrize("text", STRANGE)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_that_is_strange_is_found_wherever_it_stands(text: str, at: int) -> None:
    texts = ["1.50", "-2e-06", "0E-18"]
    texts[at] = text
    raws = _read(f"[{','.join(texts)}]".encode())
    assert together(raws) == each(raws)


def test_what_is_missing_is_none() -> None:
    assert all_digits([MISSING, Raw(b"1.0"), MISSING]) == [None, "1.0", None]
