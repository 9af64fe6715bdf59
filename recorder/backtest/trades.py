"""A backtest's fills, as people have them: a CSV file, or a data frame."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from recorder.backtest.matching import Traded
from recorder.clock import NS_PER_MS, instant_ns
from recorder.errors import ConfigurationError
from recorder.read.records import Fill

#: What a row must have. `direction` may be called `side`, and what it says be BUY or SELL.
COLUMNS = ("time", "symbol", "direction", "quantity", "price")

_DIRECTIONS = {"LONG": "LONG", "BUY": "LONG", "B": "LONG", "SHORT": "SHORT", "SELL": "SHORT", "S": "SHORT"}
#: A plain number of more digits than this counts nanoseconds, else milliseconds.
_MS_DIGITS_MAX = 14


def recorded_trades(fills: Iterable[Fill]) -> Iterator[Traded]:
    """Recorded fills, by the time of receipt."""
    for fill in fills:
        if fill.symbol is not None and fill.direction is not None and fill.quantity > 0:
            yield Traded(fill.received_ns, fill.symbol, fill.direction, fill.quantity, fill.price)


def read_csv(path: Path) -> list[Traded]:
    """A backtest's fills of a CSV file with a head.

    Raises:
        ConfigurationError: it cannot be read; with the row and what is wrong with it.
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
        raise ConfigurationError(f"{path} is no CSV file: {error}.") from None


def of_frame(frame: Any) -> list[Traded]:
    """A backtest's fills of a pandas or Polars data frame with the columns of `COLUMNS`.

    Raises:
        ConfigurationError: a column or a value is not what it must be.
    """
    _require("the data frame", {str(name).strip().lower() for name in frame.columns})
    rows = frame.to_dict("records") if hasattr(frame, "iloc") else frame.to_dicts()
    return [_trade(f"the data frame, row {number}", row) for number, row in enumerate(rows)]


def _require(where: object, head: set[str]) -> None:
    missing = [name for name in COLUMNS if name not in head and not (name == "direction" and "side" in head)]
    if missing:
        raise ConfigurationError(f"{where} lacks {', '.join(missing)}; a backtest's fills need: {', '.join(COLUMNS)}.")


def _trade(where: str, row: Mapping[Any, Any]) -> Traded:
    told = {str(name).strip().lower(): value for name, value in row.items()}
    side = str(told.get("direction") or told.get("side") or "").strip().upper()
    if side not in _DIRECTIONS:
        raise ConfigurationError(f"{where}: {side!r} is no direction; write LONG or SHORT, or BUY or SELL.")
    quantity, price = _number(where, told, "quantity"), _number(where, told, "price")
    if quantity <= 0:
        raise ConfigurationError(f"{where}: a quantity is above 0, and direction says which way.")
    return Traded(_time_ns(where, told["time"]), str(told["symbol"]).strip(), _DIRECTIONS[side], quantity, price)


def _number(where: str, told: Mapping[str, Any], name: str) -> Decimal:
    try:
        number = Decimal(str(told[name]).strip())
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise ConfigurationError(f"{where}: {name} {told[name]!r} is not a number.")
    return number


def _time_ns(where: str, told: Any) -> int:
    value = getattr(told, "value", None)  # a pandas Timestamp: nanoseconds since 1970
    if isinstance(value, int):
        return value
    text = str(told).strip()
    if text.isdigit() and len(text) > 8:
        return int(text) if len(text) > _MS_DIGITS_MAX else int(text) * NS_PER_MS
    try:
        return instant_ns(text, 0)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}.") from None
