"""What single answers mean: errors, the clock, what a key may do."""

from urllib.parse import parse_qs

import pytest

from recorder.errors import UNREADABLE, Refused
from recorder.venues.deribit import answers, meaning
from recorder.venues.deribit.portal import PASSING
from recorder.venues.rest import Credentials, Login, RestRequest, Verdict
from tests.steps import URL, outcome
from tests.unit.deribit.frames import answer, error

WHO = Credentials(key="Ab3dE6gH", secret="AMANDASECRECT")


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, answer([]), Verdict.ANSWER),
        (400, error(10028), Verdict.WAIT),
        (429, error(10028), Verdict.WAIT),
        (429, b"<html>", Verdict.WAIT),
        *((400, error(code), Verdict.WAIT) for code in sorted(PASSING)),
        (400, error(13004), Verdict.REFUSED),
        (400, error(13009), Verdict.REFUSED),
        (401, error(10000), Verdict.REFUSED),
        (401, b"", Verdict.REFUSED),
        (400, error(10004), Verdict.GONE),
        (400, error(13021), Verdict.GONE),
        (400, error(-32602), Verdict.GONE),
        (404, b"", Verdict.FOREIGN),
        (400, error(99999), Verdict.TRANSIENT),
        # An error counts whatever the status.
        (200, error(13004), Verdict.REFUSED),
        (200, b"<html>", Verdict.FOREIGN),
        (503, b"busy", Verdict.WAIT),
        (503, answer([]), Verdict.TRANSIENT),
    ],
)
def test_verdicts(status: int, body: bytes, verdict: Verdict) -> None:
    assert meaning.classify(status, body) is verdict


@pytest.mark.parametrize(
    ("scope", "warning"),
    [
        ("account:read block_trade:none connection mainaccount trade:read wallet:read", None),
        ("account:read trade:read_write wallet:read_write", "can write (trade and wallet)"),
        ("account:none trade:read wallet:read", "lacks account:read"),
        ("account:read", "lacks trade:read"),
        ("", "does not say"),
    ],
)
def test_what_the_key_may_do_is_what_its_login_says(scope: str, warning: str | None) -> None:
    requests: list[RestRequest] = []

    def log_in(request: RestRequest) -> bytes:
        requests.append(request)
        return answer({"access_token": "a", "refresh_token": "b", "scope": scope})

    warnings = outcome(meaning.check(Login(URL, URL, WHO, ())), WHO, log_in)
    assert [(warning or "") in one for one in warnings] == ([True] if warning else [])
    (request,) = requests
    path, _, query = request.address.removeprefix(URL).partition("?")
    given = {name: one[0] for name, one in parse_qs(query, keep_blank_values=True).items()}
    assert path == answers.AUTH
    # A scope would be granted, and the answer would not say what the key may do besides.
    assert given.keys() == {"grant_type", "client_id", "timestamp", "nonce", "data", "signature"}
    assert "AMANDASECRECT" not in request.address
    # Whoever has the signature can log in for a minute: it is sent, and neither shown nor recorded.
    assert request.url == URL + answers.AUTH


def test_a_key_that_may_read_nothing_is_refused() -> None:
    login = Login(URL, URL, WHO, ())
    with pytest.raises(Refused, match="may read nothing"):
        outcome(meaning.check(login), WHO, lambda _request: answer({"scope": "wallet:read trade:none"}))


def test_the_clock() -> None:
    assert meaning.server_time("https://x").url == "https://x/api/v2/public/get_time"
    assert meaning.server_time_ms(answer(1597026383085)) == 1597026383085
    for nonsense in (b"", b"{}", answer("soon"), answer(-1), answer([])):
        with pytest.raises(UNREADABLE):
            meaning.server_time_ms(nonsense)
