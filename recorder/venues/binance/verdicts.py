"""What Binance's HTTP answers mean, its clock, and what a key may do. Pure.

Source: developers.binance.com, "Error Code", "General Info", "Get API Key Permission".
"""

from collections.abc import Mapping

import msgspec

from recorder.errors import Undecodable
from recorder.venues.binance import answers
from recorder.venues.binance.questions import get
from recorder.venues.binance.words import USD_M, product_of
from recorder.venues.rest import (
    STATUSES,
    Credentials,
    Login,
    MakeRequest,
    RestRequest,
    Unrecorded,
    Verdict,
    read_json,
    verdict_of,
)

#: Hosts of the futures products → host that tells what a key may do.
_RIGHTS_HOSTS = dict.fromkeys(("https://fapi.binance.com", "https://dapi.binance.com"), "https://api.binance.com")
_MINUTE_MS = 60_000


class _Error(msgspec.Struct):
    code: int


class _Time(msgspec.Struct, rename="camel"):
    server_time: int


_read_error = msgspec.json.Decoder(_Error).decode
_read_time = msgspec.json.Decoder(_Time).decode


def server_time(url: str) -> RestRequest:
    """The exchange's clock; unsigned. Both products have it, and a host only its own."""
    path = answers.path_of(answers.TIME, product_at(url))
    return RestRequest("GET", url + path, {})


def product_at(url: str) -> str:
    """The product that a host serves; one that is not the exchange's own serves both."""
    return product_of("coin-m" if "://dapi." in url or "://demo-dapi." in url else USD_M)


def server_time_ms(answer: bytes) -> int:
    """The exchange's clock, milliseconds since 1970. Raises one of `errors.UNREADABLE` if the answer has none."""
    return _read_time(answer).server_time


#: What statuses mean of errors whose code says no more. 400: the request is the same if it is asked again.
_STATUSES = {**STATUSES, 400: Verdict.GONE}
#: What error codes mean.
_CODES = {
    -1003: Verdict.WAIT,  # too many requests
    -1015: Verdict.WAIT,
    **dict.fromkeys((-1000, -1001, -1006, -1007, -1008, -1016), Verdict.TRANSIENT),
    -1021: Verdict.REFUSED,  # the time is not within the window
    -1022: Verdict.REFUSED,  # the signature
    -1002: Verdict.REFUSED,
    -2014: Verdict.REFUSED,  # the key
    -2015: Verdict.REFUSED,  # key, address or permission
    **dict.fromkeys((-1100, -1101, -1102, -1121, -1125, -1128, -1130, -2013, -4165), Verdict.GONE),
}


def classify(status: int, body: bytes) -> Verdict:
    """Classify an HTTP answer. Errors have a code in the body, with a status of 400 or above."""
    return verdict_of(status, body, _said, _STATUSES)


def _said(status: int, body: bytes) -> Verdict | None:
    if status == 200:
        return read_json(status, body)
    code = _read_error(body).code
    if code > 0:
        raise Undecodable("the exchange's own codes are negative, or 0")
    return _CODES.get(code)


def wait_s(status: int, headers: Mapping[str, str], _body: bytes, now_ms: int) -> float:
    """Until the minute that the weights are counted in has passed, where `Retry-After` does not say it."""
    if status != 429 or "retry-after" in headers:
        return 0.0
    return (_MINUTE_MS - now_ms % _MINUTE_MS) / 1000


#: Rights that a key for recording does not need → in words.
_RIGHTS = {
    "enableWithdrawals": "withdraw",
    "enableInternalTransfer": "transfer",
    "permitsUniversalTransfer": "transfer between accounts",
    "enableFutures": "trade futures",
    "enableSpotAndMarginTrading": "trade spot and margin",
    "enableMargin": "borrow",
    "enableVanillaOptions": "trade options",
    "enableFixApiTrade": "trade over FIX",
    "enablePortfolioMarginTrading": "trade with portfolio margin",
}


def check(login: Login) -> Unrecorded[tuple[str, ...]]:
    """What the key may do. Only production says it."""
    if login.environment.endswith(("demo", "testnet")):
        return ()
    try:
        told = msgspec.json.decode((yield _rights()), type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = {}
    if "enableReading" not in told:
        return ("the exchange does not say what the key may do",)
    more = [name for right, name in _RIGHTS.items() if told.get(right) is True]
    warnings = []
    if more:
        warnings.append(f"the key can {', '.join(more)}; recording needs a read-only key: make one and use it instead")
    return tuple(warnings)


def _rights() -> MakeRequest:
    ask = get(USD_M, answers.RIGHTS)

    def make(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
        return ask(_RIGHTS_HOSTS.get(url, url), credentials, now_ms)

    return make
