"""Options that make no sense are refused; the log of what was sent; frames on the wire."""

import base64
from pathlib import Path
from typing import Any

import pytest

from recorder.simulator.options import SimulatorOptions
from recorder.simulator.sent import SentLog
from recorder.simulator.wire import text_frame


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("port", -1),
        ("port", 65_536),
        ("symbols", ()),
        ("symbols", ("BTCUSD_P",)),
        ("symbols", ("btcusd_p", "btcusd_p")),
        ("accounts", {}),
        ("accounts", {"key": ""}),
        ("pushes", -1),
        ("rate_per_s", -1),
        ("rate_per_s", float("nan")),
        ("rate_per_s", float("inf")),
        ("ping_timeout_s", 0),
        ("drop_every", 0),
    ],
)
def test_options_that_make_no_sense(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option):
        SimulatorOptions(**{option: value})


@pytest.mark.parametrize("keep", [True, False])
def test_the_log_keeps_and_writes(tmp_path: Path, keep: bool) -> None:
    log = SentLog(tmp_path / "sent", keep=keep)
    log.note(1, "answer", [b"hello"])
    log.note(2, "push", [b"\x00\xff", b"more"])
    written = [line.split() for line in (tmp_path / "sent").read_bytes().splitlines()]
    log.close()
    assert written == [
        [b"1", b"answer", base64.b64encode(b"hello")],
        [b"2", b"push", base64.b64encode(b"\x00\xff")],
        [b"2", b"push", base64.b64encode(b"more")],
    ]
    assert [sent.payload for sent in log.frames] == ([b"hello", b"\x00\xff", b"more"] if keep else [])


@pytest.mark.parametrize(("size", "head"), [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)])
def test_frames_have_the_shortest_head(size: int, head: int) -> None:
    frame = text_frame(b"x" * size)
    assert (len(frame), frame[0]) == (head + size, 0x81)
    assert int.from_bytes(frame[2:head], "big") in {0, size}
