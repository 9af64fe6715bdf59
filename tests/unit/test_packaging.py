"""The distribution's name, and the install hints that the program prints."""

import re
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SOURCES = [*(CHECKOUT / "recorder").rglob("*.py"), *(CHECKOUT / "examples").rglob("*.py")]


def test_the_distribution_is_not_named_like_somebody_elses() -> None:
    assert PROJECT["name"] == "exchange-recorder"
    assert PROJECT["scripts"] == {"recorder": "recorder.cli:main"}
    references = [need for needs in PROJECT["optional-dependencies"].values() for need in needs]
    assert not [need for need in references if need.startswith("recorder")]


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if "pip install" in path.read_text(encoding="utf-8")], ids=lambda path: path.stem
)
def test_an_install_hint_names_an_extra_that_exists(path: Path) -> None:
    hints = re.findall(r"pip install '([^']*)'", path.read_text(encoding="utf-8"))
    for hint in hints:
        name, extra = re.fullmatch(r"([a-z-]+)\[(.+)\]", hint).groups()  # type: ignore[union-attr]
        assert name == PROJECT["name"]
        assert extra in PROJECT["optional-dependencies"] or extra == "{extra}"
