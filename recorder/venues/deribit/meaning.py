"""What single answers of Deribit mean: errors, the exchange's clock, what a key may do. Pure.

Source: docs.deribit.com, "Errors", "public/auth", "public/get_time".
"""

from urllib.parse import urlencode

import msgspec

from recorder.errors import Refused, Undecodable
from recorder.venues.deribit import answers, sign
from recorder.venues.deribit.portal import PASSING
from recorder.venues.rest import Credentials, Login, RestRequest, Unrecorded, Verdict, verdict_of

#: What a key needs to record an account → what is missing without it.
_NEEDED = {"account": "balances and the transaction log", "trade": "orders, fills and positions"}


def server_time(url: str) -> RestRequest:
    """The exchange's clock; unsigned."""
    return RestRequest("GET", f"{url}{answers.TIME}", {})


class _Error(msgspec.Struct):
    code: int = 0


class _Told(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw()
    error: _Error | None = None


class _Login(msgspec.Struct):
    scope: str = ""


_read = msgspec.json.Decoder(_Told).decode


def server_time_ms(answer: bytes) -> int:
    """The exchange's clock, milliseconds since 1970. Raises one of `errors.UNREADABLE` if the answer has none."""
    told = _read(answer).result
    if not bytes(told).isdigit():
        raise Undecodable(f"the answer to {answers.TIME} has no time")
    return int(bytes(told))


#: What the error codes of an answer mean; any other one is transient.
_CODES = {
    **dict.fromkeys(PASSING, Verdict.WAIT),
    10000: Verdict.REFUSED,  # not logged in
    13004: Verdict.REFUSED,  # key, secret, signature, time, or a nonce that was used before
    13009: Verdict.REFUSED,
    answers.NO_SUCH_ORDER: Verdict.GONE,
    13020: Verdict.GONE,  # there is no such instrument
    13021: Verdict.GONE,  # the key may not ask this
    11042: Verdict.GONE,
    11050: Verdict.GONE,  # a parameter is wrong
    **dict.fromkeys((-32602, -32601, -32600, -32700), Verdict.GONE),
}


def classify(status: int, body: bytes) -> Verdict:
    """Classify an HTTP answer. Errors have a code in the body, with the status 400 and others."""
    return verdict_of(status, body, _said, {})


def _said(_status: int, body: bytes) -> Verdict | None:
    told = _read(body)
    if told.error is not None:
        return _CODES.get(told.error.code)
    if not bytes(told.result):
        raise Undecodable("it has neither a result nor an error")
    return Verdict.ANSWER


def check(_login: Login) -> Unrecorded[tuple[str, ...]]:
    """What the key may do: the scope of a login that asks for none."""

    def log_in(url: str, credentials: Credentials, now_ms: int) -> RestRequest:
        asked = sign.login(credentials["key"], credentials["secret"], now_ms, sign.nonce())
        return RestRequest("GET", f"{url}{answers.AUTH}", {}, signed=f"?{urlencode(asked)}")

    body = yield log_in
    try:
        scope = msgspec.json.decode(_read(body).result, type=_Login).scope
    except (msgspec.DecodeError, UnicodeDecodeError):
        scope = ""
    if not scope:
        return ("the exchange does not say what the key may do",)
    rights = dict(item.split(":", 1) for item in scope.split() if ":" in item)
    lacking = [area for area in _NEEDED if rights.get(area, "none") == "none"]
    if len(lacking) == len(_NEEDED):
        raise Refused(
            f"The key may read nothing of the account (its scope is {scope!r}); make one with {sign.SCOPE!r}."
        )
    warnings = [f"the key lacks {area}:read, so {_NEEDED[area]} cannot be recorded" for area in lacking]
    more = sorted(area for area, right in rights.items() if right == "read_write")
    if more:
        words = " and ".join(more)
        warnings.append(f"the key can write ({words}); recording needs a read-only key: make one and use it instead")
    return tuple(warnings)
