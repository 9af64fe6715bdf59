"""The page in a real browser: complete, without requests or scripts, and printable."""

import re
import struct
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

import recorder
from recorder.audit.verify.findings import Finding
from recorder.read.record import Filter
from recorder.read.records import Unexplained
from recorder.report.evidence import VerificationResult
from recorder.report.gather import Report, gather
from recorder.report.page import render
from recorder.report.source import Listed
from recorder.report.summary import share
from recorder.report.trading import BookSum
from tests.report.browser import Browser, Page, pages
from tests.report.conftest import written
from tests.report.days import Days, Spell

SECTIONS = (
    "Summary of findings",
    "Coverage",
    "Sessions",
    "Gaps and what was restored",
    "Discrepancies",
    "Seals and checkpoints",
    "Balances",
    "Positions",
    "Orders by status",
    "Fills and fees",
    "Books",
    "Longest silence",
    "The exchange's clock and ours",
    "Receipt latency",
)


@pytest.mark.long
def test_the_page_makes_no_request_and_logs_no_error(page: Page) -> None:
    assert [url.rsplit("/", 1)[1] for url in page.requests] == ["report.html"]
    assert page.complaints == []


@pytest.mark.long
def test_the_browser_reports_requests_and_errors(browser: Browser, tmp_path: Path) -> None:
    """Otherwise the test above would prove nothing."""
    file = tmp_path / "bad.html"
    file.write_text("<img src='missing.png'><script>console.error('here')</script>")
    with browser.open(file) as page:
        assert len(page.requests) == 2
        assert "here" in str(page.complaints) and "missing.png" in str(page.complaints)


@pytest.mark.long
def test_the_sections_are_in_order(page: Page, report: Report) -> None:
    assert page.evaluate("[...document.querySelectorAll('h2')].map(one => one.innerText)") == list(SECTIONS)
    assert page.text("h1") == "Account main"
    lead = page.text(".lead")
    assert (
        share(report.covered[0]).split()[0] in lead
        and "6 gaps" in lead
        and "1 not recoverable" in lead
        and "position.ethusd_p" in lead
    )
    assert "not verified" in page.text("#summary") and "recorder verify" in page.text("#seals")
    facts = page.text("dl.facts")
    assert "recorder 0.1.0 on recorder-1: 3 runs, of which 1 crashed" in facts and "fmex" in facts


@pytest.mark.long
def test_numbers_match_the_commands(page: Page, days: Days) -> None:
    with recorder.open(days.url) as record:
        fills, balances, gaps = list(record.fills()), list(record.balances()), list(record.gaps())
        orders, discrepancies = list(record.orders()), list(record.discrepancies())
        books = list(record.books())
    result = {row[0]: row for row in page.table("#fills table")}
    for symbol in ("BTCUSD_P", "ETHUSD_P", "XRPUSD_P"):
        own = [fill for fill in fills if fill.symbol == symbol]
        bought = sum(fill.quantity for fill in own if fill.side == "buy")
        assert Decimal(result[symbol][2]) == bought
        assert Decimal(result[symbol][2]) + Decimal(result[symbol][3]) == sum(fill.quantity for fill in own)
        assert Decimal(result[symbol][6]) == sum(fill.fee or 0 for fill in own)
    (balance,) = balances
    assert f"At the end\n{balance.balance}" in page.text("#balances dl.stats")
    kept = page.text("#books dl").split("\n")[1::2]
    amounts = [[getattr(book, name) for book in books] for name in ("change", "realized_pnl", "fees", "transfers")]
    assert [Decimal(one) for one in kept[:4]] == [sum(of_all) for of_all in amounts]
    assert Decimal(kept[0]) == Decimal(kept[1]) - Decimal(kept[2]) + Decimal(kept[3]) + Decimal(kept[4])
    assert kept[5] == str(len(books))
    assert len(page.table("#gaps table")) == len(gaps)
    assert [row[4] for row in page.table("#gaps table")] == [gap.state for gap in gaps]
    statuses = {row[0]: int(row[-2].replace(",", "")) for row in page.table("#orders table")}
    assert sum(statuses.values()) == len(orders)
    assert statuses["filled"] == sum(order.status == "filled" for order in orders) > 0
    assert [row[1] for row in page.table("#discrepancies table")] == [one.subject for one in discrepancies]


