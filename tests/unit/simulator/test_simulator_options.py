"""Invalid options; the log of sent frames; WebSocket frames."""

import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from recorder.simulator import Simulator
from recorder.simulator.market import require_underlyings
from recorder.simulator.options import SimulatorOptions
from recorder.simulator.sent import NOBODY, SentLog, read_sent_log
from recorder.wire.client import text_frame
from tests.plain import DATED, TERMS


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("port", -1),
        ("port", 65_536),
        ("symbols", ("BTCUSD_P",)),
        ("symbols", ("btcusd_p", "btcusd_p")),
        ("accounts", {"key": ""}),
        ("pushes", -1),
        ("rate_per_s", -1),
        ("rate_per_s", float("nan")),
        ("rate_per_s", float("inf")),
        ("ping_timeout_s", 0),
        ("funding_interval_s", -1),
        ("expiry_s", float("inf")),
        ("drop_every", 0),
    ],
)
def test_invalid_options_are_refused(option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option):
        SimulatorOptions(**{option: value})


def test_what_expires_alone_is_refused() -> None:
    require_underlyings([*DATED, *TERMS])
    with pytest.raises(ValueError, match="BTCUSDT-4FEB20 expires: name an instrument of BTC beside it"):
        require_underlyings(DATED)


@pytest.mark.parametrize("keep", [True, False])
def test_the_log_keeps_and_writes(tmp_path: Path, keep: bool) -> None:
    path = tmp_path / "sent"
    log = SentLog(path, keep=keep)
    log.note(1, "answer", [b"hello"])
    log.note(2, "push", [b"\x00\xff", b"more"], log.numbers(2))
    log.note(NOBODY, "push", [b""], log.numbers(1))
    with path.open("ab") as file:
        file.write(b"3 push 4 17000")  # of a simulator that was killed while it wrote
    written = list(read_sent_log(path))
    log.close()
    assert [(one.connection, one.kind, one.payload, one.number) for one in written] == [
        (1, "answer", b"hello", 0),
        (2, "push", b"\x00\xff", 1),
        (2, "push", b"more", 2),
        (NOBODY, "push", b"", 3),
    ]
    assert all(abs(time.time_ns() - one.sent_ns) < 60e9 for one in written)
    assert log.frames == (written if keep else [])


@pytest.mark.parametrize(("size", "head"), [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)])
def test_frames_have_the_shortest_head(size: int, head: int) -> None:
    frame = text_frame(b"x" * size)
    assert (len(frame), frame[0]) == (head + size, 0x81)
    assert int.from_bytes(frame[2:head], "big") in {0, size}


def test_an_ipv6_address_is_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with Simulator(SimulatorOptions(host="::1")) as exchange:
        assert exchange.url == f"http://[::1]:{exchange.port}"
        with urllib.request.urlopen(f"{exchange.url}/v2/public/server-time") as answer:
            assert answer.status == 200
