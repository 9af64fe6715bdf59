"""The pages of the documentation: complete, current, and every link, command and snippet in them works."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from sqlalchemy import Table

import recorder.config
from recorder.audit.evidence.keys import new_key
from recorder.cli.commands import recorder as program
from recorder.config import load
from recorder.live.settings import Limits
from recorder.read.record import Record
from recorder.store.schema import TYPED, TYPED_KEY
from recorder.venues import VENUES, venue_named
from recorder.venues.rest import Credentials, Login
from tests.authority import Stamper
from tests.docs import commands
from tests.docs.pages import CHECKOUT, PAGES, README, blocks, named, text_of

CONFIGURATION = (CHECKOUT / "docs" / "configuration.md").read_text(encoding="utf-8")

README_WORDS_MAX = 900


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """The links of a page that lead nowhere inside the repository."""
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(link)
    return broken


def test_readme_is_short() -> None:
    assert len(text_of(README).split()) < README_WORDS_MAX


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_resolves(page: Path) -> None:
    assert not broken_links(page)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n[there](#one) [gone](other.md) [no such heading](page.md#two) [web](https://example.org/x)")
    assert broken_links(page) == ["other.md", "page.md#two"]


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=named)
def test_every_source_file_that_is_named_exists(page: Path) -> None:
    paths = re.findall(
        r"`((?:recorder|tests|migrations|docs|examples|[a-z]+)/[\w./-]+\.(?:py|toml|md))`", text_of(page)
    )
    assert [path for path in paths if not ((CHECKOUT / path).exists() or (CHECKOUT / "recorder" / path).exists())] == []


def test_the_index_names_every_page() -> None:
    docs = CHECKOUT / "docs"
    index = text_of(docs / "README.md")
    pages = [page.relative_to(docs).as_posix() for page in PAGES if page.is_relative_to(docs)]
    assert [name for name in pages if name != "README.md" and f"({name})" not in index] == []


#: The sections of a venue's page, in this order.
VENUE_SECTIONS = [
    "Credentials",
    "Configure",
    "Run",
    "What is recorded",
    "What the exchange forgets",
    "What is not recorded",
    "Known quirks",
    "Views",
]


@pytest.mark.parametrize("name", VENUES)
def test_each_venue_has_a_page_in_the_same_order(name: str) -> None:
    page = text_of(CHECKOUT / "docs" / "venues" / f"{name}.md")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == VENUE_SECTIONS
    venue = venue_named(name)
    assert [one for one in venue.environments if f"`{one}`" not in page] == []
    credentials = dict.fromkeys(("key", "secret", "address"), "x")
    account = Login("https://host.example", "wss://host.example", Credentials(credentials), ("btcusd_p",))
    streams = [one for name in venue.environments for one in venue.streams(account._replace(environment=name))]
    topics = {topic.partition(".")[0] for stream in streams for topic in stream.topics}
    assert [topic for topic in topics if not re.search(rf"^\| .*`{topic}[`.]", page, re.MULTILINE)] == []


def cells_by_venue(section: str) -> Iterator[tuple[str, str, str]]:
    """Venue, column and cell of every table in a section of docs/columns.md."""
    for table in re.findall(r"^\| column \|.*\n(?:\|.*\n)+", section, re.MULTILINE):
        (_, *venues), _, *rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.splitlines()]
        for column, *cells in rows:
            yield from ((venue.split()[0], column.strip("`"), cell) for venue, cell in zip(venues, cells, strict=True))


@pytest.mark.parametrize("table", TYPED.values(), ids=lambda table: table.name)
def test_the_page_of_columns_says_what_fills_each_column_at_every_venue(table: Table) -> None:
    page = text_of(CHECKOUT / "docs" / "columns.md")
    venues = set(re.findall(r"^\| (\w+) \|", page.partition("\n## Sources\n")[2], re.MULTILINE)) - {"venue"}
    assert venues >= VENUES.keys()
    section = re.split(r"\n###? ", page.partition(f"\n## {table.name}\n")[2])[0]
    filled: dict[str, list[str]] = {venue: [] for venue in venues}
    for venue, column, cell in cells_by_venue(section):
        assert cell, f"{table.name}.{column} has an empty cell for {venue}"
        filled[venue].append(column)
    columns = ["channel", *(column.name for column in table.c if column.name not in {*TYPED_KEY, "extra"})]
    assert filled == dict.fromkeys(venues, columns)


def test_the_page_of_commands_is_current() -> None:
    page = text_of(commands.PAGE)
    assert commands.rewritten(page) == page, "docs/commands.md is not current; type: make docs"


@pytest.mark.parametrize("command", list(commands.commands()), ids=lambda command: command.name)
def test_each_command_and_option_is_documented(command: commands.Named) -> None:
    page = text_of(commands.PAGE)
    section = page.partition(f"### recorder {command.name}\n")[2].partition("\n### ")[0]
    assert section, f"docs/commands.md has no section on recorder {command.name}"
    for option in commands.options(command.command):
        for name in option.opts:
            assert re.search(rf"{name}\b", section), f"recorder {command.name} {name} is not in docs/commands.md"
        assert option.help, f"recorder {command.name} {option.opts[0]} has no help"
    assert isinstance(command.command, click.Group) or "Example:" in (command.command.help or "")


def configuration_keys() -> Iterator[tuple[str, str]]:
    """Every key of the configuration, with the heading of its table."""
    for table, keys in (
        ("[database]", recorder.config._DatabaseKeys),
        ("[accounts.NAME]", recorder.config._AccountKeys),
        ("[checkpoints]", recorder.config._CheckpointKeys),
        ("[limits]", Limits),
    ):
        yield from ((table, field.name) for field in fields(keys))


@pytest.mark.parametrize(("table", "key"), list(configuration_keys()))
def test_each_key_of_the_configuration_is_documented(table: str, key: str) -> None:
    section = CONFIGURATION.partition(f"\n## `{table}`\n")[2].partition("\n## ")[0]
    assert re.search(rf"^\| `{key}` \|", section, re.MULTILINE), f"docs/configuration.md: {table} lacks {key}"


def test_the_defaults_of_the_limits_are_those_documented() -> None:
    section = CONFIGURATION.partition("\n## `[limits]`\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| [\w ]+ \| ([\d.]+) \|", section, re.MULTILINE))
    assert {name: float(value) for name, value in documented.items()} == vars(Limits())


@pytest.mark.parametrize("name", [name for name in vars(Record) if not name.startswith("_")])
def test_each_read_in_python_is_documented(name: str) -> None:
    assert re.search(rf"`{name}(\(\))?`", text_of(CHECKOUT / "docs" / "python.md"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with what the examples of a configuration name."""
    for name in (
        "FMEX_KEY",
        "FMEX_SECRET",
        "BYBIT_KEY",
        "BYBIT_SECRET",
        "BINANCE_KEY",
        "BINANCE_SECRET",
        "OKX_KEY",
        "OKX_SECRET",
        "OKX_PASSPHRASE",
        "DERIBIT_KEY",
        "DERIBIT_SECRET",
        "BINANCE_SPOT_KEY",
        "BINANCE_SPOT_SECRET",
        "BITGET_KEY",
        "BITGET_SECRET",
        "BITGET_PASSPHRASE",
        "KRAKEN_KEY",
        "KRAKEN_SECRET",
        "HEDGE_KEY",
        "HEDGE_SECRET",
    ):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr("recorder.config.which", lambda program: program)
    (tmp_path / "audit.key").write_text(new_key("audit").text)
    Stamper().write_root(tmp_path / "tsa-root.pem")
    return tmp_path