@pytest.mark.long
def test_pictures_do_not_overflow_or_overlap(page: Page) -> None:
    pictures = page.boxes("svg.picture")
    assert len(pictures) == 1 + 1 + 3 + 1 + 1
    assert all(width == 720 and height > 100 for _, _, width, height in pictures)
    assert_well_laid_out(page)


def assert_well_laid_out(page: Page) -> None:
    """Nothing overflows a picture, no texts overlap, and nothing is too wide."""
    over = """[...document.querySelectorAll('svg.picture')].flatMap(picture => {
        const frame = picture.getBoundingClientRect();
        return [...picture.querySelectorAll('text, rect, path, line')].filter(one => {
            const box = one.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
                || box.bottom > frame.bottom + 1;
        }).map(one => one.outerHTML.slice(0, 200));
    })"""
    assert page.evaluate(over) == []
    crossing = """[...document.querySelectorAll('svg.picture')].flatMap(picture => {
        const boxes = [...picture.querySelectorAll('text')].map(one => [one.innerHTML, one.getBoundingClientRect()]);
        return boxes.flatMap(([words, box], number) => boxes.slice(number + 1).filter(([, other]) =>
            box.left < other.right - 1 && other.left < box.right - 1
            && box.top < other.bottom - 3 && other.top < box.bottom - 3).map(([others]) => words + ' / ' + others));
    })"""
    assert page.evaluate(crossing) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.long
def test_several_accounts_and_recorders(browser: Browser, several: Report, tmp_path: Path) -> None:
    with browser.open(written(several, tmp_path)) as page:
        assert page.complaints == []
        assert page.text("h1") == "2 accounts: hedge, main"
        assert_well_laid_out(page)
        assert {row[1] for row in page.table("#sessions table")} == {"hedge", "main"}
        assert [row[0] for row in page.table("#silence table")] == ["hedge", "hedge", "main", "main"]
        assert {row[0] for row in page.table("#fills table")} == {"hedge", "main"}
        names = page.evaluate("[...document.querySelectorAll('.timeline text')].map(one => one.innerHTML)")
        assert names.count("recorder on recorder-2") == 1 and names.count("recorder on recorder-1") == 1
        # Of main's three and hedge's two sessions, the gap of main as a whole is where both recorders were away.
        states = [row[5] for row in page.table("#gaps table")]
        assert states.count("unrecoverable") == 1
        assert len(page.boxes("#clocks svg.picture")) == 2
        assert page.text("#clocks").count("recorder-2 (dashed)") == 1
        assert len(page.boxes("#seals dl")) == 3


@pytest.mark.long
def test_it_prints_on_a_few_pages_without_cutting_tables(page: Page) -> None:
    pdf = page.printed()
    assert 4 <= pages(pdf) <= 8
    (box,) = set(re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf))
    assert [float(side) for side in box] == pytest.approx([595, 842], abs=1)  # A4
    # As wide as an A4 page between its margins, nothing is wider.
    page.call("Emulation.setEmulatedMedia", media="print")
    page.call("Emulation.setDeviceMetricsOverride", width=673, height=1000, deviceScaleFactor=1, mobile=False)
    try:
        assert page.evaluate("document.documentElement.scrollWidth") <= 673
        assert all(left + width <= 674 for left, _, width, _ in page.boxes("table, figure, dl"))
    finally:
        page.call("Emulation.setEmulatedMedia", media="")
        page.call("Emulation.setDeviceMetricsOverride", width=900, height=1200, deviceScaleFactor=1, mobile=False)


@pytest.mark.long
def test_pictures_are_drawn_in_their_colours(page: Page) -> None:
    """A picture is drawn, not merely there: the covered lane, and the gap that could not be recovered."""
    png = page.screenshot()
    width, height = struct.unpack(">II", png[16:24])
    assert width == 900 and height > 3000
    fills = page.evaluate(
        "['.covered', '.gap.unrecoverable', '.gap.reconciled'].map(kind => "
        "getComputedStyle(document.querySelector('.timeline ' + kind)).fill)"
    )
    assert fills == ["rgb(123, 163, 196)", "rgb(156, 28, 20)", 'url("#striped")']


HOSTILE = "<script>document.title='gone'</script><img src=x onerror=\"document.title='gone'\">"


HOSTILE_IN = ("sessions", "gaps", "discrepancies", "seals", "balances", "positions", "orders", "fills")


