"""A record of three days, the report on it, and a browser to look at it with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.read.record import Filter
from recorder.report.gather import Report, gather
from recorder.report.page import render
from recorder.store.mover import Mover
from tests.report.browser import Browser, Page, program
from tests.report.days import Days, Spell, story


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """Three days in which most things happen that can."""
    result = story(tmp_path_factory.mktemp("days") / "recorder.db", moments_per_s=0.006)
    yield result
    result.engine.dispose()


@pytest.fixture(scope="session")
def report(days: Days) -> Report:
    """The report on them."""
    return gather(days.url, Filter())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser that all tests share."""
    if program() is None:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def page(browser: Browser, report: Report, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, open."""
    with browser.open(written(report, tmp_path_factory.mktemp("page"))) as opened:
        yield opened


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What it tells of two accounts, one of them recorded by two recorders of which each was away once."""
    folder = tmp_path_factory.mktemp("several")
    one = Days(folder / "one.db", moments_per_s=0.005)
    one.write([Spell(9, 14, "lost", "the connection was reset"), Spell(16, 30, "stopped")])
    same = Days(folder / "same.db", moments_per_s=0.005, host="recorder-2")
    same.write([Spell(10, 15, "silent", "nothing came for 40 s"), Spell(15.5, 31, "stopped")])
    other = Days(folder / "other.db", moments_per_s=0.005, account="hedge", seed=2, symbols=("btcusd_p", "ethusd_p"))
    other.write([Spell(12, 20, "crashed"), Spell(21, 28, "lost", "timed out", "unrecoverable", "no answer")])
    for source in (same, other):
        mover = Mover(source.engine, one.engine)
        while mover.step() is not None:
            pass
        mover.close()
    result = gather(one.url, Filter())
    for days in (one, same, other):
        days.engine.dispose()
    return result


def written(report: Report, folder: Path) -> Path:
    """The page as a file."""
    file = folder / "report.html"
    file.write_text(render(report), encoding="utf-8")
    return file
