"""The queries of `docs/queries.md`, and the answers below them."""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "queries.md"

#: A query, and the answer below it where there is one already.
_BLOCK = re.compile(r"```sql\n(?P<sql>.*?)```\n(?:\n```text\n(?P<answer>.*?)```\n)?", re.DOTALL)
_HEADING = re.compile(r"^## (.*)$", re.MULTILINE)


class Query(NamedTuple):
    """A query of the page."""

    #: The heading above it.
    question: str
    sql: str
    #: On the page.
    answer: str


class Answer(NamedTuple):
    """What a database answers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


#: Asks a database.
Ask = Callable[[str], Answer]


def queries(page: str) -> Iterator[Query]:
    """Every query of the page, in order."""
    for block in _BLOCK.finditer(page):
        *_, question = _HEADING.findall(page[: block.start()])
        yield Query(question, block["sql"].strip().rstrip(";"), block["answer"] or "")


def rewritten(page: str, ask: Ask) -> str:
    """The page with a database's present answers."""

    def block(found: re.Match[str]) -> str:
        answer = ask(found["sql"].strip().rstrip(";"))
        return f"```sql\n{found['sql']}```\n\n```text\n{table(answer)}```\n"

    return _BLOCK.sub(block, page)


def table(answer: Answer) -> str:
    """An answer as a table of text."""
    cells = [list(answer.columns), *([_text(value) for value in row] for row in answer.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [any(isinstance(row[at], int | float | Decimal) for row in answer.rows) for at in range(len(widths))]
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    """A value as both shells could show it: without an exponent or trailing zeros."""
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, Decimal):
        text = f"{value:f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
        return "0" if text == "-0" else text
    return "" if value is None else str(value)
