"""The sample frames and answers of `tests/data/`."""

from pathlib import Path

from recorder.venues import venue_named

FMEX = venue_named("fmex")

_FOLDER = Path(__file__).parent / "data" / "fmex"


def sample(name: str) -> bytes:
    """A frame or an answer, byte for byte; the README beside it says where it is from."""
    return (_FOLDER / f"{name}.json").read_bytes()