def _hostile(folder: Path) -> Report:
    days = Days(folder / "recorder.db", moments_per_s=0.005, account="<b>bold</b>", host="<u>host</u>")
    quoted = HOSTILE.replace('"', '\\"')
    order = (
        f'{{"type":"order.x","ts":1580802000000,"order":{{"id":7,"symbol":"{quoted}","status":"</td></table>{quoted}",'
        f'"quantity":10,"unfilled_quantity":4,"fill_price":1,"fee":0.5,"margin_currency":"]]>{quoted}"}}}}'
    )
    amounts = f'"currency":"{quoted}","available":1E+98,"frozen":0,"position":0'
    balance = f'{{"type":"account","ts":1580802000000,"account":{{{amounts}}}}}'
    position = f'{{"type":"p","ts":1580802000000,"position":{{"symbol":"{quoted}","quantity":3}}}}'
    undecodable = f'{{"type":"{quoted}","ts":1}}'
    spells = [Spell(hour, hour + 1, HOSTILE, HOSTILE, "reconciled", HOSTILE) for hour in range(9, 14)]
    days.write(spells[:4], odd=[text.encode() for text in (order, balance, position, undecodable)])
    days.discrepancy(HOSTILE, HOSTILE, HOSTILE, "\u202e</style>")
    days.write(spells[4:])
    days.engine.dispose()
    result = gather(days.url, Filter())
    verification = VerificationResult(HOSTILE, Listed([Finding(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1, 2, 3)], 2))
    return result._replace(place=HOSTILE, verification=verification)


@pytest.mark.long
def test_hostile_text_stays_text(browser: Browser, tmp_path: Path) -> None:
    report = _hostile(tmp_path)
    with browser.open(written(report, tmp_path)) as page:
        assert page.evaluate("document.querySelectorAll('script, img, b, u').length") == 0
        assert page.evaluate("document.title").startswith("Audit report: <b>bold</b>")
        assert [url.rsplit("/", 1)[1] for url in page.requests] == ["report.html"]
        assert page.complaints == []
        assert page.text("h1") == "Account <b>bold</b>"
        shown = page.text()
        for place in ("dl.facts", *(f"#{name}" for name in HOSTILE_IN)):
            # Words such as a currency are decoded in capitals.
            assert "<script>document" in page.text(place).lower(), place
        assert "<u>host</u>" in shown and "\u202e" not in shown and "</style>" in shown
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        # The whole page came through: nothing closed a table or the page early.
        assert len(page.boxes("svg.picture")) == 1 + 2 + 2 + 1 + 1
        assert page.evaluate("document.querySelectorAll('section').length") == len(SECTIONS)


@pytest.mark.long
def test_the_policy_blocks_an_injected_script(browser: Browser, report: Report, tmp_path: Path) -> None:
    file = written(report, tmp_path)
    planted = "<script>document.title='gone'</script><style>body{display:none}</style>"
    file.write_text(file.read_text().replace("<h1>", f"{planted}<h1>"))
    with browser.open(file) as page:
        assert page.evaluate("document.title").startswith("Audit report")
        assert page.evaluate("getComputedStyle(document.body).display") == "block"
        assert len(page.complaints) == 2


@pytest.mark.long
def test_books_and_verification_are_shown(browser: Browser, report: Report, tmp_path: Path) -> None:
    change = Unexplained("main", "BTC", 1_580_802_053_662_000_000, Decimal("-0.5"), 70, 7, 0)
    amounts = (Decimal("0.1"), Decimal("0.7"), Decimal("0.1"), Decimal(0), Decimal("-0.5"))
    books = [BookSum("main", "BTC", 3, *amounts, 1, (change,))]
    verification = VerificationResult("All 83 batches are as they were sealed.", Listed([], 0))
    with browser.open(written(report._replace(books=books, verification=verification), tmp_path)) as page:
        assert page.text("#books dl").split("\n")[1::2] == ["0.1", "0.7", "0.1", "0", "-0.5", "3"]
        assert page.table("#books table") == [["2020-02-04 07:40:53", "-0.5", "70 / 7"]]
        assert "All 83 batches are as they were sealed." in page.text("#seals")
        assert "intact" in page.text("#summary") and "1 change" in page.text("#summary")


class _Tags(HTMLParser):
    """Checks that every tag is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.mark.parametrize("hostile", [False, True])
def test_every_tag_is_closed(report: Report, tmp_path: Path, hostile: bool) -> None:
    """A browser would repair the page silently."""
    tags = _Tags()
    tags.feed(render(_hostile(tmp_path) if hostile else report))
    assert tags.wrong == [] and tags.open == []
