"""Bitget's sample frames, and frames made for a test."""

import json
from pathlib import Path
from typing import Any

from recorder.model import Decoded
from recorder.venues.bitget import Bitget
from recorder.venues.reading import read_answer, read_frame

VENUE = Bitget()

_FOLDER = Path(__file__).parents[2] / "data" / "bitget"


def sample(name: str) -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (_FOLDER / f"{name}.json").read_bytes()


def row(name: str) -> dict[str, Any]:
    """The first row of a sample."""
    data: Any = json.loads(sample(name))["data"]
    if isinstance(data, dict):
        data = data.get("list", [data])
    found: dict[str, Any] = data[0]
    return found


def push(topic: str, *rows: object, **around: object) -> bytes:
    """A push of these rows."""
    told = {"action": "snapshot", "arg": {"instType": "UTA", "topic": topic}, "data": rows, "ts": 1790757000140}
    return json.dumps(told | around, separators=(",", ":")).encode()


def answer(data: object, code: str = "00000", msg: str = "success") -> bytes:
    """A REST answer with this."""
    return json.dumps({"code": code, "msg": msg, "requestTime": 1790757100000, "data": data}).encode()


def page(*rows: object, cursor: str = "") -> bytes:
    """A page of a REST list."""
    return answer({"list": rows, "cursor": cursor})


def read(payload: bytes) -> Decoded:
    """What a frame says."""
    return read_frame(VENUE, payload)


def asked(target: str, payload: bytes) -> Decoded:
    """What an answer to this request says."""
    return read_answer(VENUE, target, payload)


def columns(update: Any) -> dict[str, Any]:
    """An update's columns that are not NULL."""
    return {name: value for name, value in update._asdict().items() if value is not None}


def only(decoded: Decoded) -> Any:
    """The one row of a frame or an answer."""
    assert decoded.error is None
    (update,) = decoded.updates
    return update
