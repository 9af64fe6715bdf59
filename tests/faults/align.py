"""Which frame of the table is which frame of the exchange's: sessions held against connections."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from recorder.simulator.sent import NOBODY, Sent
from tests.faults.table import Session


@dataclass
class Alignment:
    """Where each frame of the table stands in what was sent."""

    #: (session, seq) → index into what was sent.
    places: dict[tuple[int, int], int] = field(default_factory=dict)
    duplicated: int = 0
    findings: list[str] = field(default_factory=list)
    #: Session → the numbers of its frames that were found, in order.
    seqs: dict[int, list[int]] = field(default_factory=dict)

    def place_at_or_before(self, session_id: int, seq: int) -> float:
        """The place of a frame; where it was not received from the exchange, of the last one before it."""
        seqs = self.seqs.get(session_id, [])
        index = bisect_right(seqs, seq) - 1
        return self.places[session_id, seqs[index]] if index >= 0 else inf

    def first_place_since(self, session_id: int) -> float:
        """The place of the first frame of a session, or of the ones after it."""
        return min((place for (session, _), place in self.places.items() if session >= session_id), default=inf)

    def last_place_until(self, session_id: int) -> float:
        """The place of the last frame before a session."""
        return max((place for (session, _), place in self.places.items() if session < session_id), default=-inf)

    def last_place(self, session_id: int) -> float:
        """The place of the last frame of a session."""
        return self.place_at_or_before(session_id, 2**63)


@dataclass
class _Connection:
    payloads: list[bytes] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    #: Payload → where it stands among `payloads`.
    where: dict[bytes, list[int]] = field(default_factory=dict)
    taken: bool = False


def align(
    history: Sequence[Sent], sessions: Sequence[Session], kept: Callable[[bytes], bytes] = lambda payload: payload
) -> Alignment:
    """Find the connection of each session, and the place of each of its frames.

    A stream keeps its order: the frames of a session are the first of one connection's, and no other session has them.

    Args:
        history: all that was sent.
        sessions: of the table.
        kept: what is kept of a frame: all of it, but for the secrets in it.
    """
    connections: dict[int, _Connection] = {}
    holders: dict[bytes, set[int]] = {}
    for place, sent in enumerate(history):
        if sent.connection == NOBODY:
            continue
        connection = connections.setdefault(sent.connection, _Connection())
        payload = kept(sent.payload)
        connection.where.setdefault(payload, []).append(len(connection.payloads))
        connection.payloads.append(payload)
        connection.places.append(place)
        holders.setdefault(payload, set()).add(sent.connection)
    found = Alignment()
    # The longest first: it cannot be mistaken, and a short one takes what is left.
    for session in sorted(sessions, key=lambda session: -len(session.received)):
        votes = Counter[int]()
        for payload, times in Counter(frame.payload for frame in session.received).items():
            for number in holders.get(payload, ()):
                votes[number] += min(times, len(connections[number].where[payload]))
        if votes:
            best = max(votes, key=lambda number: (votes[number], not connections[number].taken, -number))
            _align_one(session, connections[best], found)
        else:
            found.findings += [
                f"frame ({session.session_id}, {frame.seq}) was never sent" for frame in session.received
            ]
    return found


def _align_one(session: Session, connection: _Connection, found: Alignment) -> None:
    seqs = found.seqs[session.session_id] = []
    if connection.taken:
        found.duplicated += len(session.received)
        found.findings.append(f"session {session.session_id} holds what another session holds: it stands twice")
        return
    connection.taken = True
    left = {payload: len(places) for payload, places in connection.where.items()}
    at = 0
    for frame in session.received:
        name = f"frame ({session.session_id}, {frame.seq})"
        if frame.payload not in left:
            found.findings.append(f"{name} was never sent there")
            continue
        left[frame.payload] -= 1
        if left[frame.payload] < 0:
            found.duplicated += 1
            found.findings.append(f"{name} stands twice")
            continue
        where = connection.where[frame.payload]
        index = bisect_left(where, at)
        if index == len(where):
            found.findings.append(f"{name} is out of order")
            index = 0
        else:
            at = where[index] + 1
        found.places[session.session_id, frame.seq] = connection.places[where[index]]
        seqs.append(frame.seq)
