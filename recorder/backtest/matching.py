"""Compare recorded fills with a backtest's: read the backtest's fills, and match them with the recorded ones. Exact."""

import csv
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from recorder.clock import NS_PER_MS, NS_PER_S, instant_ns
from recorder.errors import ConfigurationError
from recorder.model import BUY, SELL
from recorder.read.records import Fill

#: Required columns. `side` may be called `direction`.
COLUMNS = ("time", "symbol", "side", "quantity", "price")

#: What may be written as a side, in upper or lower case.
_SIDES = {"buy": BUY, "b": BUY, "long": BUY, "sell": SELL, "s": SELL, "short": SELL}
#: A plain number with more digits than this is in nanoseconds, otherwise in milliseconds.
_MS_DIGITS_MAX = 14

#: Enough digits for the difference of any two decoded numbers.
_EXACT = Context(prec=500)

MATCHED = "matched"
#: Recorded, and not in the backtest.
MISSED = "missed"
#: In the backtest, and not recorded.
EXTRA = "extra"

#: Fills further apart than this are not the same, nanoseconds.
WITHIN_NS = 60 * NS_PER_S

#: A fill is compared with this many fills before it, and as many after it, at a time.
NEIGHBOURS = 32


class Traded(NamedTuple):
    """One recorded or backtested fill."""

    #: Nanoseconds since 1970.
    time_ns: int
    symbol: str
    #: `buy` or `sell`.
    side: str
    quantity: Decimal
    price: Decimal | None


class FillMatch(NamedTuple):
    """A quantity that both have, or only one of them."""

    #: `matched`, `missed` or `extra`.
    kind: str
    symbol: str
    side: str
    quantity: Decimal
    recorded_ns: int | None
    backtest_ns: int | None
    recorded_price: Decimal | None
    backtest_price: Decimal | None
    #: Backtest less recorded; above 0 if the backtest's is later, or more expensive.
    time_difference_ns: int | None
    price_difference: Decimal | None


def match(recorded: Iterable[Traded], backtest: Iterable[Traded], within_ns: int = WITHIN_NS) -> list[FillMatch]:
    """Match fills of the same symbol and side, quantity for quantity: the nearest in time first, then in price.

    A fill may match several of the other side, but each quantity is matched once. A quantity without a match within
    `within_ns` is `missed` or `extra`. The quantities of either side add up to its fills.

    Returns:
        In the order of time.
    """
    sides = _by_kind(recorded), _by_kind(backtest)
    matches = [
        found
        for key in sorted(sides[0].keys() | sides[1].keys())
        for found in _match(sides[0].get(key, []), sides[1].get(key, []), within_ns)
    ]
    return sorted(matches, key=_time)


def _by_kind(fills: Iterable[Traded]) -> dict[tuple[str, str], list[Traded]]:
    kinds: dict[tuple[str, str], list[Traded]] = {}
    for fill in fills:
        if fill.quantity > 0:
            kinds.setdefault((fill.symbol.upper(), fill.side), []).append(fill)
    return {key: sorted(these, key=lambda fill: fill.time_ns) for key, these in kinds.items()}


def _match(recorded: list[Traded], backtest: list[Traded], within_ns: int) -> Iterator[FillMatch]:
    mine, theirs = list(recorded), list(backtest)
    # The rest has other neighbours in the next round; each round but the last matches something.
    while pairs := _pairs(mine, theirs, within_ns):
        for *_, i, j in pairs:
            quantity = min(mine[i].quantity, theirs[j].quantity)
            if quantity > 0:
                yield _both(mine[i], theirs[j], quantity)
                mine[i], theirs[j] = _rest(mine[i], quantity), _rest(theirs[j], quantity)
        mine = [fill for fill in mine if fill.quantity > 0]
        theirs = [fill for fill in theirs if fill.quantity > 0]
    yield from (_alone(MISSED, fill) for fill in mine)
    yield from (_alone(EXTRA, fill) for fill in theirs)


