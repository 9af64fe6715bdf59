"""Decodes any frame or answer of a venue without ever raising: what cannot be read is kept with the reason. Pure."""

from collections.abc import Sequence

from recorder.model import CONTROL, UNDECODED, Decoded
from recorder.venues.base import Plain, Venue

#: An error text in a row is truncated to this many characters; the frame itself never is.
ERROR_CHARS_MAX = 300


def printable(text: str) -> str:
    """Foreign text made safe for a column and a terminal: a blank replaces each character that is not printable.

    That includes NUL and lone surrogates, which databases refuse, and the control characters of terminals.
    """
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def undecoded(error: str) -> Decoded:
    """The result for a frame that cannot be read.

    The error may quote the frame, so it is made printable: a row that the database refuses would end the run.
    """
    return Decoded(None, UNDECODED, printable(error[:ERROR_CHARS_MAX]), (), None)


def read_frame(venue: Venue, payload: bytes) -> Decoded:
    """Decode any frame. One that cannot be read gives a result with the reason, never an exception.

    Recording, rebuilding and replay all use this. A bug in the decoder is one more reason why a frame cannot be read:
    its bytes are kept, and a better decoder can read them later.
    """
    try:
        return venue.decode(payload)
    except Exception as error:  # noqa: BLE001  nothing may stop the recorder from keeping a frame
        return undecoded(f"{type(error).__name__}: {error}")


def read_plain(venue: Venue, payloads: Sequence[bytes], *, decodable: bool = False) -> Plain | None:
    """Decode many pushes together, with the results of `read_frame`; None if each has to be read on its own.

    Args:
        venue: the venue that sent them.
        payloads: of the pushes.
        decodable: whether `read_frame` has decoded each of them before.
    """
    try:
        return venue.decode_plain(payloads, decodable=decodable)
    except Exception:  # noqa: BLE001  `read_frame` finds out what is wrong with which
        return None


#: Prefix of the topic of an HTTP error: `HTTP 404 /v3/contracts/orders/5`.
HTTP_ERROR = "HTTP "


def error_topic(status: int, target: str, *, masked: bool = False) -> str:
    """The topic of an error answer's frame.

    Args:
        status: of HTTP.
        target: path and query of the request.
        masked: whether a secret in the body was replaced by `***` before it was stored.
    """
    return f"{HTTP_ERROR}{status} {target}{' (secret masked)' if masked else ''}"


def read_answer(venue: Venue, target: str, payload: bytes) -> Decoded:
    """Decode any REST answer, as `read_frame` does. The request's target becomes the frame's topic."""
    if target.startswith(HTTP_ERROR):
        return Decoded(target, CONTROL, None, (), None)
    try:
        return venue.decode_answer(target, payload)
    except Exception as error:  # noqa: BLE001  as above
        return undecoded(f"{type(error).__name__}: {error}")._replace(topic=target)
