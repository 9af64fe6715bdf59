"""SVG as escaped text. Whatever comes from outside can only become text or the value of an attribute."""

from collections.abc import Iterable

from markupsafe import Markup, escape

#: Width of every picture in its own units: a printed column at 96 units an inch.
WIDTH = 720

#: The shapes that tell dots of different lines apart.
SHAPES = ("M-2.2 0A2.2 2.2 0 1 0 2.2 0A2.2 2.2 0 1 0-2.2 0Z", "M-4-3.5H4L0 3.5Z", "M-4 3.5H4L0-3.5Z")


def element(name: str, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """One element.

    Args:
        name: its name.
        children: its contents; a plain string is text.
        attributes: `class_` is class, `stroke_width` is stroke-width; None leaves one out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inside}</{name}>")


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> Markup:
    """A line of text; the anchor is `start`, `middle` or `end`."""
    classes = f"t {kind}".strip()
    return element("text", words, x=x, y=y, class_=classes, text_anchor=None if anchor == "start" else anchor)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def rect(x: float, y: float, width: float, height: float, kind: str, title: str | None = None) -> Markup:
    """A rectangle, with a title that appears under the pointer."""
    titles = [] if title is None else [element("title", title)]
    return element("rect", *titles, x=x, y=y, width=max(width, 0), height=max(height, 0), class_=kind)


def dot(x: float, y: float, number: int, kind: str) -> Markup:
    """A dot of the line with this number."""
    shape = SHAPES[number % len(SHAPES)]
    return element("path", d=shape, transform=f"translate({coordinate(x)} {coordinate(y)})", class_=kind)


def picture(height: float, label: str, parts: Iterable[Markup], kind: str = "") -> Markup:
    """A complete picture.

    Args:
        height: in units.
        label: what it shows, for screen readers.
        parts: in the order of drawing.
        kind: a class of its own.
    """
    box, classes = f"0 0 {WIDTH} {coordinate(height)}", f"picture {kind}".strip()
    return element("svg", *parts, viewBox=box, role="img", aria_label=label, class_=classes)


def coordinate(value: float) -> str:
    """A number to a tenth of a unit, which is less than anybody sees."""
    return f"{value:.1f}".removesuffix(".0")


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else coordinate(value)
