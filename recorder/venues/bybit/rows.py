"""Reads one row of a push or of a REST answer with care, and converts it to records."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import UNSET

from recorder.model import Update
from recorder.venues.bybit import objects, records
from recorder.venues.bybit.fields import read_object
from recorder.venues.bybit.words import UNIFIED
from recorder.venues.fields import Fields, names
from recorder.venues.fields import objects as objects_of
from recorder.venues.values import extra_text

ORDER, EXECUTION, POSITION, WALLET = "order", "execution", "position", "wallet"

_OTHERS: dict[type[msgspec.Struct], frozenset[str]] = {
    objects.OrderObject: names(objects.OTHER_ORDER_FIELDS),
    objects.ExecutionObject: names(objects.OTHER_EXECUTION_FIELDS),
    objects.PositionObject: names(objects.OTHER_POSITION_FIELDS),
    objects.WalletObject: names(objects.OTHER_WALLET_FIELDS),
    objects.CoinObject: names(objects.OTHER_COIN_FIELDS),
}
_Object = TypeVar("_Object", bound=msgspec.Struct)


def _read(fields: Fields, struct: type[_Object], around: Mapping[str, str]) -> tuple[_Object, str | None]:
    one, unknown = read_object(fields, struct, _OTHERS[struct])
    return one, extra_text({**around, **unknown})


def read_row(
    kind: str,
    fields: Fields,
    category: str | None,
    event_ms: int | None,
    around: Mapping[str, str],
    *,
    is_snapshot: int = 0,
) -> list[Update]:
    """The records of a row.

    Args:
        kind: `order`, `execution`, `position` or `wallet`.
        fields: of the row.
        category: its product line, where only what is around the rows says it.
        event_ms: the time of the push or of the answer.
        around: undocumented fields around the rows: name → JSON text.
        is_snapshot: 1 if the row is part of a full state.

    Raises:
        Undecodable: it cannot be read.
    """
    if kind == ORDER:
        order, extra = _read(fields, objects.OrderObject, around)
        order.category = order.category or category
        return [records.order_update(order, event_ms, extra, is_snapshot=is_snapshot)]
    if kind == EXECUTION:
        execution, extra = _read(fields, objects.ExecutionObject, around)
        execution.category = execution.category or category
        return [records.execution_update(execution, event_ms, extra)]
    if kind == POSITION:
        position, extra = _read(fields, objects.PositionObject, around)
        position.category = position.category or category
        return [records.position_update(position, event_ms, extra, is_snapshot=is_snapshot)]
    return list(_coins(fields, event_ms, around, is_snapshot))


def _coins(fields: Fields, event_ms: int | None, around: Mapping[str, str], is_snapshot: int) -> list[Update]:
    account = {name: value for name, value in fields.items() if name != "coin"}
    wallet, unknown = read_object(account, objects.WalletObject, _OTHERS[objects.WalletObject], coin=[UNSET])
    updates: list[Update] = []
    for one in objects_of(fields, "coin"):
        coin, extra = _read(one, objects.CoinObject, {**around, **unknown})
        name = wallet.account_type or UNIFIED
        updates.append(records.account_update(coin, name, event_ms, extra, is_snapshot=is_snapshot))
    return updates
