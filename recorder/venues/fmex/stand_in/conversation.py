"""The exchange's side of one push connection: commands in, answers out. Pure: callers pass the clocks."""

import json
from typing import Any

from recorder.venues.fmex.portal import INVALID_TOPIC, TOPICS_PER_COMMAND_MAX
from recorder.venues.stand_in import POLICY_VIOLATION, Close, Conversation, Said

#: Status of a command with too many topics, and of one that cannot be read. The page has no numbers for them.
TOO_MANY_TOPICS = 41003
INVALID_COMMAND = 41000


class FMexConversation(Conversation):
    """Implements `recorder.venues.stand_in.Conversation`, which documents the methods."""

    silence_s = 30.0

    def open(self, now_ms: int, now_s: float) -> list[Said]:
        """The hello."""
        return [_text({"type": "hello", "ts": now_ms})]

    def wake(self, now_ms: int, now_s: float) -> list[Said]:
        """Disconnect a client that has sent no ping."""
        return [Close(POLICY_VIOLATION, "no ping")]

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        """Take a client's frame. There is always an answer, if only to say that the frame could not be read."""
        return [_text(self._answer(message, now_ms, now_s))]

    def _answer(self, message: bytes, now_ms: int, now_s: float) -> dict[str, Any]:
        try:
            command = json.loads(message)
        except (ValueError, RecursionError):
            return {"status": INVALID_COMMAND, "msg": "invalid command, not JSON"}
        if not isinstance(command, dict):
            return {"status": INVALID_COMMAND, "msg": "invalid command, not an object"}
        name = {"id": command["id"]} if isinstance(command.get("id"), str | int) else {}
        args = command.get("args", [])
        match command.get("cmd"):
            case "ping":
                return name | self._ping(args, now_ms, now_s)
            case "sub" | "unsub" as cmd:
                return name | self._subscribe(cmd, args)
        return name | {"status": INVALID_COMMAND, "msg": "invalid command, cmd must be ping, sub or unsub"}

    def _ping(self, args: Any, now_ms: int, now_s: float) -> dict[str, Any]:
        if not isinstance(args, list) or len(args) != 1 or type(args[0]) is not int or abs(args[0]) >= 2**63:
            return {"status": INVALID_COMMAND, "msg": "invalid ping, args must be [<client time in ms>]"}
        self.wake_s = now_s + self.silence_s
        return {"type": "ping", "ts": now_ms, "gap": now_ms - args[0]}

    def _subscribe(self, cmd: str, args: Any) -> dict[str, Any]:
        """Accept all topics of a command or none: the first invalid one refuses the whole command.

        Some clients write symbols in upper case; the answer repeats their spelling, pushes have the exchange's.
        """
        if not isinstance(args, list) or not args:
            return {"status": INVALID_COMMAND, "msg": "invalid command, args must be a list of topics"}
        if len(args) > TOPICS_PER_COMMAND_MAX:
            message = f"too many topics, {len(args)}, at most {TOPICS_PER_COMMAND_MAX} a command"
            return {"status": TOO_MANY_TOPICS, "msg": message}
        key, followed = next(iter(self.followed.items()))  # the handshake proved the key
        for topic in args:
            if not isinstance(topic, str) or not self.backend.has_topic(key, topic.lower()):
                return {"status": INVALID_TOPIC, "msg": f"invalid {cmd} topic, {topic}"}
        topics = [topic.lower() for topic in args]
        if cmd == "sub":
            followed.update(topics)
        else:
            followed.difference_update(topics)
        return {"type": "topics", "topics": args}


def _text(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()
