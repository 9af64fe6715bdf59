"""Deribit's sample frames, and frames made for a test."""

import json
from pathlib import Path
from typing import Any

from recorder.model import Decoded
from recorder.venues.deribit import Deribit
from recorder.venues.deribit.portal import CHANGES
from recorder.venues.reading import read_answer, read_frame

VENUE = Deribit()

_FOLDER = Path(__file__).parents[2] / "data" / "deribit"


def sample(name: str) -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (_FOLDER / f"{name}.json").read_bytes()


def data(name: str) -> dict[str, Any]:
    """The data of a sample of a push."""
    found: dict[str, Any] = json.loads(sample(name))["params"]["data"]
    return found


def result(name: str) -> Any:
    """The result of a sample of an answer."""
    return json.loads(sample(name))["result"]


def push(channel: str, data: object, **around: object) -> bytes:
    """A push."""
    told = {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}, **around}
    return json.dumps(told, separators=(",", ":")).encode()


def changes(**parts: object) -> bytes:
    """A push of what changed: trades, orders, positions."""
    return push(CHANGES, {"instrument_name": "BTC-PERPETUAL", **parts})


def answer(result: object, request_id: object = None) -> bytes:
    """An answer with this result."""
    named = {} if request_id is None else {"id": request_id}
    around = {"usIn": 1795852800130412, "usOut": 1795852800131020, "usDiff": 608, "testnet": False}
    return json.dumps({"jsonrpc": "2.0", **named, "result": result, **around}, separators=(",", ":")).encode()


def error(code: int, message: str = "", request_id: object = None, **more: object) -> bytes:
    """An answer with this error."""
    named = {} if request_id is None else {"id": request_id}
    told = {"code": code, "message": message, **({"data": more} if more else {})}
    return json.dumps({"jsonrpc": "2.0", **named, "error": told, "testnet": False}).encode()


def read(payload: bytes) -> Decoded:
    """What a frame says."""
    return read_frame(VENUE, payload)


def asked(target: str, payload: bytes) -> Decoded:
    """What an answer to this request says."""
    return read_answer(VENUE, target, payload)


def columns(update: Any) -> dict[str, Any]:
    """An update's columns that are not NULL."""
    return {name: value for name, value in update._asdict().items() if value is not None}
