"""A record of three days, the report on it, and a browser to look at it with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.read.record import Filter
from recorder.report.facts import Report
from recorder.report.gather import gather
from recorder.report.page import render
from tests.report.browser import Browser, Page, program
from tests.report.days import Days, story


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    """Three days in which most happened that can."""
    told = story(tmp_path_factory.mktemp("days") / "recorder.db", pushes_per_s=0.03)
    yield told
    told.engine.dispose()


@pytest.fixture(scope="session")
def report(days: Days) -> Report:
    """What the report tells of them."""
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


def written(report: Report, folder: Path) -> Path:
    """The page as a file."""
    file = folder / "report.html"
    file.write_text(render(report), encoding="utf-8")
    return file
