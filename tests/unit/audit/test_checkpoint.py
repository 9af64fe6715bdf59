"""Checkpoints: their form, what is refused, and a file of them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audit.evidence.checkpoint import (
    Checkpoint,
    checkpoint_of,
    checkpoints_in,
    read_checkpoint,
    sign_checkpoint,
    sign_note,
)
from recorder.audit.evidence.keys import new_key, read_signing_key
from recorder.errors import NotProven
from tests.unit.audit.test_keys import PRIVATE

KEY = read_signing_key(PRIVATE)
ROOT = bytes(range(32))
ROOT_TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ONE = checkpoint_of(7000, 42, ROOT)


def refused(text: str) -> str:
    """What is said of a text that the right key has signed."""
    with pytest.raises(NotProven) as raised:
        read_checkpoint(sign_note(text, KEY), KEY.verifier)
    return str(raised.value)


def test_the_form() -> None:
    note = sign_checkpoint(ONE, KEY)
    assert note.startswith(f"recorder/7000\n42\n{ROOT_TEXT}\n\n\u2014 PeterNeumann x08go")
    assert note.endswith("=\n")
    assert note.count("\n") == 5
    assert read_checkpoint(note, KEY.verifier) == ONE
    assert (ONE.origin, ONE.recorder_id) == ("recorder/7000", 7000)


@pytest.mark.parametrize(
    "origin", ["recorder/", "recorder/0", "recorder/01", "recorder/x", "example.com/7", "xrecorder/7"]
)
def test_the_log_of_another_program(origin: str) -> None:
    """It may lie in the same file: whose it is must be told before anything is compared."""
    other = Checkpoint(origin, 1, ROOT)
    assert other.recorder_id is None
    assert read_checkpoint(sign_checkpoint(other, KEY), KEY.verifier) == other


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_there_and_back(recorder_id: int, size: int, root: bytes) -> None:
    made = checkpoint_of(recorder_id, size, root)
    assert read_checkpoint(sign_checkpoint(made, KEY), KEY.verifier) == made
    assert made.recorder_id == recorder_id


def test_lines_that_others_add_are_nobodys_business() -> None:
    text = f"recorder/7000\n42\n{ROOT_TEXT}\nextension\nanother one\n"
    assert read_checkpoint(sign_note(text, KEY), KEY.verifier) == ONE


@pytest.mark.parametrize(
    "text",
    [
        "\n",
        "recorder/7000\n",
        "recorder/7000\n42\n",
        f"\n42\n{ROOT_TEXT}\n",
        f"recorder/7000\n\n{ROOT_TEXT}\n",
        f"recorder/7000\n-1\n{ROOT_TEXT}\n",
        f"recorder/7000\n+1\n{ROOT_TEXT}\n",
        f"recorder/7000\n042\n{ROOT_TEXT}\n",
        f"recorder/7000\n00\n{ROOT_TEXT}\n",
        f"recorder/7000\n4_2\n{ROOT_TEXT}\n",
        f"recorder/7000\n 42\n{ROOT_TEXT}\n",
        f"recorder/7000\n4.2\n{ROOT_TEXT}\n",
        f"recorder/7000\n\u0664\u0662\n{ROOT_TEXT}\n",
        f"recorder/7000\n{10**19}\n{ROOT_TEXT}\n",
        f"recorder/7000\n42\n{ROOT_TEXT[:-1]}\n",
        f"recorder/7000\n42\n{ROOT_TEXT} \n",
        f"recorder/7000\n42\n{ROOT_TEXT.replace('8=', '9=')}\n",
        f"recorder/7000\n42\n{base64.b64encode(ROOT[:-1]).decode()}\n",
        f"recorder/7000\n42\n{base64.b64encode(ROOT + b'x').decode()}\n",
        f"recorder/7000\n42\n{ROOT.hex()}\n",
        f"recorder/7000\n42\n\n{ROOT_TEXT}\n",
        f"recorder/7000\n42\n{ROOT_TEXT}\n\n",
        f"recorder/7000\n42\n{ROOT_TEXT}\n\nextension\n",
    ],
)
def test_what_is_signed_but_no_checkpoint(text: str) -> None:
    assert refused(text) == (
        "This is signed, but no checkpoint: the name of a log, a size, and a root of 32 bytes in Base64."
    )


def test_a_checkpoint_that_somebody_else_signed() -> None:
    note = sign_checkpoint(ONE, KEY)
    with pytest.raises(NotProven, match="has not signed this; name the key that did"):
        read_checkpoint(note, new_key("PeterNeumann").verifier)
    for changed in (note.replace("42", "43"), note.replace("7000", "7001"), note.replace("AAEC", "AAED")):
        with pytest.raises(NotProven, match="is not over this text: one of the two was changed"):
            read_checkpoint(changed, KEY.verifier)


NOTES = [sign_checkpoint(checkpoint_of(7000, size, ROOT), KEY) for size in (1, 5, 9)]


@pytest.mark.parametrize("between", ["", "\n", "\n\n", " \n"])
def test_a_file_of_checkpoints(between: str) -> None:
    assert checkpoints_in(between.join(NOTES)) == NOTES
    assert checkpoints_in(between + between.join(NOTES) + between) == NOTES
    assert checkpoints_in(NOTES[0]) == NOTES[:1]
    assert checkpoints_in(NOTES[0].removesuffix("\n")) == NOTES[:1], "an editor may leave the last newline out"
    assert checkpoints_in(f"{NOTES[0]}\u2014 witness.example AAAAAAAA\n{NOTES[1]}") == [
        f"{NOTES[0]}\u2014 witness.example AAAAAAAA\n",
        NOTES[1],
    ]


@pytest.mark.parametrize("empty", ["", "\n", " \n\n"])
def test_a_file_without_a_checkpoint(empty: str) -> None:
    with pytest.raises(NotProven, match="There is no checkpoint in it"):
        checkpoints_in(empty)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("hello\n", 1),
        (f"{NOTES[0]}\nhello\n", 7),
        (f"Dear Bob,\n\n{NOTES[0]}", 1),
        (f"{NOTES[0]}\nrecorder/7000\n5\n\n{NOTES[1]}", 7),  # one that broke off
        (f"{NOTES[0]}\n{NOTES[1]}\nrecorder/7000\n9\n{ROOT_TEXT}\n\n", 13),  # its signature is missing
        (NOTES[0].replace("\u2014", "-"), 1),
        (f"\n\n{NOTES[0].replace('42', 'x').replace('1', 'x', 1)}", 3),
    ],
)
def test_nothing_in_a_file_is_passed_over(text: str, line: int) -> None:
    with pytest.raises(NotProven) as raised:
        checkpoints_in(text)
    assert str(raised.value).startswith(f"Line {line} belongs to no checkpoint; ")


def test_a_long_text_takes_no_long_time() -> None:
    with pytest.raises(NotProven):
        checkpoints_in("1\n" * 200_000)
