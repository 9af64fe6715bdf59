"""The page: facts and pictures into one HTML file that needs nothing else, and runs nothing."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from recorder.report import words
from recorder.report.draw.bars import histogram, share_bar
from recorder.report.draw.lines import JOINED, KINDS, LOW, Look, plot
from recorder.report.draw.timeline import LEGEND, timeline
from recorder.report.facts import Covered, Line, OrderCount, Report, Stretch
from recorder.report.findings import findings, sentence
from recorder.report.trades import fees

CLOCK_HEIGHT = 144
#: Orders are told by contract for so many; the others together.
SYMBOLS_MAX = 5


def render(report: Report) -> str:
    """The page as HTML."""
    environment = Environment(loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters |= {
        "instant": words.instant,
        "duration": words.duration,
        "plain": words.plain,
        "words": words.words,
        "name": words.name,
        "later": words.later,
        "count": words.count,
    }
    several = len(report.covered) > 1
    style = Markup(_template("report.css"))
    return environment.get_template("report.html.j2").render(
        report=report,
        style=style,
        # Only this style sheet counts, and no script at all, whatever words from outside may say.
        style_hash=b64encode(sha256(style.encode()).digest()).decode(),
        sentences=[sentence(covered, several=several) for covered in report.covered],
        findings=findings(report),
        several=several,
        several_recorders=len(report.sealed) > 1,
        legend=LEGEND,
        timeline=timeline(report.period, report.covered, report.received),
        balances=[(line, _balance_plot(report, line)) for line in report.balances.rows],
        positions=[(line, _position_plot(report, line)) for line in report.positions.rows],
        clocks=_clock_plots(report),
        latencies=[(latency, histogram(latency)) for latency in report.latencies],
        orders=[(covered.account, _orders(report.orders, covered.account)) for covered in report.covered],
        share_bar=share_bar,
        fees=fees(list(report.fills)),
    )


def _template(name: str) -> str:
    return files("recorder.report").joinpath("templates", name).read_text(encoding="utf-8")


def _stretches(report: Report, account: str, topic: str | None) -> Sequence[Stretch]:
    """What is not covered of a topic."""
    (lane,) = [covered.whole for covered in report.covered if covered.account == account]
    return [stretch for stretch in lane.stretches if stretch.topic in {None, topic}]


def _balance_plot(report: Report, line: Line) -> Markup:
    label = f"Balance in {words.name(line.name)} of account {words.name(line.account)}"
    return plot(report.period, [line], _stretches(report, line.account, "account"), Look(label, ""))


def _position_plot(report: Report, line: Line) -> Markup:
    label = f"Position in {words.name(line.name)} of account {words.name(line.account)}"
    stretches = _stretches(report, line.account, f"position.{line.name.lower()}")
    return plot(report.period, [line], stretches, Look(label, "contracts, short below zero", LOW, from_zero=True))


def _clock_plots(report: Report) -> list[tuple[Covered, Sequence[Line], Markup]]:
    """One an account, with a line for each recorder."""
    found: list[tuple[Covered, Sequence[Line], Markup]] = []
    for covered in report.covered:
        lines = [line for line in report.clocks if line.account == covered.account][: len(KINDS)]
        if lines:
            stretches = _stretches(report, covered.account, None)
            label = f"The exchange's clock less ours, account {words.name(covered.account)}"
            picture = plot(report.period, lines, stretches, Look(label, "ms", CLOCK_HEIGHT, marks=JOINED))
            found.append((covered, lines, picture))
    return found


class OrderTable:
    """Orders of an account by status: a row a status, a column a contract, most first."""

    def __init__(self, counts: Sequence[OrderCount]) -> None:
        by_symbol: dict[str, int] = {}
        for one in counts:
            by_symbol[one.symbol] = by_symbol.get(one.symbol, 0) + one.orders
        ranked = sorted(by_symbol, key=lambda symbol: (-by_symbol[symbol], symbol))
        self.symbols = sorted(ranked[:SYMBOLS_MAX])
        self.others = len(ranked) - len(self.symbols)
        self.total = sum(by_symbol.values())
        self.rows: dict[str, dict[str | None, int]] = {}
        for one in counts:
            row = self.rows.setdefault(one.status, {})
            symbol = one.symbol if one.symbol in self.symbols else None
            row[symbol] = row.get(symbol, 0) + one.orders

    def sum_of(self, symbol: str | None) -> int:
        """Of all statuses."""
        return sum(row.get(symbol, 0) for row in self.rows.values())


def _orders(counts: Sequence[OrderCount], account: str) -> OrderTable:
    return OrderTable([one for one in counts if one.account == account])
