"""Keys: their text forms, as other programs of signed notes read them, and the files they lie in."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audit.evidence import keys
from recorder.audit.evidence.keys import (
    SigningKey,
    VerifierKey,
    decode_base64,
    new_key,
    public_path,
    read_signing_key,
    read_verifier_key,
    signing_key_in,
    verifier_key_in,
    write_key,
)
from recorder.errors import ConfigurationError

#: The keys that Go's package `golang.org/x/mod/sumdb/note` is tested and documented with.
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"


def test_a_key_of_another_program() -> None:
    key = read_signing_key(PRIVATE)
    assert key.text == PRIVATE
    assert key.verifier.text == PUBLIC
    assert read_verifier_key(f" {PUBLIC}\n") == key.verifier
    assert key.verifier.key_id.hex() == "c74f20a3"


def test_a_key_of_ours() -> None:
    key, other = new_key("alice.example/1"), new_key("alice.example/1")
    assert key.text != other.text
    assert key.verifier.key_id != other.verifier.key_id
    assert read_signing_key(key.text).verifier == read_verifier_key(key.verifier.text) == key.verifier
    signature = key.sign(b"text")
    assert key.verifier.verifies(b"text", signature)
    assert not key.verifier.verifies(b"texT", signature)
    assert not key.verifier.verifies(b"text", signature[:-1])
    assert not key.verifier.verifies(b"text", b"")
    assert not other.verifier.verifies(b"text", signature)


def test_a_private_key_does_not_show() -> None:
    key = read_signing_key(PRIVATE)
    secret = PRIVATE.rpartition("+")[2]
    for text in (repr(key), str(key), f"{key}", repr([key]), repr(key.verifier)):
        assert secret not in text
        assert "AYEK" not in text


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\nb", " ", "a\u00a0b", "a\u200bb", "a\x00", "\ud800"])
def test_the_name_of_a_key(name: str) -> None:
    with pytest.raises(ConfigurationError, match="A key cannot be named"):
        new_key(name)


def test_a_public_key_that_is_none() -> None:
    """As Go's own test mangles it: each part of it, and each letter replaced by the next."""
    wrong = {PUBLIC[start:end] for start in range(len(PUBLIC)) for end in range(start + 1, len(PUBLIC) + 1)} - {PUBLIC}
    wrong |= {PUBLIC[:at] + chr(ord(PUBLIC[at]) + 1) + PUBLIC[at + 1 :] for at in range(len(PUBLIC))}
    wrong |= {
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",  # too long, its id is right
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # another kind of key, its id is right
        PUBLIC.replace("c74f20a3", "C74F20A3"),
        PUBLIC.replace("c74f20a3", "c74f 20a3"),
        PUBLIC.replace("c74f20a3", "0xc74f20a3"),
        f"{PUBLIC}\n{PUBLIC}",
        f"{PUBLIC}=",
        "",
        "\ud800",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB alice@example",
    }
    for text in wrong:
        with pytest.raises(ConfigurationError, match="In the text is no public key"):
            read_verifier_key(text)


def test_a_private_key_that_is_none() -> None:
    wrong = {PRIVATE[start:end] for start in range(len(PRIVATE)) for end in range(start + 1, len(PRIVATE) + 1)} - {
        PRIVATE
    }
    at_each = range(len(PRIVATE))
    # Only the seed itself may be any other: its id tells.
    wrong |= {PRIVATE[:at] + chr(ord(PRIVATE[at]) + 1) + PRIVATE[at + 1 :] for at in at_each}
    wrong |= {"", PUBLIC, "-----BEGIN PRIVATE KEY-----"}
    for text in wrong:
        with pytest.raises(ConfigurationError) as raised:
            read_signing_key(text, "HERE")
        assert str(raised.value) == "In HERE is no private key; `recorder keys make FILE` makes one."


def test_a_private_key_where_a_public_one_belongs() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_verifier_key(PRIVATE, "HERE")
    assert str(raised.value) == "In HERE is a private key; name the public one, which was made beside it."


@given(st.binary(max_size=50), st.text(max_size=8))
def test_base64_has_one_form(data: bytes, other: str) -> None:
    import base64

    text = base64.b64encode(data).decode()
    assert decode_base64(text) == data
    for wrong in (f"{text}\n", f" {text}", f"{text}=", text.replace("=", "", 1) if "=" in text else "A", other):
        assert decode_base64(wrong) is None or base64.b64encode(decode_base64(wrong) or b"").decode() == wrong
    assert decode_base64("AB==") is None  # its last bits are not nothing
    assert decode_base64("AA==") == b"\0"


def test_key_files(tmp_path: Path) -> None:
    path, key = tmp_path / "audit.key", new_key("audit")
    write_key(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == f"{key.text}\n"
    assert public_path(path) == tmp_path / "audit.key.pub"
    assert public_path(path).read_text() == f"{key.verifier.text}\n"
    assert signing_key_in(path).verifier == verifier_key_in(public_path(path)) == key.verifier


@pytest.mark.parametrize("there", ["audit.key", "audit.key.pub"])
def test_a_key_is_never_replaced(tmp_path: Path, there: str) -> None:
    path = tmp_path / "audit.key"
    (tmp_path / there).write_text("something")
    with pytest.raises(ConfigurationError) as raised:
        write_key(path, new_key("audit"))
    assert str(raised.value) == f"{tmp_path / there} is there already: a key is never replaced; name another file."
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(there, "something")]


def test_key_files_that_cannot_be(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "audit.key"
    with pytest.raises(ConfigurationError, match=r"audit.key cannot be made: No such file or directory; name a file"):
        write_key(missing, new_key("audit"))
    for read in (signing_key_in, verifier_key_in):
        with pytest.raises(ConfigurationError, match=r"The key .* cannot be read: No such file or directory\."):
            read(missing)
        with pytest.raises(ConfigurationError, match=r"The key .* cannot be read: Is a directory\."):
            read(tmp_path)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match=f"In {binary} is no public key"):
        verifier_key_in(binary)
    with pytest.raises(ConfigurationError, match=f"In {binary} is no private key"):
        signing_key_in(binary)
    with pytest.raises(ConfigurationError, match="In /dev/zero is no public key"):
        verifier_key_in(Path("/dev/zero"))  # it has no end: no more than a line is read


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "find_spec", lambda name: None)
    made = VerifierKey("a", bytes(32))
    for use in (lambda: read_signing_key(PRIVATE), lambda: new_key("a"), lambda: made.verifies(b"", b"")):
        with pytest.raises(ConfigurationError) as raised:
            use()
        assert str(raised.value) == "Signatures need a library; type: pip install 'exchange-recorder[audit]'"
    assert read_verifier_key(PUBLIC).text == PUBLIC, "reading a public key needs none"


def test_an_import_needs_no_library() -> None:
    """It takes a tenth of a second, which `recorder status` need not spend."""
    import subprocess
    import sys

    names = "[name for name in sys.modules if 'cryptography' in name]"
    code = f"import sys, recorder.audit.evidence.checkpoint; print({names})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_seed_makes_one_key() -> None:
    assert SigningKey("a", bytes(32)).verifier == SigningKey("a", bytes(32)).verifier
    # RFC 8032, section 7.1, test 1.
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    key = SigningKey("a", seed)
    assert (key.verifier.public.hex(), key.sign(b"").hex()) == (public, signature)
