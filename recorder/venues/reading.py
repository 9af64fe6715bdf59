"""Decodes any frame or answer of a venue without ever raising: what cannot be read is kept with the reason. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recorder.model import CONTROL, DECODED, UNDECODED, Decoded
from recorder.venues.comparable import listings_of
from recorder.venues.rest import Verdict

if TYPE_CHECKING:  # whoever only prints foreign text needs no venue
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
    return Decoded(None, UNDECODED, printable(error[:ERROR_CHARS_MAX]))


def read_frame(venue: "Venue", payload: bytes) -> Decoded:
    """Decode any frame. One that cannot be read gives a result with the reason, never an exception.

    Recording, rebuilding and replay all use this. A bug in the decoder is one more reason why a frame cannot be read:
    its bytes are kept, and a better decoder can read them later.
    """
    try:
        return venue.decode(payload)
    except Exception as error:  # noqa: BLE001  nothing may stop the recorder from keeping a frame
        return undecoded(f"{type(error).__name__}: {error}")


def read_plain(venue: "Venue", payloads: Sequence[bytes], *, decodable: bool = False) -> "Plain | None":
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


#: End of the topic of a frame in which a secret was replaced by `***` before it was stored.
_MASKED = "(secret masked)"


def masked_topic(topic: str | None) -> str:
    """The topic of a frame in which a secret was masked."""
    return f"{topic or ''} {_MASKED}".lstrip()


def is_masked(topic: str | None) -> bool:
    """Whether a secret was masked in the frame with this topic."""
    return topic is not None and topic.endswith(_MASKED)


def unmasked_topic(topic: str) -> str:
    """The topic without the mark of a masked secret."""
    return topic.removesuffix(_MASKED).rstrip() if is_masked(topic) else topic


#: Prefix of the topic of an HTTP error: `HTTP 404 /v3/contracts/orders/5`.
HTTP_ERROR = "HTTP "


def error_topic(status: int, target: str) -> str:
    """The topic of an error answer's frame.

    Args:
        status: of HTTP.
        target: what the request asked for; see `recorder.venues.rest.target_of`.
    """
    return f"{HTTP_ERROR}{status} {target}"


def read_answer(venue: "Venue", topic: str, payload: bytes) -> Decoded:
    """Decode any REST answer, as `read_frame` does.

    Args:
        venue: the venue that gave it.
        topic: the request's target, or the topic of an error or of an answer with a masked secret. It becomes the
            frame's topic.
        payload: the answer as it is stored.
    """
    if topic.startswith(HTTP_ERROR):
        return _read_error(venue, topic, payload)
    try:
        decoded = venue.decode_answer(unmasked_topic(topic), payload)
    except Exception as error:  # noqa: BLE001  as above
        decoded = undecoded(f"{type(error).__name__}: {error}")
    if decoded.status == DECODED and decoded.next_page is None:
        decoded = decoded._replace(listings=listings_of(venue.lists, unmasked_topic(topic)))
    return decoded._replace(topic=topic) if decoded.topic != topic else decoded


def _read_error(venue: "Venue", topic: str, payload: bytes) -> Decoded:
    status, _, target = unmasked_topic(topic).removeprefix(HTTP_ERROR).partition(" ")
    try:
        is_gone = venue.classify(int(status), payload) is Verdict.GONE  # a page of a proxy says nothing about an order
        ended = venue.ended_order(int(status), target, payload) if is_gone else None
    except Exception:  # noqa: BLE001  as above
        ended = None
    return Decoded(topic, CONTROL) if ended is None else Decoded(topic, DECODED, updates=(ended,))
