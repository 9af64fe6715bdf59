"""The page: one HTML file that needs no other file, makes no request, and runs no script."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from recorder.report import words
from recorder.report.coverage import AccountCoverage, Uncovered
from recorder.report.draw.charts import JOINED, KINDS, LEGEND, LOW, Look, histogram, plot, share_bar, timeline
from recorder.report.gather import Report
from recorder.report.series import PlotLine
from recorder.report.summary import completeness, share, summary
from recorder.report.trading import fees_by_currency

CLOCK_HEIGHT = 144


def render(report: Report) -> str:
    """The page as HTML."""
    environment = Environment(loader=FunctionLoader(_template), autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    filters = words.instant, words.duration, words.plain, words.words, words.name, words.later, words.count
    environment.filters |= {one.__name__: one for one in filters}
    several = len(report.covered) > 1
    style = Markup(_template("report.css"))
    return environment.get_template("report.html.j2").render(
        report=report,
        style=style,
        # Whatever the words from outside say: only this style sheet is applied, and no script is run.
        style_hash=b64encode(sha256(style.encode()).digest()).decode(),
        sentences=[completeness(covered, several=several) for covered in report.covered],
        summary=summary(report),
        several=several,
        several_recorders=len(report.seals) > 1,
        legend=LEGEND,
        timeline=timeline(report.period, [(its, share(its)) for its in report.covered], report.activity),
        balances=[(line, _balance_plot(report, line)) for line in report.balances.rows],
        positions=[(line, _position_plot(report, line)) for line in report.positions.rows],
        clocks=_clock_plots(report),
        latencies=[(latency, histogram(latency)) for latency in report.latencies],
        share_bar=share_bar,
        fees=fees_by_currency(report.fills),
    )


def _template(name: str) -> str:
    return files("recorder.report").joinpath("templates", name).read_text(encoding="utf-8")


def _uncovered(report: Report, account: str, topic: str | None) -> Sequence[Uncovered]:
    """What is not covered of a topic."""
    (lane,) = [covered.whole for covered in report.covered if covered.account == account]
    return [one for one in lane.uncovered if one.topic in {None, topic}]


def _balance_plot(report: Report, line: PlotLine) -> Markup:
    label = f"Balance in {words.name(line.name)} of account {words.name(line.account)}"
    return plot(report.period, [line], _uncovered(report, line.account, "account"), Look(label, ""))


def _position_plot(report: Report, line: PlotLine) -> Markup:
    label = f"Position in {words.name(line.name)} of account {words.name(line.account)}"
    uncovered = _uncovered(report, line.account, f"position.{line.name.lower()}")
    return plot(report.period, [line], uncovered, Look(label, "contracts, negative if short", LOW, from_zero=True))


def _clock_plots(report: Report) -> list[tuple[AccountCoverage, Sequence[PlotLine], Markup]]:
    """One for each account, with a line for each recorder."""
    found: list[tuple[AccountCoverage, Sequence[PlotLine], Markup]] = []
    for covered in report.covered:
        lines = [line for line in report.clocks if line.account == covered.account][: len(KINDS)]
        if lines:
            uncovered = _uncovered(report, covered.account, None)
            label = f"The exchange's clock less ours, account {words.name(covered.account)}"
            picture = plot(report.period, lines, uncovered, Look(label, "ms", CLOCK_HEIGHT, marks=JOINED))
            found.append((covered, lines, picture))
    return found
