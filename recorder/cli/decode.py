"""`recorder decode`."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec

from recorder.errors import ConfigurationError
from recorder.model import Acknowledged, Asked, Decoded, Hello, LoggedIn, Notice, RefusedCommand
from recorder.venues import venue_named
from recorder.venues.base import Venue
from recorder.venues.reading import read_answer, read_frame

_CONTROLS: dict[type, str] = {
    Hello: "hello",
    LoggedIn: "login",
    Acknowledged: "acknowledged",
    RefusedCommand: "refused",
    Asked: "asked",
    Notice: "notice",
}

_encode = msgspec.json.Encoder().encode


@click.command(
    help="Print what a venue's frames say, as JSON lines, without a record. Reads one frame a line, and skips blank "
    "lines. Each line of the output has the number of the frame's line and one of these:\n\n"
    "\b\n"
    '"table" with the columns of a row that are not null, decimals as strings;\n'
    '"control" with what the exchange says about the connection;\n'
    '"undecoded" with the reason why the frame cannot be read;\n'
    '"updates" with 0, for a frame that was read and makes no row.\n\n'
    "With --target, the file is the answer to one REST request. The exit code is 1 if a frame cannot be read.\n\n"
    "\b\nExample:  recorder decode --venue NAME frames.jsonl\n"
    "          recorder decode --venue NAME --target 'GET /v5/order/history' answer.json"
)
@click.argument("path", metavar="FILE|-", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--venue", "name", required=True, metavar="NAME", help="The venue that sent the frames.")
@click.option("--target", metavar="REQUEST", help="The REST request that was answered: method, path, and any body.")
def decode(path: Path, name: str, target: str | None) -> int:
    """Print what frames say."""
    venue, undecoded = venue_named(name), False
    with _opened(path) as file:
        for number, decoded in _decoded(venue, file, target):
            undecoded |= decoded.error is not None
            # Each frame at once: the next one may come much later, through a pipe.
            sys.stdout.buffer.write(b"".join(_encode({"line": number} | one) + b"\n" for one in _shown(decoded)))
            sys.stdout.buffer.flush()
    return int(undecoded)


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    if path == Path("-"):
        return nullcontext(sys.stdin.buffer)
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}; give a file with one frame a line, or - for standard input."
        ) from None


def _decoded(venue: Venue, file: BinaryIO, target: str | None) -> Iterator[tuple[int, Decoded]]:
    if target is not None:
        # A GET is known by its path and query alone, as in the topic of an answer's frame.
        yield 1, read_answer(venue, target.removeprefix("GET "), file.read())
        return
    for number, line in enumerate(file, 1):
        if line.strip():
            yield number, read_frame(venue, line.rstrip(b"\r\n"))


def _shown(decoded: Decoded) -> Iterable[dict[str, Any]]:
    from recorder.store.schema import TYPED  # noqa: PLC0415  help texts need no database

    if decoded.error is not None:
        return [{"undecoded": decoded.error}]
    told = ({"table": str(TYPED[type(update)].name)} | _without_nulls(update) for update in decoded.updates)
    control = decoded.control
    if control is not None:
        said = {"control": _CONTROLS[type(control)]} | _without_nulls(control)
        return chain([_masked(said, decoded.secrets)], told)
    return told if decoded.updates else [{"updates": 0}]


def _without_nulls(record: Any) -> dict[str, Any]:
    return {name: value for name, value in record._asdict().items() if value is not None}


def _masked(said: dict[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    for secret in secrets:
        said = {name: value.replace(secret, "***") if isinstance(value, str) else value for name, value in said.items()}
    return said
