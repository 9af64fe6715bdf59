"""Bugs of our own, put in: the process ends, says that it has one, and the gap is on record."""

from collections.abc import Iterator
from contextlib import contextmanager
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
    "ledger": "recorder.store.ledger._cover",
    "rows": "recorder.store.journal.typed_row",
    "watermark": "recorder.live.watermark.Watermark.after",
    "reconciler": "recorder.live.reconciler.read_answer",
}


@contextmanager
def raising(monkeypatch: pytest.MonkeyPatch, target: str, after: int) -> Iterator[None]:
    """Let a function raise from its so many-th call on."""
    module, _, name = target.rpartition(".")
    original: Any = pytest.importorskip(module) if module.count(".") == 2 else None
    if original is None:
        package, _, holder = module.rpartition(".")
        original = getattr(pytest.importorskip(package), holder)
    function, left = getattr(original, name), after

    def buggy(*arguments: Any, **named: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise ZeroDivisionError("a bug")
        return function(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(original, name, buggy)
        yield


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.parametrize("after", [0, 3, 40])
def test_a_bug_ends_the_run_and_the_next_goes_on(
    tmp_path: Path, exchange: Simulator, report: Report, monkeypatch: pytest.MonkeyPatch, bug: str, after: int
) -> None:
    live = Live(tmp_path, exchange)
    seen = bug in {"decode", "writer", "rows", "watermark"} or after == 0
    with raising(monkeypatch, BUGS[bug], after):
        if seen:
            with pytest.raises(InternalError, match="a bug"), live.recording() as recording:
                assert recording.wait(PATIENCE_S)
        else:
            with live.recording():
                live.wait_more(100)  # too seldom called for it to come
    with live.recording():
        live.wait_more(100)
    live.finish("a bug of ours", report)


@pytest.mark.parametrize("after", [0, 5])
def test_a_callback_that_raises(tmp_path: Path, exchange: Simulator, report: Report, after: int) -> None:
    live = Live(tmp_path, exchange)
    calls = 0

    def callback(_watermark: object) -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise ZeroDivisionError("a bug")

    live.callback = callback
    with pytest.raises(InternalError, match="a bug"), live.recording() as recording:
        assert recording.wait(PATIENCE_S)
    live.callback = lambda watermark: None
    with live.recording():
        live.wait_more(100)
    live.finish("a bug of ours", report)
