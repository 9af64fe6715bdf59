"""Kraken's sample frames, and frames made for a test."""

import json
from pathlib import Path
from typing import Any

from recorder.model import Decoded
from recorder.venues.kraken import Kraken
from recorder.venues.reading import read_answer, read_frame

VENUE = Kraken()

FOLDER = Path(__file__).parents[2] / "data" / "kraken"


def sample(name: str) -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (FOLDER / f"{name}.json").read_bytes()


def event(name: str) -> dict[str, Any]:
    """The first row of a sample of a push."""
    found: dict[str, Any] = json.loads(sample(name))["data"][0]
    return found


def push(channel: str, *rows: object, kind: str = "update", **around: object) -> bytes:
    """A push of these rows."""
    told = {"channel": channel, "type": kind, "data": rows, **around, "sequence": 2}
    return json.dumps(told, separators=(",", ":")).encode()


def answer(result: object = None, *errors: str) -> bytes:
    """A REST answer."""
    told: dict[str, object] = {"error": errors}
    return json.dumps(told if result is None else told | {"result": result}, separators=(",", ":")).encode()


def read(payload: bytes) -> Decoded:
    """What a frame says."""
    return read_frame(VENUE, payload)


def asked(path: str, payload: bytes, body: str = "") -> Decoded:
    """What an answer to this request says."""
    return read_answer(VENUE, f"POST {path} {body}".rstrip(), payload)


def columns(update: Any) -> dict[str, Any]:
    """An update's columns that are not NULL."""
    return {name: value for name, value in update._asdict().items() if value is not None}
