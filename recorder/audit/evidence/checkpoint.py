"""Checkpoints: the size and root of a recorder's tree of seals, as signed notes (c2sp.org/tlog-checkpoint).

    recorder/<recorder id>
    <number of seals, from the recorder's first>
    <Base64 of the root over them>

    — <name of the key> <signature>

The first line names the log: a recorder's seals are one chain and one tree, whoever signs them and in whichever
database they are. It is not the key's name, because a person has one key and may have several recorders.

A signed note (c2sp.org/signed-note) is a text, an empty line, and a line for each signature: the key's name, and Base64
of the key's id and the signature. The signature covers the text with its last newline. Signatures of other keys are
ignored, so that a witness may add its own.
"""

import base64
import re
from typing import NamedTuple

from recorder.audit.evidence.keys import SigningKey, VerifierKey, decode_base64, is_name
from recorder.errors import NotProven
from recorder.store.merkle import HASH_BYTES

#: A longer text is no note: sixteen signatures of the largest kind fit in.
NOTE_CHARS_MAX = 100_000
#: A line that begins with this is a signature.
SIGNED_BY = "\u2014 "
_KEY_ID_BYTES = 4

_ORIGIN = re.compile(r"recorder/([1-9][0-9]{0,18})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
#: A checkpoint in a file, before any of it is verified.
_SIGNED = re.compile(r"^[^\n]+\n[0-9]+\n[^\n]+\n(?:[^\n]+\n){0,16}\n(?:\u2014 [^\n]*\n)+", re.MULTILINE)


class Checkpoint(NamedTuple):
    """What is signed."""

    #: Which tree.
    origin: str
    #: How many seals it has.
    size: int
    #: The root over them, 32 bytes.
    root: bytes

    @property
    def recorder_id(self) -> int | None:
        """The recorder; None if the log is another program's."""
        found = _ORIGIN.fullmatch(self.origin)
        return int(found[1]) if found else None


def checkpoint_of(recorder_id: int, size: int, root: bytes) -> Checkpoint:
    """The checkpoint of a recorder's tree."""
    return Checkpoint(f"recorder/{recorder_id}", size, root)


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """A checkpoint as a signed note."""
    root = base64.b64encode(checkpoint.root).decode()
    return sign_note(f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n", key)


def read_checkpoint(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a note that a key has signed.

    Args:
        note: as it was signed, with its last newline.
        key: whose signature counts.

    Raises:
        NotProven: it is no checkpoint, or this key has not signed it.
    """
    text = open_note(note, key)
    checkpoint = _checkpoint_in(text)
    if checkpoint is None or not checkpoint.origin or "\n\n" in f"\n{text}":
        raise NotProven(
            "This is signed, but no checkpoint: the name of a log, a size, and a root of 32 bytes in Base64."
        )
    return checkpoint


def read_unsigned(note: str) -> Checkpoint | None:
    """What a note says, whoever has signed it; None if it is no checkpoint."""
    return _checkpoint_in(note)


def _checkpoint_in(text: str) -> Checkpoint | None:
    # Lines after the third are allowed, and ignored.
    origin, size, root, *_ = [*text.split("\n"), "", "", ""]
    digest = decode_base64(root)
    if not _SIZE.fullmatch(size) or digest is None or len(digest) != HASH_BYTES:
        return None
    return Checkpoint(origin, int(size), digest)


def checkpoints_in(text: str) -> list[str]:
    """The signed notes in a file that checkpoints were appended to.

    Raises:
        NotProven: there is none, or there is something else among them: nothing is skipped silently.
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


def sign_note(text: str, key: SigningKey) -> str:
    """Sign a text.

    Args:
        text: must end with a newline.
        key: signs.
    """
    assert text.endswith("\n") and _is_plain(text)
    signature = base64.b64encode(key.verifier.key_id + key.sign(text.encode())).decode()
    return f"{text}\n{SIGNED_BY}{key.verifier.name} {signature}\n"


def open_note(note: str, key: VerifierKey) -> str:
    """The text of a note that a key has signed.

    Raises:
        NotProven: it is no note, or the key has not signed this text.
    """
    # The signatures follow the last empty line: a text may have empty lines of its own.
    text, empty, signatures = note.rpartition("\n\n")
    text += "\n"
    if len(note) > NOTE_CHARS_MAX or not empty or not _is_plain(note) or not signatures.endswith("\n"):
        raise NotProven("This is no signed note: its text, an empty line, and lines that begin with a long dash.")
    counted = 0
    for line in signatures.removesuffix("\n").split("\n"):
        name, signature = _signature(line)
        if (name, signature[:_KEY_ID_BYTES]) != (key.name, key.key_id):
            continue
        if not key.verifies(text.encode(), signature[_KEY_ID_BYTES:]):
            raise NotProven(f"The signature of {key.name} is not over this text: one of the two was changed.")
        counted += 1
    if not counted:
        raise NotProven(f"The key {key.text} has not signed this; name the key that did.")
    return text


def _signature(line: str) -> tuple[str, bytes]:
    """The name of a signature's key; the key's id and the signature."""
    name, _, encoded = line.removeprefix(SIGNED_BY).partition(" ")
    signature = decode_base64(encoded)
    if not line.startswith(SIGNED_BY) or not is_name(name) or signature is None or len(signature) <= _KEY_ID_BYTES:
        raise NotProven(f"This is no signed note: {line[:60]!r} is no signature.")
    return name, signature


def _is_plain(text: str) -> bool:
    """Whether a text has no control characters but newlines, and can be written as UTF-8."""
    return not any((letter < " " and letter != "\n") or "\ud800" <= letter <= "\udfff" for letter in text)
