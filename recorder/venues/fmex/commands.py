"""What a client says on FMex's push portal. Source: `fmex/protocol.md`, "On the socket"."""

from collections.abc import Iterable

import msgspec

#: Where the portal is, beside the REST interface.
PUSH_PATH = "/v2/user/ws"

#: The portal takes at most so many topics in one command.
TOPICS_PER_COMMAND_MAX = 20

_encode = msgspec.json.Encoder().encode


def topics_of(symbols: Iterable[str]) -> tuple[str, ...]:
    """The private topics: `account`, then orders and positions of each symbol, in lower case."""
    names = list(dict.fromkeys(symbol.lower() for symbol in symbols))
    return ("account", *(f"{kind}.{name}" for name in names for kind in ("order", "position")))


def subscribe(topics: Iterable[str], command_id: str) -> bytes:
    """The command that asks for topics, `TOPICS_PER_COMMAND_MAX` at most."""
    return _encode({"cmd": "sub", "args": list(topics), "id": command_id})


def ping(now_ms: int, command_id: str) -> bytes:
    """The heartbeat; the answer tells how far the two clocks are apart."""
    return _encode({"cmd": "ping", "args": [now_ms], "id": command_id})
