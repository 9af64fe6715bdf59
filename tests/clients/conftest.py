"""The tables at the end of `make clients`."""

import pytest

from tests.clients import listening

pytest.register_assert_rewrite("tests.clients.checks_okx")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what other people's clients understood, beside what was stored."""
    tables = (
        ("what other clients understood", ("venue", "client", "against", *listening.COLUMNS, "explained")),
        ("what ccxt decodes", ("venue", "client", "frames", "agree or differ")),
    )
    for (title, head), lines in zip(tables, (listening.CONVERSATIONS, listening.DECODED), strict=True):
        if lines:
            terminalreporter.section(title)
            for line in listening.table(head, lines):
                terminalreporter.line(line)
