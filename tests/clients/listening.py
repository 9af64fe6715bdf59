"""What tests of other people's clients share: a thread for them, a connection that is none, and the printed table."""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Self

#: Columns of the table of conversations, besides those that say who speaks with whom.
COLUMNS = ("logins", "sent", "understood", "stored", "differences")
#: Lines of the two tables: of conversations, and of frames that are only decoded.
CONVERSATIONS: list[tuple[str, ...]] = []
DECODED: list[tuple[str, ...]] = []


#: For a client to do one thing, seconds.
PATIENCE_S = 120.0


class ClientThread:
    """A client that uses asyncio, in a thread of its own, where subclasses open and close it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    async def open(self) -> None:
        """Connect it."""
        raise NotImplementedError

    async def close(self) -> None:
        """Disconnect it, however far `open` came."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.do(self.open())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.do(self.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def do(self, what: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the client's thread."""
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(PATIENCE_S)


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
    """How many decoded frames agree, and how many differ on purpose: a line of the table."""
    counts: Counter[str] = Counter()
    yield counts
    found = ", ".join(f"{number} {what}" for what, number in sorted(counts.items()))
    DECODED.append((venue, client, test.removeprefix("test_").replace("_", " "), found))


@contextmanager
def conversation(venue: str, client: str, against: str) -> Iterator[Counter[str]]:
    """What a client was sent and understood, and what the recorder stored of it: a line of the table.

    What is counted under other names than those of the columns explains differences.
    """
    counts: Counter[str] = Counter()
    yield counts
    numbers = ["-" if name == "logins" and name not in counts else str(counts[name]) for name in COLUMNS]
    others = {"rows agree" if what == "agree" else what: counts[what] for what in counts if what not in COLUMNS}
    explained = ", ".join(f"{number} {what}" for what, number in sorted(others.items()))
    CONVERSATIONS.append((venue, client, against, *numbers, explained))


def table(head: tuple[str, ...], lines: list[tuple[str, ...]]) -> Iterator[str]:
    """The lines of a table, in columns."""
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    for line in (head, *sorted(lines)):
        yield " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()


def number(text: object) -> Decimal | None:
    """A number as a number, so that `1.0` and `1` are equal."""
    return None if text is None else Decimal(str(text))
