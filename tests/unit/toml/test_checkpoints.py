"""What a configuration says of checkpoints."""

from pathlib import Path

import pytest

from recorder.audit.evidence.keys import new_key
from recorder.config import database_of, load
from recorder.live.settings import Checkpoints
from tests.authority import Stamper
from tests.unit.toml.example import EXAMPLE, refused

SIGNED = (
    EXAMPLE
    + """
[checkpoints]
key = "file:audit.key"
to = "file:elsewhere/recorder.checkpoints"
"""
)
AUDIT = new_key("audit")


@pytest.fixture
def audit_key(file: Path) -> Path:
    path = file.parent / "audit.key"
    path.write_text(f"{AUDIT.text}\n")
    return path


@pytest.mark.usefixtures("audit_key")
def test_checkpoints(file: Path) -> None:
    file.write_text(EXAMPLE)
    assert load(file).checkpoints is None
    file.write_text(SIGNED)
    told = load(file).checkpoints
    assert told is not None
    assert told.key.verifier == AUDIT.verifier
    out = file.parent / "elsewhere" / "recorder.checkpoints"
    assert told == Checkpoints(key=told.key, every_s=3600.0, file=out)
    assert AUDIT.text not in repr(told)
    assert AUDIT.text.split("+", 4)[4] not in repr(told)


@pytest.mark.usefixtures("audit_key")
def test_everything_about_checkpoints(file: Path) -> None:
    stamper = Stamper()
    stamper.write_root(file.parent / "tsa.pem")
    file.write_text(
        SIGNED + 'every_s = 60\ncommand = ["sh", "-c", "cat"]\nauthority = "http://tsa.example:80/tsr"\n'
        'authority_ca = "file:tsa.pem"\n'
    )
    told = load(file).checkpoints
    assert told is not None
    assert (told.every_s, told.command) == (60.0, ("sh", "-c", "cat"))
    assert told.authority == ("http://tsa.example:80/tsr", (stamper.root,))


def test_looking_needs_no_key(file: Path) -> None:
    file.write_text(SIGNED)
    assert database_of(file).url.endswith("recorder.db")


@pytest.mark.usefixtures("audit_key")
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("file:audit.key", "file:none.key", "key: the file none.key cannot be read: No such file or directory."),
        ("file:audit.key", "written-out", 'key: must say where the secret is, "env:NAME" or "file:/path"; a secret'),
        ("file:audit.key", "file:recorder.toml", "key: In file:recorder.toml is no private key; `recorder keys make"),
        ('key = "file:audit.key"', "", "key: is missing."),
        ("to = ", "too = ", "too: there is no such key; the keys are key, every_s, to, command,"),
        ("to = ", "# to = ", "checkpoints must leave this machine to prove anything: give a file (to), a command or"),
        ("file:elsewhere", "elsewhere", 'to: must be a file, such as "file:/mnt/elsewhere/recorder.checkpoints".'),
        ("file:elsewhere", "env:elsewhere", "to: must be a file, such as"),
        ("file:elsewhere/recorder.checkpoints", "file:", "to: must be a file, such as"),
        ("to = ", "every_s = 0\nto = ", "every_s: must be a number of seconds above zero."),
        ("to = ", "every_s = -1.0\nto = ", "every_s: must be a number of seconds above zero."),
        ("to = ", "every_s = nan\nto = ", "every_s: must be a number of seconds above zero."),
        ("to = ", "every_s = inf\nto = ", "every_s: must be a number of seconds above zero."),
        ("to = ", 'every_s = "1h"\nto = ', "every_s: must be a number."),
        ("to = ", 'command = "cat"\nto = ', "command: must be a list."),
        ("to = ", 'command = ["no-such"]\nto = ', "command: there is no program 'no-such'."),
        ("to = ", 'command = [""]\nto = ', "command: there is no program ''."),
        (
            "to = ",
            'authority = "http://tsa.example"\nto = ',
            "authority_ca: must name the file of the authority's root",
        ),
        ("to = ", 'authority_ca = "file:tsa.pem"\nto = ', "authority: must be the address of a time-stamp authority"),
    ],
)
def test_checkpoints_that_are_not_right(file: Path, old: str, new: str, words: str) -> None:
    assert SIGNED.count(old) == 1
    said = refused(file, SIGNED.replace(old, new))
    place, _, problem = said.partition(": [checkpoints]")
    assert place in {f"HERE/recorder.toml, line {line}" for line in (11, 12, 13)}
    assert problem.strip(": ").startswith(words)


@pytest.mark.usefixtures("audit_key")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "tsa.example/tsr",
        "ftp://tsa.example",
        "https://",
        "https://me:written-out@tsa.example",
        "https://[::1",
        "http://x:0",
    ],
)
def test_the_address_of_an_authority(file: Path, url: str) -> None:
    Stamper().write_root(file.parent / "tsa.pem")
    said = refused(file, SIGNED + f'authority = "{url}"\nauthority_ca = "file:tsa.pem"\n')
    assert said == (
        "HERE/recorder.toml, line 14: [checkpoints] authority: must be the address of a time-stamp authority, such as "
        "https://tsa.example/tsr."
    )


def test_a_key_that_is_none_and_certificates_that_are_none(file: Path, audit_key: Path) -> None:
    authority = 'authority = "http://tsa.example"\nauthority_ca = "file:tsa.pem"\n'
    said = refused(file, SIGNED + authority)
    place = "HERE/recorder.toml, line 15: [checkpoints] authority_ca"
    assert said == f"{place}: The certificates HERE/tsa.pem cannot be read: No such file or directory."
    (file.parent / "tsa.pem").write_text("nothing")
    assert refused(file, SIGNED + authority).startswith(
        f"{place}: In HERE/tsa.pem are no certificates; it is the authority's root"
    )
    audit_key.write_text(AUDIT.verifier.text)
    assert refused(file, SIGNED) == (
        "HERE/recorder.toml, line 12: [checkpoints] key: In file:audit.key is no private key; `recorder keys make "
        "FILE` makes one."
    )
