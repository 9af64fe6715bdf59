"""The sample frames and answers of `tests/data/`."""

from pathlib import Path

from recorder.live.settings import Account
from recorder.venues import venue_named
from recorder.venues.base import Credentials, Login, Stream

FMEX = venue_named("fmex")

_FOLDER = Path(__file__).parent / "data" / "fmex"


def sample(name: str) -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (_FOLDER / f"{name}.json").read_bytes()


def portal(url: str) -> str:
    """The address of FMex's push portal on the host of a REST interface."""
    return _stream(url, Credentials())[1].url


def signed_portal(url: str, credentials: Credentials, at_ms: int) -> str:
    """The same with key and signature."""
    login, stream = _stream(url, credentials)
    return FMEX.connection_url(stream, login, None, at_ms)


def _stream(url: str, credentials: Credentials) -> tuple[Login, Stream]:
    account = Account(name="main", venue=FMEX, url=url, credentials=credentials, symbols=())
    return account.login, account.streams[0]
