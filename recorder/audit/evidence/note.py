"""Signed notes: a text and who signed it, in one text (c2sp.org/signed-note).

    the lines of the text
    <an empty line>
    — <name of the key> <Base64 of the key's id and the signature>

The signature is over the text with the newline at its end. Several keys may have signed; those that are not asked for
are passed over, so that a witness may add its own.
"""

import base64

from recorder.audit.evidence.keys import SigningKey, VerifierKey, decode_base64, is_name
from recorder.errors import NotProven

#: A text that is longer is no note: sixteen signatures of the largest kind fit in.
NOTE_CHARS_MAX = 100_000
#: A line that begins so is a signature.
SIGNED_BY = "\u2014 "
_KEY_ID_BYTES = 4


def sign_note(text: str, key: SigningKey) -> str:
    """A note of a text, signed.

    Args:
        text: its last line ends too.
        key: who signs.
    """
    assert text.endswith("\n") and _is_plain(text)
    signature = base64.b64encode(key.verifier.key_id + key.sign(text.encode())).decode()
    return f"{text}\n{SIGNED_BY}{key.verifier.name} {signature}\n"


def open_note(note: str, key: VerifierKey) -> str:
    """The text of a note that a key has signed.

    Raises:
        NotProven: it is no note, or the key has not signed this text.
    """
    # The signatures are what follows the last empty line: a text may have empty lines of its own.
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
    """Who signed, and with what: the key's id, then the signature."""
    name, _, encoded = line.removeprefix(SIGNED_BY).partition(" ")
    signature = decode_base64(encoded)
    if not line.startswith(SIGNED_BY) or not is_name(name) or signature is None or len(signature) <= _KEY_ID_BYTES:
        raise NotProven(f"This is no signed note: {line[:60]!r} is no signature.")
    return name, signature


def _is_plain(text: str) -> bool:
    """Whether a text has no control characters but newlines, and can be written as UTF-8."""
    return not any((letter < " " and letter != "\n") or "\ud800" <= letter <= "\udfff" for letter in text)
