"""The client's side of FMex's push portal: commands, and the protocol of a connection as a state machine. Pure.

hello → `sub` commands of at most 20 topics → acknowledged, or refused with 41002. The page does not say whether one
bad topic makes the exchange refuse the whole command, so the other topics are requested again; if the refusal names no
known topic, each is requested on its own. Source: `fmex/protocol.md`, "On the socket".
"""

from collections.abc import Iterable
from itertools import count

import msgspec

from recorder.model import Control, Hello, RefusedCommand
from recorder.venues.base import Command, PushSession

#: Path of the portal, on the host of the REST interface.
PUSH_PATH = "/v2/user/ws"

#: Most topics that the portal accepts in one command.
TOPICS_PER_COMMAND_MAX = 20

_encode = msgspec.json.Encoder().encode


def topics_of(symbols: Iterable[str]) -> tuple[str, ...]:
    """The private topics: `account`, then orders and positions of each symbol, in lower case."""
    names = list(dict.fromkeys(symbol.lower() for symbol in symbols))
    return ("account", *(f"{kind}.{name}" for name in names for kind in ("order", "position")))


def symbol_of(topic: str) -> str | None:
    """The symbol of a topic, in upper case as in objects; `account` has none."""
    return topic.partition(".")[2].upper() or None


def subscribe(topics: Iterable[str], command_id: str) -> bytes:
    """The command that subscribes to topics, at most `TOPICS_PER_COMMAND_MAX`."""
    return _encode({"cmd": "sub", "args": list(topics), "id": command_id})


def ping(now_ms: int, command_id: str) -> bytes:
    """The heartbeat; the answer contains the difference between the two clocks."""
    return _encode({"cmd": "ping", "args": [now_ms], "id": command_id})


#: `status` of a refused subscription.
INVALID_TOPIC = 41002

PING = "ping-"


class FMexSession(PushSession):
    """The protocol of the push portal."""

    def __init__(self, topics: Iterable[str]) -> None:
        super().__init__(topics)
        self._ids = count(1)
        self._asked: dict[str, tuple[str, ...]] = {}  # command id → its topics, while unanswered

    def receive(self, control: Control, now_ms: int) -> list[Command]:
        """Take a control frame; return the commands to send."""
        match control:
            case Hello():
                return self._ask(self.missing(), TOPICS_PER_COMMAND_MAX)
            case RefusedCommand():
                return self._ask_again(control)
        return super().receive(control, now_ms)

    def heartbeat(self, now_ms: int) -> Command:
        """The ping."""
        return Command(ping(now_ms, f"{PING}{next(self._ids)}"))

    def _missing_of(self, topics: Iterable[str]) -> list[str]:
        missing = self.missing()
        return [topic for topic in topics if topic in missing]

    def _ask(self, topics: list[str], each: int) -> list[Command]:
        commands = []
        for start in range(0, len(topics), each):
            command_id = f"sub-{next(self._ids)}"
            self._asked[command_id] = tuple(topics[start : start + each])
            commands.append(Command(subscribe(self._asked[command_id], command_id)))
        return commands

    def _ask_again(self, refusal: RefusedCommand) -> list[Command]:
        words = refusal.message.replace(",", " ").split()
        asked = self._asked.pop(self._refused_command(refusal.command_id or "", words), ())
        named = [topic for topic in asked if topic in words]
        culprits = asked if len(asked) == 1 else named
        self.refuse(culprits, f"{refusal.code} {refusal.message}")
        each = TOPICS_PER_COMMAND_MAX if culprits else 1
        return self._ask(self._missing_of(asked), each)

    def _refused_command(self, command_id: str, words: list[str]) -> str:
        # A refusal without a known id belongs to the command whose topic it names, otherwise to the oldest unanswered
        # one. It counts for one command only, so refusals cause only a limited number of further commands.
        if command_id in self._asked or command_id.startswith(PING):
            return command_id
        waiting = [asked for asked, topics in self._asked.items() if self._missing_of(topics)]
        named = [asked for asked in waiting if not set(words).isdisjoint(self._asked[asked])]
        return next(iter(named or waiting), "")
