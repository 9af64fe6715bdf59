"""Binance spot's sample frames, and frames made for a test."""

import json
from pathlib import Path
from typing import Any

from recorder.model import Decoded
from recorder.venues.binance_spot import BinanceSpot
from recorder.venues.reading import read_answer, read_frame

VENUE = BinanceSpot()

_FOLDER = Path(__file__).parents[2] / "data" / "binance_spot"


def sample(name: str) -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (_FOLDER / f"{name}.json").read_bytes()


def event(name: str, **given: object) -> dict[str, Any]:
    """The event of a sample, with other values."""
    found: dict[str, Any] = json.loads(sample(name))["event"]
    return found | given


def row(name: str, **given: object) -> dict[str, Any]:
    """The first row of a sample of an answer, with other values."""
    found: dict[str, Any] = json.loads(sample(name))[0]
    return found | given


def push(told: object, **around: object) -> bytes:
    """A push of this event."""
    return json.dumps({"subscriptionId": 0, **around, "event": told}, separators=(",", ":")).encode()


def answer(told: object) -> bytes:
    """A REST answer."""
    return json.dumps(told, separators=(",", ":")).encode()


def read(payload: bytes) -> Decoded:
    """What a frame says."""
    return read_frame(VENUE, payload)


def asked(target: str, payload: bytes) -> Decoded:
    """What an answer to this request says."""
    return read_answer(VENUE, target, payload)


def columns(update: Any) -> dict[str, Any]:
    """An update's columns that are not NULL."""
    return {name: value for name, value in update._asdict().items() if value is not None}
