"""OKX's sample frames, and frames made for a test."""

import json
from pathlib import Path
from typing import Any

from recorder.model import Decoded
from recorder.venues.okx import OKX
from recorder.venues.reading import read_answer, read_frame

VENUE = OKX()

_FOLDER = Path(__file__).parents[2] / "data" / "okx"


def sample(name: str) -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (_FOLDER / f"{name}.json").read_bytes()


def row(name: str) -> dict[str, Any]:
    """The row of a sample."""
    found: dict[str, Any] = json.loads(sample(name))["data"][0]
    return found


def push(channel: str, *rows: object, **around: object) -> bytes:
    """A push of these rows."""
    told = {"arg": {"channel": channel, "uid": "512344556677889900"}, **around, "data": rows}
    return json.dumps(told, separators=(",", ":")).encode()


def answer(*rows: object, code: str = "0", msg: str = "") -> bytes:
    """A REST answer with these rows."""
    return json.dumps({"code": code, "msg": msg, "data": rows}).encode()


def read(payload: bytes) -> Decoded:
    """What a frame says."""
    return read_frame(VENUE, payload)


def asked(target: str, payload: bytes) -> Decoded:
    """What an answer to this request says."""
    return read_answer(VENUE, target, payload)


def columns(update: Any) -> dict[str, Any]:
    """An update's columns that are not NULL."""
    return {name: value for name, value in update._asdict().items() if value is not None}
