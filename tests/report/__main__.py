"""`python -m tests.report FOLDER`: three days of a record, the report on them, and how its first page looks."""

import os
import sys
from pathlib import Path

from recorder.read.record import Filter
from recorder.report.gather import gather
from recorder.report.page import render
from tests.report.browser import Browser
from tests.report.days import story

#: Of the picture: to the end of the section on coverage.
HEIGHT = 1215


def main() -> None:
    """Make recorder.db, report.html, report.pdf and report.png there."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # the report says where the record is, as it was named
    story(Path("recorder.db")).engine.dispose()
    Path("report.html").write_text(render(gather("sqlite:///recorder.db", Filter())), encoding="utf-8")
    with Browser() as browser, browser.open(Path("report.html")) as page:
        Path("report.pdf").write_bytes(page.printed())
        Path("report.png").write_bytes(page.screenshot(HEIGHT))


if __name__ == "__main__":
    main()