def _pairs(mine: Sequence[Traded], theirs: Sequence[Traded], within_ns: int) -> list[tuple[int, Decimal, int, int]]:
    """Candidate pairs, the nearest in time first, then in price."""
    times = [fill.time_ns for fill in theirs]
    pairs = []
    for i, fill in enumerate(mine):
        first = bisect_left(times, fill.time_ns - within_ns)
        after = bisect_right(times, fill.time_ns + within_ns)
        here = bisect_left(times, fill.time_ns)
        for j in range(max(first, here - NEIGHBOURS), min(after, here + NEIGHBOURS)):
            apart = abs(_difference(theirs[j].price, fill.price) or Decimal(0))
            pairs.append((abs(times[j] - fill.time_ns), apart, i, j))
    return sorted(pairs)


def _difference(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else _EXACT.subtract(one, other)


def _rest(fill: Traded, taken: Decimal) -> Traded:
    return fill._replace(quantity=_EXACT.subtract(fill.quantity, taken))


def _alone(kind: str, fill: Traded) -> FillMatch:
    found = FillMatch(kind, fill.symbol, fill.side, fill.quantity, None, None, None, None, None, None)
    if kind == MISSED:
        return found._replace(recorded_ns=fill.time_ns, recorded_price=fill.price)
    return found._replace(backtest_ns=fill.time_ns, backtest_price=fill.price)


def _both(one: Traded, other: Traded, quantity: Decimal) -> FillMatch:
    return FillMatch(
        MATCHED,
        one.symbol,
        one.side,
        quantity,
        one.time_ns,
        other.time_ns,
        one.price,
        other.price,
        other.time_ns - one.time_ns,
        _difference(other.price, one.price),
    )


def _time(found: FillMatch) -> int:
    return found.recorded_ns if found.recorded_ns is not None else found.backtest_ns or 0


def recorded_trades(fills: Iterable[Fill]) -> Iterator[Traded]:
    """Recorded fills, with their times of receipt."""
    for fill in fills:
        if fill.symbol is not None and fill.side is not None and fill.quantity > 0:
            yield Traded(fill.received_ns, fill.symbol, fill.side, fill.quantity, fill.price)


def read_csv(path: Path) -> list[Traded]:
    """A backtest's fills from a CSV file with a header.

    Raises:
        ConfigurationError: it cannot be read; the error says which row is wrong, and why.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            head = {name.strip().lower() for name in reader.fieldnames or ()}
            _require(path, head)
            return [_trade(f"{path}, row {number}", row) for number, row in enumerate(reader, 2)]
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} is not a CSV file: {error}.") from None


def of_frame(frame: Any) -> list[Traded]:
    """A backtest's fills from a pandas or Polars data frame with the columns of `COLUMNS`.

    Raises:
        ConfigurationError: a column is missing, or a value is invalid.
    """
    _require("the data frame", {str(name).strip().lower() for name in frame.columns})
    rows = frame.to_dict("records") if hasattr(frame, "iloc") else frame.to_dicts()
    return [_trade(f"the data frame, row {number}", row) for number, row in enumerate(rows)]


def _require(where: object, head: set[str]) -> None:
    missing = [name for name in COLUMNS if name not in head and not (name == "side" and "direction" in head)]
    if missing:
        raise ConfigurationError(f"{where} lacks {', '.join(missing)}; a backtest's fills need: {', '.join(COLUMNS)}.")


def _trade(where: str, row: Mapping[Any, Any]) -> Traded:
    values = {str(name).strip().lower(): value for name, value in row.items()}
    side = str(values.get("side") or values.get("direction") or "").strip()
    if side.lower() not in _SIDES:
        raise ConfigurationError(f"{where}: {side!r} is not a side; write buy or sell.")
    quantity, price = _number(where, values, "quantity"), _number(where, values, "price")
    if quantity <= 0:
        raise ConfigurationError(f"{where}: the quantity must be above 0; the side says whether it was bought or sold.")
    return Traded(_time_ns(where, values["time"]), str(values["symbol"]).strip(), _SIDES[side.lower()], quantity, price)


def _number(where: str, values: Mapping[str, Any], name: str) -> Decimal:
    try:
        number = Decimal(str(values[name]).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ConfigurationError(f"{where}: {name} {values[name]!r} is not a number.")
    return number


def _time_ns(where: str, values: Any) -> int:
    value = getattr(values, "value", None)  # a pandas Timestamp: nanoseconds since 1970
    if isinstance(value, int):
        return value
    text = str(values).strip()
    if text.isdigit() and len(text) > 8:
        return int(text) if len(text) > _MS_DIGITS_MAX else int(text) * NS_PER_MS
    try:
        return instant_ns(text, 0)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}.") from None
