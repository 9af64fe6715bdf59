"""Bybit's sample frames, and frames made for a test."""

import json
from pathlib import Path
from typing import Any, cast

from recorder.model import Decoded, Update
from recorder.venues.base import Venue
from recorder.venues.bybit import Bybit
from recorder.venues.reading import read_answer, read_frame

#: What is tested reads frames and answers, and needs nothing else of a venue.
BYBIT = cast("Venue", Bybit())

_FOLDER = Path(__file__).parents[2] / "data" / "bybit"

AT_MS = 1795600000124


def sample(name: str) -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (_FOLDER / f"{name}.json").read_bytes()


def row(topic: str) -> dict[str, Any]:
    """The row of a sample frame."""
    found: dict[str, Any] = json.loads(sample(topic))["data"][0]
    return found


def push(topic: str, *rows: object, **around: object) -> bytes:
    """A push of these rows."""
    told = {"topic": topic, "id": "7", "creationTime": AT_MS, "data": rows}
    return json.dumps(told | around, separators=(",", ":")).encode()


def answer(result: object, **around: object) -> bytes:
    """A REST answer with this result."""
    told = {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": AT_MS}
    return json.dumps(told | around).encode()


def read(payload: bytes) -> Decoded:
    """What a frame says."""
    return read_frame(BYBIT, payload)


def asked(target: str, payload: bytes) -> Decoded:
    """What an answer to this request says."""
    return read_answer(BYBIT, target, payload)


def only(decoded: Decoded) -> Any:
    """The one update of a frame."""
    assert decoded.error is None, decoded.error
    (update,) = decoded.updates
    return update


def told(update: Update) -> dict[str, Any]:
    """An update's columns that are not NULL, without those that every row has."""
    common = ("event_ms", "is_snapshot", "is_partial")
    return {name: value for name, value in update._asdict().items() if value is not None and name not in common}
