"""Nothing is acknowledged ahead of the disk: what a power cut would undo was flushed before it was called durable.

`kill -9` cannot show it, for the kernel keeps what the process wrote. The order of the system calls can.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from tests.faults.scene import Scene
from tests.faults.strace import needs_strace, tracing

pytestmark = needs_strace

#: Thread, then a call with the path of its file: whole, begun, or come back from.
WRITE = re.compile(r"(\d+) +pwrite64\(\d+<([^>]*)>")
FLUSH = re.compile(r"(\d+) +fdatasync\(\d+<([^>]*)>(\) += 0| <unfinished)")
FLUSHED = re.compile(r"(\d+) +<\.\.\. fdatasync resumed>\) += 0")
ACKNOWLEDGE = re.compile(r"\d+ +rename\(\"[^\"]*ack.json.next\"")


def acknowledged_unflushed(calls: Iterable[str], wal: str) -> tuple[int, int]:
    """How many acknowledgements there are, and how many of them came while the log held what was not flushed."""
    unflushed, flushing = False, set()
    told = early = 0
    for call in calls:
        if (write := WRITE.match(call)) and write[2] == wal:
            unflushed = True
        elif (flush := FLUSH.match(call)) and flush[2] == wal:
            if flush[3].endswith("0"):
                unflushed = False
            else:
                flushing.add(flush[1])
        elif (flushed := FLUSHED.match(call)) and flushed[1] in flushing:
            flushing.remove(flushed[1])
            unflushed = False
        elif ACKNOWLEDGE.match(call):
            told += 1
            early += unflushed
    return told, early


def test_what_is_acknowledged_has_been_flushed(scene: Scene, tmp_path: Path) -> None:
    log = tmp_path / "strace.log"
    with scene.run(under=tracing(log, "pwrite64,fdatasync,rename")) as process:
        scene.wait_batches(process, 30)
        assert process.stop()[0] == 0, process.errors
    with log.open() as calls:
        told, early = acknowledged_unflushed(calls, f"{scene.folder.database}-wal")
    assert told > 20
    assert early == 0, f"{early} of {told} acknowledgements came before the flush"
    scene.finish("acknowledged before flushed")


def test_an_acknowledgement_ahead_of_the_flush_is_seen() -> None:
    write, flush = "7 pwrite64(5</r.db-wal>, 1, 1, 0) = 1", "7 fdatasync(5</r.db-wal>) = 0"
    told = '7 rename("/ack.json.next", "/ack.json") = 0'
    assert acknowledged_unflushed([write, flush, told], "/r.db-wal") == (1, 0)
    assert acknowledged_unflushed([write, told, flush], "/r.db-wal") == (1, 1)
    begun, back = "7 fdatasync(5</r.db-wal> <unfinished ...>", "7 <... fdatasync resumed>) = 0"
    assert acknowledged_unflushed([write, begun, told, back, told], "/r.db-wal") == (2, 1)
    assert acknowledged_unflushed([write, "7 fdatasync(5</r.db-wal>) = -1 EIO", told], "/r.db-wal") == (1, 1)
