"""How much the tests try: `make test` a little of everything, `make test-all` all of it."""

import os
from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet

#: Whether everything is tried. The environment says so, because settings of hypothesis are made on import.
ALL = os.environ.get("TEST_ALL") == "1"

#: Examples of a property without a number of its own, in `make test-all`.
EXAMPLES = 100


def examples(number: int) -> int:
    """Return how many examples a property is tried with.

    Args:
        number: examples in `make test-all`; `make test` tries a tenth of them, but at least three.
    """
    return number if ALL else max(3, number // 10)


def size(number: int) -> int:
    """Return how many frames, pushes or rows a test works on.

    Args:
        number: how many in `make test-all`; `make test` works on a quarter of them.
    """
    return number if ALL else number // 4


def share(names: Iterable[str], *tried: str) -> list[ParameterSet]:
    """Return parameters of a test that takes long for each of them.

    Args:
        names: all, such as the venues.
        tried: those that `make test` tries; the others are left to `make test-long`.
    """
    return [pytest.param(name, marks=() if name in tried else pytest.mark.long) for name in names]
