"""Bugs of our own, put in: the process ends, says that it has one, and the gap is on record."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from recorder.errors import InternalError
from recorder.simulator import Simulator
from tests.faults.conftest import Report
from tests.faults.live import PATIENCE_S, Live

#: Where the bug is → what is replaced.
BUGS = {
    "decode": "recorder.live.session.read_frame",
    "writer": "recorder.store.journal.Batch.write",
    "event log": "recorder.store.gaps.Gaps.covered",
    "rows": "recorder.store.journal.typed_row",
    "watermark": "recorder.live.watermark.Watermark.after",
    "reconciler": "recorder.live.rest_client.read_answer",
}
#: Where it is, and at which call it shows; the first batch opens the run, before anything is started.
SHOWN = [("decode", 3), ("rows", 0), ("watermark", 0), ("writer", 3), ("event log", 0), ("reconciler", 1)]
#: More calls of the same, in `make test-all` and `make faults`.
ALSO_SHOWN = [("decode", 0), ("decode", 40), ("rows", 3), ("rows", 40), ("watermark", 3), ("watermark", 40)]
ALSO_SHOWN += [("writer", 1), ("writer", 40), ("reconciler", 0)]


def _holder(target: str) -> tuple[Any, str]:
    """The module or class that holds a function, and its name there."""
    path, _, name = target.rpartition(".")
    try:
        return import_module(path), name
    except ModuleNotFoundError:
        module, _, kind = path.rpartition(".")
        return getattr(import_module(module), kind), name


@contextmanager
def raising(monkeypatch: pytest.MonkeyPatch, target: str, after: int) -> Iterator[None]:
    """Let a function raise from its so many-th call on."""
    holder, name = _holder(target)
    function, left = getattr(holder, name), after

    def buggy(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ZeroDivisionError("a bug")
        return function(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, buggy)
        yield


@pytest.mark.parametrize(
    ("bug", "after"), [*SHOWN, *(pytest.param(*shown, marks=pytest.mark.long) for shown in ALSO_SHOWN)]
)
def test_a_bug_ends_the_run_and_the_next_goes_on(
    tmp_path: Path, exchange: Simulator, report: Report, monkeypatch: pytest.MonkeyPatch, bug: str, after: int
) -> None:
    live = Live(tmp_path, exchange)
    with (
        raising(monkeypatch, BUGS[bug], after),
        pytest.raises(InternalError, match="a bug"),
        live.recording() as recording,
    ):
        assert recording.wait(PATIENCE_S)
    with live.recording():
        live.wait_more(100)
    live.finish("a bug of ours", report)


@pytest.mark.parametrize("after", [pytest.param(0, marks=pytest.mark.long), 5])
def test_a_callback_that_raises(tmp_path: Path, exchange: Simulator, report: Report, after: int) -> None:
    live = Live(tmp_path, exchange)
    calls = 0

    def callback(_watermark: object) -> None:
        nonlocal calls
        calls += 1
        if calls > after + 1:  # it is told once before anything is durable
            raise ZeroDivisionError("a bug")

    live.callback = callback
    with pytest.raises(InternalError, match="a bug"), live.recording() as recording:
        assert recording.wait(PATIENCE_S)
    live.callback = lambda watermark: None
    with live.recording():
        live.wait_more(100)
    live.finish("a bug of ours", report)
