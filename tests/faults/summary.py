"""The matrix at the end of a run. Where several processes share the tests, only this hook's own has all verdicts: it
collects nothing itself, and so does not load tests/faults/conftest.py.
"""

from pathlib import Path

import pytest

from tests.faults import matrix


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Print the matrix, and write it where that is asked for and all is well."""
    if hasattr(config, "workerinput"):
        return  # one of several workers: it knows a part only
    told = [
        value
        for category in ("passed", "failed")
        for one in terminalreporter.stats.get(category, [])
        for name, value in getattr(one, "user_properties", ())
        if name == matrix.PROPERTY and getattr(one, "when", "call") == "call"
    ]
    if not told:
        return
    all_rows = matrix.rows(told)
    terminalreporter.section("what it has lived through")
    for line in matrix.as_text(all_rows):
        terminalreporter.line(line)
    into: Path | None = config.getoption("--matrix-into", None)
    if into is not None and exitstatus == pytest.ExitCode.OK:
        matrix.write(into, all_rows)
        terminalreporter.line(f"written into {into}")
