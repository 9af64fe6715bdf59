"""What tests of other people's clients share: a connection that is none, and how many of the frames agree."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any


class Line:
    """A ccxt client of a stream, as far as its handlers need one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.futures: dict[str, object] = {}
        self.subscriptions: dict[str, object] = {}
        #: What was handed to those who wait for it.
        self.resolved: dict[str, Any] = {}

    def resolve(self, result: object, name: str) -> None:
        """Keep a result."""
        self.resolved[name] = result


@contextmanager
def counted(venue: str, client: str, test: str) -> Iterator[Counter[str]]:
    """How many agree, and how many differ on purpose: a line of the table that `make clients` prints."""
    counts: Counter[str] = Counter()
    yield counts
    told = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    print(f"{venue} | {client} | {test.removeprefix('test_')} | {told}")


def number(text: str | None) -> Decimal | None:
    """A number as a number, so that `1.0` and `1` are equal."""
    return None if text is None else Decimal(text)
