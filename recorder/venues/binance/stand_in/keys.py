"""The listen keys of a simulated exchange: one an account, alive for an hour after it was last asked for."""

import hashlib

#: For how long a listen key lives, milliseconds.
LIVES_MS = 3_600_000


class ListenKeys:
    """The listen keys that live."""

    def __init__(self) -> None:
        #: API key → its listen key, and when that expires.
        self._alive: dict[str, tuple[str, int]] = {}
        self._made = 0

    def start(self, key: str, now_ms: int) -> str:
        """The account's listen key, a new one if it has none; it lives for another hour."""
        found = self._current(key, now_ms)
        if found is None:
            self._made += 1
            found = hashlib.sha256(f"{key} {self._made}".encode()).hexdigest()
        self._alive[key] = found, now_ms + LIVES_MS
        return found

    def keep(self, key: str, now_ms: int) -> str | None:
        """Let the account's listen key live for another hour; None: it has none."""
        return None if self._current(key, now_ms) is None else self.start(key, now_ms)

    def end(self, key: str) -> None:
        """End the account's listen key, for every program of the account."""
        self._alive.pop(key, None)

    def owner(self, listen_key: str, now_ms: int) -> str | None:
        """The API key of an account by its listen key; None: it is not alive."""
        return next((key for key in self._alive if self._current(key, now_ms) == listen_key), None)

    def _current(self, key: str, now_ms: int) -> str | None:
        listen_key, until_ms = self._alive.get(key, ("", 0))
        return listen_key if listen_key and now_ms < until_ms else None
