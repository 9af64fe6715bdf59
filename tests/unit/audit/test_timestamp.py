"""Time-stamps: the right one, and everything else that an authority or somebody in between may say."""

import base64
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from recorder.audit.evidence import timestamp
from recorder.audit.evidence.timestamp import StampRequest, read_token, request_for, roots_in, token_from
from recorder.errors import ConfigurationError, NotProven
from tests.authority import Stamper, refusal

NOTE = "recorder/7\n42\nroot\n\n\u2014 a AAAA\n"
STAMPER = Stamper()
ROOTS = (STAMPER.root,)
WHEN = datetime(2021, 2, 3, 4, 5, 6, tzinfo=UTC)
NOT_TRUSTED = (
    "The time-stamp does not prove it: its signature is not right, or not one of a certificate that is trusted here "
    "and was valid then."
)
REQUEST = request_for(NOTE)
ANSWER = STAMPER.answer(REQUEST.body, at=WHEN)


def refused(answer: bytes, request: StampRequest, note: str = NOTE) -> str:
    with pytest.raises(NotProven) as raised:
        token_from(answer, request, note, ROOTS)
    return str(raised.value)


def refused_token(token: str, note: str = NOTE, stamper: Stamper = STAMPER) -> str:
    with pytest.raises(NotProven) as raised:
        read_token(token, note, (stamper.root,))
    return str(raised.value)


@pytest.fixture(scope="module")
def token() -> str:
    return token_from(ANSWER, REQUEST, NOTE, ROOTS)


def test_an_authoritys_word(token: str) -> None:
    assert read_token(token, NOTE, ROOTS) == WHEN
    # To the second: what an authority tells beyond is not read.
    request = request_for(NOTE)
    later = token_from(STAMPER.answer(request.body, at=WHEN + timedelta(milliseconds=900)), request, NOTE, ROOTS)
    assert read_token(later, NOTE, ROOTS) == WHEN
    assert read_token(token, NOTE, (Stamper().root, STAMPER.root, STAMPER.root)) == WHEN, (
        "one of several roots is enough"
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no OpenSSL program here")
def test_openssl_agrees(token: str, tmp_path: Path) -> None:
    """So that whoever checks a token needs nothing of ours; and that the authority of these tests is one."""
    (tmp_path / "token.der").write_bytes(base64.b64decode(token))
    (tmp_path / "note").write_text(NOTE)
    STAMPER.write_root(tmp_path / "root.pem")
    verify = ["openssl", "ts", "-verify", "-in", "token.der", "-token_in", "-data", "note", "-CAfile", "root.pem"]
    said = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout.strip()) == (0, "Verification: OK"), said.stderr


def test_each_request_is_its_own() -> None:
    assert request_for(NOTE).body != request_for(NOTE).body


def test_an_answer_to_another_question() -> None:
    """An old answer put in the place of a new one would prove an older time, or another note."""
    request, other = request_for(NOTE), request_for("another note\n")
    assert (
        refused(STAMPER.answer(request_for(NOTE).body), request) == "The time-stamp does not prove it: Nonce mismatch."
    )
    assert refused(STAMPER.answer(request.body, nonce=None), request) == (
        "The time-stamp does not prove it: Nonce mismatch."
    )
    told = "The time-stamp does not prove it: Mismatch between messages."
    assert refused(STAMPER.answer(other.body), other) == told
    assert refused(STAMPER.answer(request.body, digest=bytes(32)), request) == told
    assert refused(STAMPER.answer(request.body), request, NOTE.upper()) == told


def test_an_authority_that_is_not_trusted(token: str) -> None:
    request = request_for(NOTE)
    assert refused(Stamper().answer(request.body), request) == NOT_TRUSTED
    assert refused_token(token, stamper=Stamper()) == NOT_TRUSTED
    with pytest.raises(NotProven, match="does not prove it"):
        read_token(token, NOTE, ())


def test_a_certificate_for_something_else() -> None:
    web = Stamper(ExtendedKeyUsageOID.SERVER_AUTH)
    request = request_for(NOTE)
    with pytest.raises(NotProven, match="does not prove it"):
        token_from(web.answer(request.body), request, NOTE, (web.root,))


@pytest.mark.parametrize("at", [datetime(2019, 12, 31, tzinfo=UTC), datetime(2050, 1, 2, tzinfo=UTC)])
def test_a_certificate_that_did_not_count_at_that_time(at: datetime) -> None:
    request = request_for(NOTE)
    assert refused(STAMPER.answer(request.body, at=at), request) == NOT_TRUSTED


def test_a_token_outlives_its_certificate() -> None:
    """What counts is whether the certificate was valid when it stamped: a record is read for longer than that."""
    request = request_for(NOTE)
    token = token_from(STAMPER.answer(request.body, at=datetime(2020, 1, 2, tzinfo=UTC)), request, NOTE, ROOTS)
    assert read_token(token, NOTE, ROOTS).year == 2020


def test_a_refusal() -> None:
    assert refused(refusal("too many requests"), request_for(NOTE)) == (
        "The authority refused: status 2, too many requests."
    )


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense", b"<html>502</html>", b"0", b"\x30\x80", b"\x30\x00", bytes(2_000)]
)
def test_nonsense(answer: bytes) -> None:
    assert refused(answer, request_for(NOTE)) == "That is no answer of a time-stamp authority."
    assert refused_token(base64.b64encode(answer).decode()) == "That is no time-stamp token."


@pytest.mark.parametrize("text", ["", "x", "AAA", "no base64", "\u00e4", "\ud800"])
def test_no_token_at_all(text: str) -> None:
    assert refused_token(text) == "That is no time-stamp token."


def test_no_bit_of_what_was_stamped_can_be_altered(token: str) -> None:
    """Each bit of the token in turn. Some change nothing that is signed: then the time is still the same."""
    data = base64.b64decode(token)
    kept = 0
    for bit in range(len(data) * 8):
        turned = (int.from_bytes(data, "big") ^ (1 << bit)).to_bytes(len(data), "big")
        try:
            told = read_token(base64.b64encode(turned).decode(), NOTE, ROOTS)
        except NotProven:
            continue
        assert told == WHEN
        kept += 1
    assert kept < len(data) * 8 / 50


@given(st.data())
def test_an_answer_that_breaks_off_or_is_mangled(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(ANSWER)))
    end = data.draw(st.integers(start, len(ANSWER)))
    mangled = ANSWER[:start] + data.draw(st.binary(max_size=8)) + ANSWER[end:]
    try:
        token = token_from(mangled, REQUEST, NOTE, ROOTS)
    except NotProven:
        return
    assert read_token(token, NOTE, ROOTS) == WHEN


def test_the_certificates_of_an_authority(tmp_path: Path) -> None:
    path = STAMPER.write_root(tmp_path / "root.pem")
    assert roots_in(path) == ROOTS
    path.write_bytes(path.read_bytes() + Stamper().write_root(tmp_path / "other.pem").read_bytes())
    assert len(roots_in(path)) == 2
    for wrong in (b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        path.write_bytes(wrong)
        with pytest.raises(
            ConfigurationError, match=f"In {path} are no certificates; it is the authority's root in PEM"
        ):
            roots_in(path)
    with pytest.raises(ConfigurationError, match=r"The certificates .* cannot be read: No such file or directory\."):
        roots_in(tmp_path / "none.pem")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(timestamp, "find_spec", lambda name: None)
    for use in (lambda: roots_in(tmp_path), lambda: read_token("", "", ())):
        with pytest.raises(ConfigurationError) as raised:
            use()
        assert str(raised.value) == "Time-stamps need a library; type: pip install 'exchange-recorder[audit]'"
