"""The public lists of instruments and currencies, of a simulated exchange or as a record knows them."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from recorder.venues.deribit import answers
from recorder.venues.deribit.stand_in import frames
from recorder.venues.deribit.stand_in.login import DeribitRefusal
from recorder.venues.stand_in import Backend

_PLACE, _BY = ("result",), ("instrument_name",)


def currencies(backend: Backend) -> list[frames.Row]:
    """The currencies of the instruments."""
    rows = [one.fields for one in backend.listed(frames.instrument_row, _PLACE, by=_BY)]
    names = {row.get("settlement_currency", row["base_currency"]) for row in rows}
    names |= {row["base_currency"] for row in rows}
    return [{"currency": name, "currency_long": name, "coin_type": name} for name in sorted(names)]


def instruments(backend: Backend, path: str, asked: Mapping[str, str], now_ms: int) -> Any:
    """The instruments that are asked for, or the one."""
    rows = backend.listed(partial(frames.instrument_row, now_ms=now_ms), _PLACE, by=_BY)
    if path == answers.INSTRUMENTS:
        currency, kind = asked.get("currency", "any"), asked.get("kind", "any")
        mine = [one for one in rows if one.fields["is_active"] == (asked.get("expired") != "true")]
        return [
            one.row
            for one in mine
            if kind in {"any", one.fields["kind"]}
            and currency in {"any", one.fields["base_currency"], one.fields["quote_currency"]}
        ]
    found = [one.row for one in rows if one.fields["instrument_name"] == asked["instrument_name"]]
    if not found:
        raise DeribitRefusal(13020, "not_found", "instrument")
    return found[0]
