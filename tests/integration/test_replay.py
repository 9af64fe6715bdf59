"""The command `recorder replay`: JSON lines with exact payloads, selections, errors, memory."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recorder.simulator import Simulator, SimulatorOptions
from tests.contract.scribe import Heard, Scribe, Story
from tests.integration.process import Folder
from tests.integration.test_serving import LARGE_BYTES, Large, write
from tests.memory import PROGRAM, peak_bytes

BINARY = b'{"type":"\xff\xfe"}'


@pytest.fixture(scope="module")
def recorded_once(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("recorded"))
    with Simulator(SimulatorOptions(pushes=300)) as exchange:
        folder.configure(exchange)
        with folder.run() as process:
            process.wait_for("covered")
            exchange.push(BINARY)
            folder.finish(process, exchange)
    return folder


@pytest.fixture
def recorded(recorded_once: Folder, tmp_path: Path) -> Folder:
    """A record of 300 pushes and one frame that is not UTF-8."""
    return recorded_once.copied_to(tmp_path)


def lines(folder: Folder, *arguments: str) -> list[dict[str, Any]]:
    ended = folder.command("replay", *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    return [json.loads(line) for line in ended.stdout.splitlines()]


def payload(line: dict[str, Any]) -> bytes:
    """Of a frame."""
    text: str | None = line.get("payload")
    return base64.b64decode(line["payload_base64"]) if text is None else text.encode()


def test_each_frame_session_and_gap_is_a_line(recorded: Folder) -> None:
    told = lines(recorded)
    frames = [line for line in told if line["event"] == "frame"]
    assert [payload(line) for line in frames] == recorded.payloads()
    assert [payload(line) for line in frames if "payload_base64" in line] == [BINARY]
    assert [(line["session_id"], line["seq"], line["topic"], line["status"], line["error"]) for line in frames] == [
        *recorded.rows("SELECT session_id, seq, topic, status, error FROM frames WHERE source = 'push'")
    ]
    others = [line["event"] for line in told if line["event"] != "frame"]
    assert others == ["gap_began", "session_began", "gap_ended", "gap_began", "session_ended"]
    assert told[0]["gap"]["reason"] == "beginning"


def test_topic_source_and_after_select_frames(recorded: Folder) -> None:
    orders = [line for line in lines(recorded, "--topic", "order.btcusd_p") if line["event"] == "frame"]
    assert {line["topic"] for line in orders} == {"order.btcusd_p", None}, "what nobody could read may be of any"
    assert len(orders) > 50
    ours = [line for line in lines(recorded, "--source", "sent") if line["event"] == "frame"]
    assert json.loads(payload(ours[0]))["cmd"] == "sub"
    told = lines(recorded)
    at = next(number for number, line in enumerate(told) if line["event"] == "frame" and line["seq"] == 100)
    assert lines(recorded, "--after", f"{told[at]['session_id']}:100") == told[at + 1 :]


def test_a_reader_that_closes_the_pipe_is_no_error(recorded: Folder) -> None:
    command = [sys.executable, "-m", "recorder", "replay"]
    with subprocess.Popen(command, cwd=recorded.path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--topic", "order.nothing"], "no topic 'order.nothing'"),
        (["--account", "nobody"], "no account 'nobody'"),
        (["--since", "2030-01-01"], "the record ends at"),
        (["--speed", "0"], "'0' is not a speed"),
        (["--after", "41"], "is not a frame"),
        (["--max-wait", "0s"], "above zero"),
    ],
)
def test_invalid_arguments_are_one_sentence(recorded: Folder, arguments: list[str], words: str) -> None:
    ended = recorded.command("replay", *arguments)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert words in re.sub(r"\s+", " ", ended.stderr)


def test_a_period_with_gaps_is_refused_and_the_gaps_are_listed(sqlite_template: Path, tmp_path: Path) -> None:
    story = Story(1, 30)
    scribe = Scribe(tmp_path / "recorder.db", sqlite_template)
    scribe.write(story, Heard(0, 10), Heard(12, 20), Heard(25, 30, end="stopped"))
    scribe.engine.dispose()
    ended = Folder(tmp_path).command("replay", "--require-complete")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("main, all topics: 2020-02-04 07:40:53") == 2


@pytest.mark.long
def test_memory_does_not_grow_with_the_record(sqlite_template: Path, tmp_path: Path) -> None:
    peaks = []
    for pushes in (200, 2_000):
        folder = tmp_path / f"{pushes}"
        folder.mkdir()
        write(Large(pushes), folder, sqlite_template)
        peaks.append(peak_bytes(PROGRAM, "replay", folder=folder))
    # The pushes of the longer one are 72 MB more.
    assert peaks[1] - peaks[0] < 200 * LARGE_BYTES
