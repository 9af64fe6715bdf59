"""Hostile frames: each is kept verbatim and marked, and the good frame after it is recorded."""

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.integration.process import Folder
from tests.waiting import wait_until

GOOD = (
    b'{"type":"account","account":{"currency":"BTC","available":1.25,"frozen":0.0,"position":9.7e-06,'
    b'"updated_at":1580802053643},"ts":%d}'
)

HOSTILE = {
    "empty": b"",
    "cut": b'{"type":"account","account":{"currency":"BT',
    "not JSON": b"hello there",
    "not an object": b"[1,2,3]",
    "a number": b"42",
    "null": b"null",
    "unknown type": b'{"type":"candle.M1","data":[1,2],"ts":1}',
    "no type": b'{"account":{"currency":"BTC","available":1}}',
    "missing field": b'{"type":"order.btcusd_p","order":{"quantity":1},"ts":1}',
    "wrong type": b'{"type":"order.btcusd_p","order":{"id":"seven"},"ts":1}',
    "text for a number": b'{"type":"account","account":{"currency":"BTC","available":"much"},"ts":1}',
    "NaN": b'{"type":"account","account":{"currency":"BTC","available":NaN},"ts":1}',
    "1e999": b'{"type":"account","account":{"currency":"BTC","available":1e999},"ts":1}',
    "5,000 digits": b'{"type":"account","account":{"currency":"BTC","available":' + b"9" * 5_000 + b'},"ts":1}',
    "id of 2^63": b'{"type":"order.btcusd_p","order":{"id":9223372036854775808},"ts":1}',
    "deep nesting": b'{"type":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "lone surrogate": b'{"type":"account","account":{"currency":"\\ud800","available":1},"ts":1}',
    "NUL": b'{"type":"account","account":{"currency":"B\\u0000C","available":1},"ts":1}',
    "raw NUL": b'{"type":"account\x00"}',
    "invalid UTF-8": b'{"type":"account","account":{"currency":"\xff\xfe","available":1},"ts":1}',
}

#: Frames that can be read, in the one way that loses nothing.
READABLE = {
    "unknown fields": b'{"type":"account","account":{"currency":"BTC","available":1,"bonus":0.10},"ts":1,"v":2}',
}


def test_hostile_frames(folder: Folder) -> None:
    frames = [
        frame for number, hostile in enumerate((HOSTILE | READABLE).values()) for frame in (hostile, GOOD % number)
    ]
    with Simulator(SimulatorOptions(pushes=0)) as exchange:
        folder.configure(exchange)
        with folder.run() as process:
            process.wait_for("covered")
            for frame in frames:
                assert exchange.push(frame) == 1
            folder.finish(process, exchange)
    assert folder.payloads()[2:] == frames
    undecoded = dict(folder.rows("SELECT payload, error FROM frames WHERE status = 'undecoded'"))
    assert set(undecoded) == set(HOSTILE.values())
    assert all(0 < len(error) <= 300 for error in undecoded.values())
    good = folder.rows("SELECT event_ms, available FROM account_updates WHERE extra IS NULL AND event_ms IS NOT NULL")
    assert good == [(number, "1.25") for number in range(len(HOSTILE | READABLE))]
    assert folder.rows("SELECT extra FROM account_updates WHERE extra IS NOT NULL") == [
        ('{"v":2,"account.bonus":0.10}',)
    ]
    assert "could not be decoded" in process.errors
    assert f"undecoded    {len(HOSTILE)}" in folder.command("status").stdout


@pytest.mark.parametrize("size", [1_000_001, 100 * 2**20])
def test_a_frame_over_the_limit_ends_its_session(folder: Folder, size: int) -> None:
    folder.anew = True
    limits = {"frame_bytes_max": 1_000_000, "reconnect_first_s": 0.05}
    with Simulator(SimulatorOptions(pushes=0, keep_sent=False)) as exchange:
        folder.configure(exchange, limits=limits)
        with folder.run() as process:
            process.wait_for("covered")
            exchange.push(GOOD % 1)
            exchange.push(b" " * size)
            process.wait_for("covered", times=2)
            exchange.push(GOOD % 2)
            wait_until(lambda: GOOD % 2 in folder.payloads())
            assert process.peak_bytes() < 150 * 2**20
            assert process.stop()[0] == 0, process.errors
    assert folder.rows("SELECT event_ms FROM account_updates WHERE event_ms IS NOT NULL") == [(1,), (2,)]
    ((reason, detail),) = folder.rows("SELECT end_reason, end_detail FROM sessions WHERE end_reason != 'stopped'")
    assert reason == "frame too large"
    assert str(size) in detail
    (gap,) = folder.rows("SELECT begin_seq, ends_ns IS NOT NULL FROM gaps WHERE reason = 'frame too large'")
    last = folder.rows("SELECT max(seq) FROM frames GROUP BY session_id ORDER BY session_id LIMIT 1")
    assert gap == (last[0][0], 1)
