"""Checkpoints: size and root of a recorder's tree of seals, signed, in the form that transparency logs use
(c2sp.org/tlog-checkpoint).

    recorder/<recorder id>
    <how many seals, from the recorder's first>
    <Base64 of the root over them>

    — <name of the key> <signature>

The first line names the log: a recorder's seals are one chain and one tree, whoever signs them and in whichever
database they lie. So it is not the key's name: a key is a person's, who may have several recorders.
"""

import base64
import re
from typing import NamedTuple

from recorder.audit.evidence.keys import SigningKey, VerifierKey, decode_base64
from recorder.audit.evidence.note import open_note, sign_note
from recorder.errors import NotProven
from recorder.store.merkle import HASH_BYTES

_ORIGIN = re.compile(r"recorder/([1-9][0-9]{0,18})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
#: A checkpoint as it stands in a file, before anything of it is believed.
_SIGNED = re.compile(r"^[^\n]+\n[0-9]+\n[^\n]+\n(?:[^\n]+\n){0,16}\n(?:\u2014 [^\n]*\n)+", re.MULTILINE)


class Checkpoint(NamedTuple):
    """What is signed."""

    #: Whose tree.
    origin: str
    #: How many seals.
    size: int
    #: Over them, 32 bytes.
    root: bytes

    @property
    def recorder_id(self) -> int | None:
        """Of the recorder; None where the log is another program's."""
        found = _ORIGIN.fullmatch(self.origin)
        return int(found[1]) if found else None


def checkpoint_of(recorder_id: int, size: int, root: bytes) -> Checkpoint:
    """The checkpoint of a recorder's tree."""
    return Checkpoint(f"recorder/{recorder_id}", size, root)


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The signed note."""
    root = base64.b64encode(checkpoint.root).decode()
    return sign_note(f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n", key)


def read_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """What a key has signed.

    Args:
        note: as it was signed, with its last newline.
        key: whose signature counts.

    Raises:
        NotProven: it is no checkpoint, or this key has not signed it.
    """
    lines = open_note(note, key).split("\n")[:-1]
    # Lines after the third are nobody's business; none is empty.
    origin, size, root, *_ = [*lines, "", "", ""]
    digest = decode_base64(root)
    if "" in lines or not origin or not _SIZE.fullmatch(size) or digest is None or len(digest) != HASH_BYTES:
        raise NotProven(
            "This is signed, but no checkpoint: the name of a log, a size, and a root of 32 bytes in Base64."
        )
    return Checkpoint(origin, int(size), digest)


def read_unsigned(note: str) -> Checkpoint | None:
    """What a note says, whoever has signed it; None where it is no checkpoint."""
    origin, size, root, *_ = [*note.split("\n"), "", "", ""]
    digest = decode_base64(root)
    if not _SIZE.fullmatch(size) or digest is None or len(digest) != HASH_BYTES:
        return None
    return Checkpoint(origin, int(size), digest)


def checkpoints_in(text: str) -> list[str]:
    """The signed notes in a text, one after the other, as a file holds them that checkpoints are appended to.

    Raises:
        NotProven: there is none, or something else stands among them: nothing is passed over in silence.
    """
    text = text if text.endswith("\n") else f"{text}\n"
    notes: list[str] = []
    at = 0
    for found in _SIGNED.finditer(text):
        _require_nothing(text, at, found.start())
        notes.append(found[0])
        at = found.end()
    _require_nothing(text, at, len(text))
    if not notes:
        raise NotProven("There is no checkpoint in it.")
    return notes


def _require_nothing(text: str, start: int, end: int) -> None:
    between = text[start:end]
    if between.strip():
        first = start + len(between) - len(between.lstrip())
        line = text.count("\n", 0, first) + 1
        raise NotProven(
            f"Line {line} belongs to no checkpoint; one is five lines: a name, a size, a root, none, a signature."
        )