def configurations() -> list[tuple[str, str]]:
    return [(named(page), block) for page in PAGES for _, block in blocks(page, "toml")]


@pytest.mark.parametrize(("page", "block"), configurations())
def test_every_piece_of_configuration_loads(place: Path, page: str, block: str) -> None:
    text = re.sub(r"/run/credentials/recorder.service/\w+", "audit.key", block)
    if "[accounts" not in text:
        text = f"{text}\n{configurations()[0][1]}"
    file = place / "recorder.toml"
    file.write_text(text)
    assert load(file).accounts, page
    assert tomllib.loads(block)


def test_what_is_installed_and_made_exists() -> None:
    makefile = text_of(CHECKOUT / "Makefile")
    extras = tomllib.loads(text_of(CHECKOUT / "pyproject.toml"))["project"]["optional-dependencies"]
    contributing = text_of(CHECKOUT / "CONTRIBUTING.md")
    for target in re.findall(r"^([\w-]+):.*  ## ", makefile, re.MULTILINE):
        assert f"| `make {target}` |" in contributing, f"CONTRIBUTING.md: make {target} is missing"
    for page in PAGES:
        shown = "".join(block for _, block in blocks(page, "sh", "text"))
        for target in re.findall(r"^make ([\w-]+)", shown, re.MULTILINE) + re.findall(r"`make ([\w-]+)", text_of(page)):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{named(page)}: make {target}"
        for names in re.findall(r"pip install '\.\[([\w,]+)\]'", text_of(page)):
            assert set(names.split(",")) <= extras.keys(), f"{named(page)}: {names}"


def mentioned() -> Iterator[tuple[str, str]]:
    """Every command that a page shows, in a block or within a line."""
    for page in PAGES:
        if page.name == "CHANGELOG.md":
            continue
        shown = "".join(block for _, block in blocks(page, "sh", "text", "ini"))
        found = re.findall(r"^(?:ExecStart=/usr/local/bin/|.*&& |.*:  +| +)?(recorder [a-z].*)$", shown, re.MULTILINE)
        found += re.findall(r"`(recorder [a-z][^`]*)`", text_of(page))
        yield from ((named(page), command) for command in dict.fromkeys(found))


@pytest.mark.parametrize(("page", "command"), list(mentioned()))
def test_every_command_that_is_shown_is_one(page: str, command: str) -> None:
    words = shlex.split(re.sub(r"\s[>|]+ .*$|\s\.\.\.", "", command), comments=True)[1:]
    words = [{"SESSION": "1", "SEQ": "1"}.get(word, word) for word in words]
    group: click.Command = program
    while isinstance(group, click.Group) and words:
        context = click.Context(group)
        name = words.pop(0)
        found = group.get_command(context, name)
        assert found is not None, f"{page}: there is no recorder {name}"
        group = found
    try:
        group.make_context(group.name, list(words))
    except (click.MissingParameter, click.BadOptionUsage, click.exceptions.NoArgsIsHelpError):
        pass  # a command or an option is named, not called
    except click.UsageError as error:
        pytest.fail(f"{page}: {command}: {error.format_message()}")
