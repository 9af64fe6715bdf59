"""The pages of the documentation, and the blocks in them."""

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])
README = CHECKOUT / "README.md"


def text_of(page: Path) -> str:
    """The text of a page."""
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    """A page's path in the repository."""
    return page.relative_to(CHECKOUT).as_posix()


def blocks(page: Path, *languages: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page in these languages, each with its language."""
    return re.findall(rf"^```({'|'.join(languages)})\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
