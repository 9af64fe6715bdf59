"""Binance's sample frames, and frames made for a test."""

import json
from pathlib import Path
from typing import Any

from recorder.model import Decoded
from recorder.venues.binance import Binance
from recorder.venues.reading import read_answer, read_frame

VENUE = Binance()

_FOLDER = Path(__file__).parents[2] / "data" / "binance"


def sample(name: str) -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (_FOLDER / f"{name}.json").read_bytes()


def frame(name: str) -> dict[str, Any]:
    """A sample frame."""
    found: dict[str, Any] = json.loads(sample(name))
    return found


def encoded(value: object) -> bytes:
    """JSON as the exchange writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def changed(name: str, place: str, **fields: object) -> bytes:
    """A sample frame with other fields in an object of it."""
    told = frame(name)
    told[place] = told[place] | fields
    return encoded(told)


def row(name: str, number: int = 0) -> dict[str, Any]:
    """A row of a sample answer."""
    found: dict[str, Any] = json.loads(sample(name))[number]
    return found


def read(payload: bytes) -> Decoded:
    """What a frame says."""
    return read_frame(VENUE, payload)


def asked(target: str, payload: bytes) -> Decoded:
    """What an answer to this request says."""
    return read_answer(VENUE, target, payload)


def columns(update: Any) -> dict[str, Any]:
    """An update's columns that are not NULL."""
    return {name: value for name, value in update._asdict().items() if value is not None}
