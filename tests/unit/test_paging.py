"""Page after page, window after window: what the questions of several venues share."""

import pytest

from recorder.model import Heartbeat
from recorder.venues.paging import pages, windows
from recorder.venues.rest import Answer, MakeRequest, Question, RestRequest, Unanswered


def never_sent(*_: object) -> RestRequest:
    raise AssertionError("nobody sends it")


def followed(*next_pages: str | None) -> tuple[list[str], list[str], bool]:
    """Ask for a list whose answers name these next pages.

    Returns:
        Where each page asked for begins, what is said to be unanswered, and whether the end was reached.
    """
    begins: list[str] = []
    unanswered: list[str] = []
    answers = iter(next_pages)

    def page(begin: str) -> MakeRequest:
        begins.append(begin)
        return never_sent

    asking = pages("orders", page)
    answer: Answer | None = None
    while True:
        try:
            step = asking.send(answer)
        except StopIteration as end:
            return begins, unanswered, end.value
        if isinstance(step, Unanswered):
            unanswered.append(step.reason)
            answer = None
        else:
            assert isinstance(step, Question)
            answer = Answer(0, "", (), next(answers))


def test_pages_are_followed_to_the_last() -> None:
    assert followed("b", "c", None) == (["", "b", "c"], [], True)


def test_a_page_that_came_before_ends_the_list() -> None:
    for repeating in (("b", "b"), ("b", "c", "b"), ("",)):
        begins, (why,), is_whole = followed(*repeating)
        assert (len(begins), is_whole) == (len(repeating), False)
        assert "do not say where the next one begins" in why


def test_a_list_without_an_end_is_followed_only_as_far_as_is_wanted() -> None:
    begins: list[str] = []

    def page(begin: str) -> MakeRequest:
        begins.append(begin)
        return never_sent

    asking = pages("orders", page, is_enough=lambda updates: not updates)
    next(asking)
    asking.send(Answer(0, "", (Heartbeat(),), "b"))
    with pytest.raises(StopIteration) as end:
        asking.send(Answer(0, "", (), "c"))
    assert (begins, end.value.value) == (["", "b"], True)


def test_windows_touch_and_do_not_overlap() -> None:
    assert list(windows(5, 25, 10)) == [(5, 14), (15, 24), (25, 25)]
    assert list(windows(5, 25, 10, aligned=True)) == [(0, 9), (10, 19), (20, 29)]
    assert list(windows(5, 5, 10)) == [(5, 5)]
    assert list(windows(6, 5, 10)) == []
