"""SVG as escaped text. Whatever comes from outside can only ever be a text or the value of an attribute."""

from collections.abc import Iterable

from markupsafe import Markup, escape

#: Width of every picture in its own units: what fits a printed column at 96 units an inch.
WIDTH = 720


def element(name: str, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """One element.

    Args:
        name: of it.
        children: inside; a plain string is text.
        attributes: `class_` is class, `stroke_width` is stroke-width; None leaves one out.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{told}>{inside}</{name}>")


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> Markup:
    """A line of text; anchor is `start`, `middle` or `end`."""
    classes = f"t {kind}".strip()
    return element("text", words, x=x, y=y, class_=classes, text_anchor=None if anchor == "start" else anchor)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def rect(x: float, y: float, width: float, height: float, kind: str, title: str | None = None) -> Markup:
    """A rectangle, with words that show where a pointer rests on it."""
    told = [] if title is None else [element("title", title)]
    return element("rect", *told, x=x, y=y, width=max(width, 0), height=max(height, 0), class_=kind)


def picture(height: float, label: str, parts: Iterable[Markup], kind: str = "") -> Markup:
    """A whole picture.

    Args:
        height: of it.
        label: what it shows, for who cannot see it.
        parts: in the order of drawing.
        kind: its class.
    """
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH} {_value(height)}",
        role="img",
        aria_label=label,
        class_=f"picture {kind}".strip(),
    )


def number(value: float) -> str:
    """A coordinate: a tenth of a unit is less than anybody sees."""
    told = f"{value:.1f}"
    return told.removesuffix(".0")


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else number(value)
