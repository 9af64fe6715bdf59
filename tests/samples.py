"""The sample frames and answers of `tests/data/`."""

from pathlib import Path
from typing import cast

from recorder.live.settings import Account
from recorder.venues import venue_named
from recorder.venues.base import Stream, Venue
from recorder.venues.hyperliquid import Hyperliquid
from recorder.venues.rest import Credentials, Login

FMEX = venue_named("fmex")
#: Only what it decodes.
HYPERLIQUID = cast(Venue, Hyperliquid())

_FOLDER = Path(__file__).parent / "data"


def sample(name: str, venue: str = "fmex") -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (_FOLDER / venue / f"{name}.json").read_bytes()


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


def sample_names(folder: str) -> list[str]:
    """The names of the samples in a folder of `tests/data/`."""
    return sorted(path.stem for path in (_FOLDER / folder).glob("*.json"))


def sample_lines(path: str) -> list[bytes]:
    """The frames of a file of `tests/data/` that holds one a line."""
    return (_FOLDER / path).read_bytes().splitlines()
