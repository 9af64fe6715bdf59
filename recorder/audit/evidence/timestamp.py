"""Time-stamps (RFC 3161): an authority's statement that a note existed at an instant, whoever made the note.

The token of an answer is kept, as Base64. `rfc3161-client` checks it against the certificates that the user trusts: the
authority's own root, not those of a browser.
"""

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recorder.audit.evidence.keys import decode_base64
from recorder.errors import ConfigurationError, NotProven

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampRequest, TimeStampResponse

QUERY_TYPE = "application/timestamp-query"
#: `SEQUENCE { INTEGER 0 }`: a request that was granted. With it, a token becomes the answer that it came in.
_GRANTED = bytes.fromhex("3003020100")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StampRequest(NamedTuple):
    """A request to an authority."""

    #: The body of the POST request.
    body: bytes
    made: "TimeStampRequest"


def require_library() -> None:
    """Check that the packages are installed.

    Raises:
        ConfigurationError: they are not; the error says what to type.
    """
    if find_spec("rfc3161_client") is None or find_spec("cryptography") is None:
        raise ConfigurationError("Time-stamps need a library; type: pip install 'exchange-recorder[audit]'")


def roots_in(path: Path) -> "tuple[Certificate, ...]":
    """The trusted certificates in a PEM file.

    Raises:
        ConfigurationError: there are none.
    """
    require_library()
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415  an extra

    try:
        return tuple(load_pem_x509_certificates(path.read_bytes()))
    except OSError as error:
        raise ConfigurationError(f"The certificates {path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise ConfigurationError(
            f"In {path} are no certificates; it is the authority's root in PEM form, as it offers it for download."
        ) from None


def request_for(note: str) -> StampRequest:
    """The request for a time-stamp over a note's bytes, with a nonce that the answer must repeat."""
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder  # noqa: PLC0415  an extra

    builder = TimestampRequestBuilder().data(note.encode()).hash_algorithm(HashAlgorithm.SHA256)
    made = builder.cert_request(cert_request=True).build()
    return StampRequest(made.as_bytes(), made)


def token_from(answer: bytes, request: StampRequest, note: str, roots: "Sequence[Certificate]") -> str:
    """The token in an authority's answer, in the form in which it is kept.

    Raises:
        NotProven: it does not prove what was requested.
    """
    from rfc3161_client import decode_timestamp_response  # noqa: PLC0415  an extra

    try:
        response = decode_timestamp_response(answer)
    except ValueError:
        raise NotProven("That is no answer of a time-stamp authority.") from None
    if response.status != 0:
        words = " ".join(response.status_string) or "no reason given"
        raise NotProven(f"The authority refused: status {response.status}, {words[:200]}.")
    _verify(response, note, roots, request.made.nonce)
    return base64.b64encode(response.time_stamp_token()).decode()


def read_token(token: str, note: str, roots: "Sequence[Certificate]") -> datetime:
    """When a note existed, by an authority's token.

    Args:
        token: as it was kept.
        note: as it was stamped.
        roots: trusted certificates.

    Returns:
        The time in the token, UTC.

    Raises:
        NotProven: it is not a token, is over another note, or is not from a trusted authority.
    """
    require_library()
    from rfc3161_client import decode_timestamp_response  # noqa: PLC0415  an extra

    no_token = NotProven("That is no time-stamp token.")
    data = decode_base64(token)
    if not data:
        raise no_token
    try:
        response = decode_timestamp_response(_answer_with(data))
    except ValueError:
        raise no_token from None
    _verify(response, note, roots, None)
    return response.tst_info.gen_time


def _verify(response: "TimeStampResponse", note: str, roots: "Sequence[Certificate]", nonce: int | None) -> None:
    from rfc3161_client import VerificationError, VerifierBuilder  # noqa: PLC0415  an extra

    try:
        VerifierBuilder(roots=list(roots), nonce=nonce).build().verify_message(response, note.encode())
    except (VerificationError, ValueError) as error:
        cause, _, details = str(error).partition(":")
        # OpenSSL's own long text follows, which says no more than this.
        if details:
            cause = "its signature is not right, or not one of a certificate that is trusted here and was valid then"
        raise NotProven(f"The time-stamp does not prove it: {cause}.") from None


def _answer_with(token: bytes) -> bytes:
    """The answer that contained a token (DER: a sequence of the status and the token)."""
    inside = _GRANTED + token
    length = len(inside)
    if length < 0x80:
        return bytes([0x30, length]) + inside
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x30, 0x80 | len(size)]) + size + inside
