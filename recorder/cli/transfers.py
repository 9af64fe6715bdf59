"""The file of transfers that a person knows of."""

import csv
import time
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

from recorder.clock import instant_ns
from recorder.errors import ConfigurationError
from recorder.read.records import Transfer

HEAD = ("account", "currency", "time", "amount")

#: Digits and an exponent within what a decoder takes: sums of them stay exact.
_CHARACTERS_MAX = 100
_EXPONENT_MAX = 99


def read_transfers(path: Path) -> list[Transfer]:
    """The transfers in a CSV file.

    Args:
        path: of the file; its first line may be the head, empty lines count for nothing.

    Raises:
        ConfigurationError: it cannot be read, or a line of it is no transfer.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(_transfers(path, csv.reader(file)))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}; name another file of transfers.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} is no CSV file in UTF-8: {error}.") from None


def _transfers(path: Path, lines: Iterator[list[str]]) -> Iterator[Transfer]:
    now_ns = time.time_ns()
    for number, line in enumerate(lines, 1):
        fields = [field.strip() for field in line]
        if not any(fields) or (number == 1 and tuple(fields) == HEAD):
            continue
        where = f"{path}, line {number}"
        if len(fields) != len(HEAD) or not all(fields):
            raise ConfigurationError(
                f"{where}: write {','.join(HEAD)}, such as main,BTC,2020-02-04T07:40:53Z,-0.5 for a withdrawal."
            )
        account, currency, at, amount = fields
        try:
            yield Transfer(account, currency, instant_ns(at, now_ns), _amount(amount))
        except ValueError as error:
            raise ConfigurationError(f"{where}: {error}.") from None


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount == 0 or len(text) > _CHARACTERS_MAX or abs(amount.adjusted()) > _EXPONENT_MAX:
        raise ValueError(f"{text[:40]!r} is not an amount; write for example 1.5, or -0.5 for a withdrawal")
    return amount
