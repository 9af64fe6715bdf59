"""A stand-alone SVG file: a title, pictures above each other, each with its legend, and the style."""

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from recorder.report.draw import svg

MARGIN, TITLE, SUBTITLE, HEADING = 24, 30, 22, 26
#: Between the sample of a line and its words, and between two entries of the legend.
SAMPLE, SPACE = 26, 18
CHARACTER = 5.9

_INK, _SOFT, _HAIR, _ACCENT, _SECOND, _COVERED = "#171b20", "#5a6570", "#dce1e6", "#1f4d73", "#8a5a00", "#7ba3c4"

STYLE = (
    "text{font-family:'Liberation Sans','Helvetica Neue',Helvetica,Arial,sans-serif}"
    f".t{{font-size:11px;fill:{_INK}}}.title{{font-size:17px;font-weight:600;fill:{_INK}}}.subtitle{{font-size:12px;fill:{_SOFT}}}"
    f".heading{{font-size:13px;font-weight:600;fill:{_INK}}}"
    f".tick{{font-size:10.5px;fill:{_SOFT}}}.axis{{stroke:{_INK};stroke-width:1}}"
    f".grid{{stroke:{_HAIR};stroke-width:1}}.grid.zero{{stroke:{_SOFT}}}"
    f".line{{fill:none;stroke:{_ACCENT};stroke-width:1.4;stroke-linejoin:round}}"
    f".line.second{{stroke:{_SECOND};stroke-dasharray:5 3}}.line.third{{stroke:#444;stroke-dasharray:1.5 2.5}}"
    f".dot{{fill:{_ACCENT}}}.dot.shape-1{{fill:{_SECOND}}}.dot.shape-2{{fill:none;stroke:{_SECOND}}}"
    f".area{{fill:{_COVERED};fill-opacity:.35}}.band{{fill:#c9d0d7;fill-opacity:.55}}"
)


class Entry(NamedTuple):
    """An entry of a legend."""

    #: `line`, `line second`, `line third`, `band`, or `dot` with the number of its shape: `dot shape-1`.
    kind: str
    words: str


class Panel(NamedTuple):
    """A picture with its heading and legend."""

    heading: str
    legend: Sequence[Entry]
    picture: Markup
    height: float


def document(title: str, subtitle: str, panels: Sequence[Panel]) -> str:
    """The text of an SVG file.

    Args:
        title: of the whole.
        subtitle: the period and the time zone.
        panels: from top to bottom.
    """
    parts = [
        svg.element("style", Markup(STYLE)),
        svg.element("rect", width="100%", height="100%", fill="#fff"),
        svg.text(MARGIN, MARGIN + 12, title, "title"),
        svg.text(MARGIN, MARGIN + TITLE, subtitle, "subtitle"),
    ]
    y = float(MARGIN + TITLE + SUBTITLE)
    for panel in panels:
        parts.append(svg.text(MARGIN, y + 6, panel.heading, "heading"))
        parts += _legend(panel.legend, y + 6)
        x, top, height = MARGIN, svg.coordinate(y + 14), svg.coordinate(panel.height)
        place = f'<svg x="{x}" y="{top}" width="{svg.WIDTH}" height="{height}" '
        parts.append(Markup(str(panel.picture).replace("<svg ", place, 1)))
        y += 14 + panel.height + HEADING
    width = svg.WIDTH + 2 * MARGIN
    whole = svg.element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=y,
        viewBox=f"0 0 {width} {svg.coordinate(y)}",
        role="img",
        aria_label=title,
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{whole}\n'


def _legend(entries: Sequence[Entry], y: float) -> list[Markup]:
    """The entries, from the right edge to the left."""
    parts: list[Markup] = []
    right = float(MARGIN + svg.WIDTH)
    for entry in reversed(entries):
        left = right - CHARACTER * len(entry.words) - SAMPLE
        parts.append(_sample(entry.kind, left, y - 4))
        parts.append(svg.text(left + SAMPLE, y, entry.words, "tick"))
        right = left - SPACE
    return parts


def _sample(kind: str, x: float, y: float) -> Markup:
    if kind.startswith("dot"):
        return svg.dot(x + 14, y, int(kind.rpartition("-")[2]) if "-" in kind else 0, kind)
    if kind.startswith("line"):
        return svg.element("path", d=f"M{svg.coordinate(x)} {svg.coordinate(y)}h20", class_=kind)
    return svg.rect(x, y - 5, 20, 10, kind)
