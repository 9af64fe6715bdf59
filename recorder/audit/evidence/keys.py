"""Keys that sign checkpoints: Ed25519, in the text forms of signed notes (c2sp.org/signed-note, Go's `sumdb/note`).

    private    PRIVATE+KEY+<name>+<key id>+<Base64 of 1 and the seed>
    public     <name>+<key id>+<Base64 of 1 and the public key>

Each is one line, so that a private key can be given like any other credential. Signing and checking signatures needs
the optional package `cryptography`; seals and their tree need only Python.
"""

import base64
import binascii
import os
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from recorder.errors import ConfigurationError

#: The type of signature (c2sp.org/signed-note, "Signature types").
ED25519 = b"\x01"
_KEY_BYTES = 32
_PRIVATE = "PRIVATE+KEY+"
#: A key is one line; a longer file is something else.
_FILE_BYTES_MAX = 4096


def require_cryptography() -> None:
    """Check that the package is installed.

    Raises:
        ConfigurationError: it is not; the error says what to type.
    """
    if find_spec("cryptography") is None:
        raise ConfigurationError("Signatures need a library; type: pip install 'exchange-recorder[audit]'")


class VerifierKey(NamedTuple):
    """A public key."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that distinguish keys of one name; they prove nothing."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """Its text form, without a newline."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.public).decode()}"

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether a signature over a text was made with this key."""
        require_cryptography()
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  an extra
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """A private key. Only `text` reveals it.

    Args:
        name: of the key, which is part of each signature.
        seed: 32 secret bytes.
    """

    def __init__(self, name: str, seed: bytes) -> None:
        require_cryptography()
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415  an extra

        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        #: The public key.
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw())

    def sign(self, text: bytes) -> bytes:
        """The signature over a text, 64 bytes."""
        return self._key.sign(text)

    @property
    def text(self) -> str:
        """Its text form, without a newline: the secret itself."""
        verifier = self.verifier
        secret = base64.b64encode(ED25519 + self._seed).decode()
        return f"{_PRIVATE}{verifier.name}+{verifier.key_id.hex()}+{secret}"


def new_key(name: str) -> SigningKey:
    """Generate a key.

    Raises:
        ConfigurationError: a key cannot have this name.
    """
    if not is_name(name):
        raise ConfigurationError(
            f"A key cannot be named {name!r}: a name has no spaces and no +, such as alice.example/1."
        )
    return SigningKey(name, os.urandom(_KEY_BYTES))


def is_name(name: str) -> bool:
    """Whether a key may have this name."""
    return name != "" and name.isprintable() and not any(letter.isspace() or letter == "+" for letter in name)


def read_verifier_key(text: str, where: str = "the text") -> VerifierKey:
    """A public key from its text.

    Args:
        text: one line; surrounding space is ignored.
        where: its source, for the error.

    Raises:
        ConfigurationError: it is not a public key.
    """
    text = text.strip()
    if text.startswith(_PRIVATE):
        raise ConfigurationError(f"In {where} is a private key; name the public one, which was made beside it.")
    name, key_id, public = _parts(text)
    key = VerifierKey(name, public)
    if not public or key.key_id != key_id:
        raise ConfigurationError(
            f"In {where} is no public key; one is a line such as alice.example/1+c74f20a3+ARpc2QcUPDhM..., and "
            "`recorder keys make` puts it beside the private one."
        )
    return key


def read_signing_key(text: str, where: str = "the text") -> SigningKey:
    """A private key from its text, which no error repeats.

    Args:
        text: one line; surrounding space is ignored.
        where: its source, for the error.

    Raises:
        ConfigurationError: it is not a private key.
    """
    require_cryptography()
    text = text.strip()
    if text.startswith(_PRIVATE):
        name, key_id, seed = _parts(text.removeprefix(_PRIVATE))
        if seed:
            key = SigningKey(name, seed)
            if key.verifier.key_id == key_id:
                return key
    raise ConfigurationError(f"In {where} is no private key; `recorder keys make FILE` makes one.")


def _parts(text: str) -> tuple[str, bytes, bytes]:
    """Name, key id, and the 32 bytes of a key; without bytes if the text is not a key."""
    nothing = "", b"", b""
    # Only the first two + are separators: Base64 uses the letter, too.
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    data = decode_base64(encoded)
    if not is_name(name) or data is None or len(data) != 1 + _KEY_BYTES or data[:1] != ED25519:
        return nothing
    try:
        id_bytes = bytes.fromhex(key_id)
    except ValueError:
        return nothing
    if id_bytes.hex() != key_id:
        return nothing
    return name, id_bytes, data[1:]


def decode_base64(text: str) -> bytes | None:
    """The bytes of a Base64 text; None if it is not in the canonical form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def public_path(path: Path) -> Path:
    """The file of the public key, beside that of the private key."""
    return path.with_name(f"{path.name}.pub")


def write_key(path: Path, key: SigningKey) -> None:
    """Write a private key to a file that only its owner can read, and the public key beside it.

    Raises:
        ConfigurationError: one of the files exists, or cannot be created.
    """
    _write_new(path, key.text, 0o600)
    try:
        _write_new(public_path(path), key.verifier.text, 0o644)
    except ConfigurationError:
        path.unlink()
        raise


def _write_new(path: Path, line: str, mode: int) -> None:
    try:
        # Never over another key, not even one that is being created at the same time.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise ConfigurationError(f"{path} is there already: a key is never replaced; name another file.") from None
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be made: {error.strerror}; name a file in a folder of yours."
        ) from None
    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.write(f"{line}\n")
        out.flush()
        os.fsync(out.fileno())


def verifier_key_in(path: Path) -> VerifierKey:
    """The public key in a file; raises as `read_verifier_key`."""
    return read_verifier_key(_line_of(path), str(path))


def signing_key_in(path: Path) -> SigningKey:
    """The private key in a file; raises as `read_signing_key`."""
    return read_signing_key(_line_of(path), str(path))


def _line_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_BYTES_MAX).decode()
    except UnicodeDecodeError:
        return ""
    except OSError as error:
        raise ConfigurationError(f"The key {path} cannot be read: {error.strerror}.") from None
