"""Signed notes: another program's, ours, and everything that is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.audit.evidence.checkpoint import NOTE_CHARS_MAX, open_note, sign_note
from recorder.audit.evidence.keys import new_key, read_signing_key, read_verifier_key
from recorder.errors import NotProven
from tests.unit.audit.test_keys import PRIVATE, PUBLIC

PETER, ENOCH = (
    read_verifier_key(PUBLIC),
    read_verifier_key("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"),
)
#: What Go's package documents and tests itself with.
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
BY_PETER = (
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
BY_ENOCH = (
    "\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
NOTE = f"{TEXT}\n{BY_PETER}"
#: By the right key of the same name, over something else.
WRONG = BY_PETER.replace("ZJkuBS9U", "ZJkuBS9V")


def refused(note: str, key: object = PETER) -> str:
    with pytest.raises(NotProven) as raised:
        open_note(note, key)  # type: ignore[arg-type]
    return str(raised.value)


def test_a_note_of_another_program() -> None:
    assert open_note(NOTE, PETER) == TEXT


def test_our_signature_is_that_of_the_other_program_byte_for_byte() -> None:
    assert sign_note(TEXT, read_signing_key(PRIVATE)) == NOTE


def test_a_note_that_several_signed() -> None:
    both = f"{NOTE}{BY_ENOCH}"
    assert open_note(both, PETER) == open_note(both, ENOCH) == TEXT
    assert open_note(f"{TEXT}\n{BY_ENOCH}{BY_PETER}{BY_PETER}", PETER) == TEXT


def test_one_wrong_signature_of_the_key_is_enough() -> None:
    told = "The signature of PeterNeumann is not over this text: one of the two was changed."
    for note in (f"{TEXT}\n{WRONG}", f"{NOTE}{WRONG}", f"{TEXT}\n{WRONG}{BY_PETER}", NOTE.replace("answer", "Answer")):
        assert refused(note) == told
    assert open_note(f"{TEXT}\n{WRONG}{BY_ENOCH}", ENOCH) == TEXT, "what others sign wrongly is theirs"


@pytest.mark.parametrize(
    "signatures",
    [
        BY_ENOCH,
        BY_PETER.replace("PeterNeumann", "PeterNewman"),
        BY_PETER.replace("x08go", "y08go"),  # another id: another key of that name, which is not asked for
    ],
)
def test_a_note_that_others_signed(signatures: str) -> None:
    assert refused(f"{TEXT}\n{signatures}") == f"The key {PUBLIC} has not signed this; name the key that did."


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        f"{TEXT}\n",
        BY_PETER,
        NOTE[:-1],
        f"{TEXT}{BY_PETER}",
        f"{NOTE}\n",
        f"{NOTE}Unexpected line.\n",
        f"\x01{NOTE}",
        f"\ud800{NOTE}",
        NOTE.replace("\n", "\r\n"),
        NOTE.replace("\u2014", "-"),
        NOTE.replace("\u2014 ", "\u2014"),
        NOTE.replace("PeterNeumann ", "PeterNeumann  "),
        NOTE.replace("PeterNeumann", "Peter Neumann"),
        NOTE.replace("PeterNeumann", "Peter+Neumann"),
        NOTE.replace("PeterNeumann", ""),
        NOTE.replace("nAM=", "nAM"),
        NOTE.replace("nAM=", "nAN="),  # the same bytes, but not their Base64
        NOTE.replace("nAM=", "nAM=="),
        f"{TEXT}\n\u2014 PeterNeumann x08gow==\n",  # an id, but no signature
        f"{TEXT}\n\u2014 PeterNeumann \n",
        f"{TEXT}\n{BY_PETER}\u2014 A AAAA\n",
        f"{'a' * NOTE_CHARS_MAX}\n{NOTE}",
    ],
)
def test_what_is_no_note(note: str) -> None:
    assert refused(note).startswith("This is no signed note: ")


def test_a_message_is_never_long() -> None:
    assert len(refused(f"{TEXT}\n{'x' * 5_000}\n")) < 150


def test_a_text_may_have_empty_lines_of_its_own() -> None:
    key = new_key("poet.example")
    for text in ("a\n", "\n", "a\n\n", "\n\na\n", "a\n\n\u2014 b AAAA\n\nc\n"):
        assert open_note(sign_note(text, key), key.verifier) == text


@given(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]) | st.just("\n"), max_size=80), st.data())
def test_any_text_and_no_other(text: str, data: st.DataObject) -> None:
    key = read_signing_key(PRIVATE)
    note = sign_note(f"{text}\n", key)
    assert open_note(note, key.verifier) == f"{text}\n"
    at = data.draw(st.integers(0, len(note) - 1))
    letter = data.draw(st.characters().filter(lambda one: one != note[at]))
    for changed in (
        note[:at] + letter + note[at + 1 :],
        note[:at] + note[at + 1 :],
        note[:at] + letter + note[at:],
        note[:at],
    ):
        if changed != note:
            refused(changed, key.verifier)


def test_a_key_of_the_same_name_is_not_the_key() -> None:
    key, other = new_key("same.example"), new_key("same.example")
    assert refused(sign_note("text\n", key), other.verifier).endswith("has not signed this; name the key that did.")
