"""The few plain requests a run makes: a thin shell over urllib3."""

import urllib3

from recorder.errors import Unreachable
from recorder.live.transport import refused_by_status
from recorder.venues.base import Credentials, RestRequest

#: An answer of more bytes is none of the exchange's.
ANSWER_BYTES_MAX = 8 * 2**20

OK = 200


def fetch(request: RestRequest, credentials: Credentials, timeout_s: float) -> bytes:
    """Send one request.

    Args:
        request: ready to be sent.
        credentials: what must not appear in a message, should the exchange echo it.
        timeout_s: for connecting, and for each read.

    Returns:
        The body of the answer.

    Raises:
        Unreachable, Refused, Unavailable, NotServed: with one sentence that says what to do.
    """
    shown = request.url.partition("?")[0]
    try:
        with urllib3.PoolManager(retries=False, timeout=timeout_s) as pool:
            answer = pool.request(
                request.method, request.url, headers=dict(request.headers), redirect=False, preload_content=False
            )
            body: bytes = answer.read(ANSWER_BYTES_MAX)
            answer.release_conn()
    except urllib3.exceptions.HTTPError as error:
        raise Unreachable(f"{shown} cannot be reached: {words(error)}; check the address and the network.") from None
    if answer.status != OK:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        raise refused_by_status(shown, answer.status, body, headers, tuple(credentials))
    return body


#: What a failure means, the most particular first.
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (urllib3.exceptions.NameResolutionError, "the host's name is not known"),
    (urllib3.exceptions.NewConnectionError, "nothing answers there"),
    (urllib3.exceptions.TimeoutError, "no answer in time"),
    (urllib3.exceptions.SSLError, "its certificate is not to be trusted"),
    (urllib3.exceptions.ProtocolError, "its answer breaks off, or is none"),
)


def words(error: urllib3.exceptions.HTTPError) -> str:
    """Why nothing came back."""
    if "WRONG_VERSION_NUMBER" in str(error):
        return "it does not speak TLS there (its address begins with http, perhaps)"
    return next((told for kind, told in _WORDS if isinstance(error, kind)), type(error).__name__)
