"""The high-watermark: the last frame of each account known durable, and the file that tells it to others."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from recorder.clock import utc_text
from recorder.errors import ConfigurationError
from recorder.model import REST, SNAPSHOT, Frame


class Mark(NamedTuple):
    """One frame; every frame of its session up to it is durable too."""

    session_id: int
    seq: int
    received_ns: int


class Watermark(NamedTuple):
    """What one run has made durable."""

    #: The last batch committed.
    batch: int
    #: Frames committed so far.
    frames: int
    #: Account key → its last durable frame.
    marks: Mapping[int, Mark]

    def after(self, batch: int, frames: Sequence[Frame]) -> "Watermark":
        """The watermark once these frames are committed."""
        marks = dict(self.marks)
        for frame in _last_of_each(frames):
            marks[frame.account_id] = Mark(frame.session_id, frame.seq, frame.received_ns)
        return Watermark(batch, self.frames + len(frames), marks)


def _last_of_each(frames: Sequence[Frame]) -> Sequence[Frame]:
    # Answers of REST are in sessions of their own, which end by themselves: nobody waits for those.
    last = {frame.account_id: frame for frame in frames if frame.source not in {REST, SNAPSHOT}}
    return list(last.values())


class AckFile:
    """A small JSON file that a reader finds whole at every instant, replaced after each commit.

    Args:
        path: where.
        names: account key → its name.
    """

    def __init__(self, path: Path, names: Mapping[int, str]) -> None:
        self._path = path
        self._next = path.with_name(path.name + ".next")
        self._names = names
        try:
            self.write(Watermark(0, 0, {}))
        except OSError as error:
            raise ConfigurationError(
                f"The ack file {path} cannot be written: {error.strerror}; name a file in a folder that exists."
            ) from error

    def write(self, watermark: Watermark) -> None:
        """Tell what is durable."""
        accounts = {
            self._names[account_id]: mark._asdict() | {"received_utc": utc_text(mark.received_ns)}
            for account_id, mark in watermark.marks.items()
        }
        told = {"batch": watermark.batch, "frames": watermark.frames, "accounts": accounts}
        self._next.write_text(json.dumps(told) + "\n")
        os.replace(self._next, self._path)  # noqa: PTH105  atomic by name
