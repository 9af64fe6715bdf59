"""Decodes the answers to `POST /info`, which are told apart by the request's body.

Source: hyperliquid.gitbook.io, "Info endpoint". Errors come as HTTP statuses; an unknown address gives empty answers.
"""

from collections.abc import Callable, Sequence
from typing import Any

from recorder.errors import Undecodable
from recorder.model import DECODED, Decoded, Digits, Instrument, Update, unknown_order
from recorder.venues.fields import (
    Fields,
    as_object,
    digits,
    identifier,
    names,
    objects,
    read_json,
    required,
    text,
    unknown,
    whole,
)
from recorder.venues.hyperliquid import ledger
from recorder.venues.hyperliquid import objects as records
from recorder.venues.hyperliquid.words import MAIN_DEX, USDC

#: The target of every request, up to its body.
INFO = "POST /info "

#: Rows of a full page. It may have more: they share its last moment.
FILLS_PER_PAGE, LEDGER_PER_PAGE = 2_000, 500
_PAGE_ROWS = {
    "userFillsByTime": FILLS_PER_PAGE,
    "userTwapSliceFillsByTime": FILLS_PER_PAGE,
    "userFunding": LEDGER_PER_PAGE,
    "userNonFundingLedgerUpdates": LEDGER_PER_PAGE,
}

_NOTHING: dict[str, str] = {}


def decode_answer(target: str, payload: bytes) -> Decoded:
    """Decode an answer by its request.

    Args:
        target: `POST /info` and the body, such as `POST /info {"type":"userFills","user":"0x..."}`.
        payload: the body of the answer.

    Raises:
        Undecodable: it is not as the exchange's page describes.
    """
    if not target.startswith(INFO):
        raise Undecodable(f"{target[:60]} is not a request whose answer we know")
    request = as_object(read_json(target.removeprefix(INFO).encode()), "request")
    answer = read_json(payload)
    updates = decode_info(request, answer)
    return Decoded(target, DECODED, updates=tuple(updates), next_page=_next_page(request, answer))


def decode_info(request: Fields, answer: Any) -> Sequence[Update]:
    """The updates of an answer, over REST or over the socket.

    Raises:
        Undecodable: it is not as the exchange's page describes.
    """
    kind = required(text(request, "type"), "type")
    if kind in _WITHOUT_ROWS:
        return ()
    read = _KINDS.get(kind)
    if read is None:
        raise Undecodable(f"{kind[:60]} is not a request whose answer we know")
    return read(request, answer)


def _next_page(request: Fields, answer: Any) -> str | None:
    """The time at which the next page of a period begins; it repeats the rows of that millisecond.

    What is before a full page of the newest rows is for `questions` to ask for.

    Empty if a full page holds a single millisecond: there is no way to ask for the rest of it.
    """
    rows_max = _PAGE_ROWS.get(str(request.get("type")))
    if rows_max is None or type(answer) is not list or len(answer) < rows_max:
        return None
    times = [at_ms for at_ms in (_time_of(row) for row in answer) if at_ms is not None]
    if not times:
        return ""
    if request.get("reversed"):
        return str(min(times)) if min(times) != whole(request, "endTime") else ""
    return str(max(times)) if max(times) != whole(request, "startTime") else ""


def _time_of(row: Any) -> int | None:
    fields = as_object(row, "answer")
    return whole(as_object(fields["fill"], "fill") if "fill" in fields else fields, "time")


def _rows(answer: Any) -> list[Fields]:
    return objects({"answer": answer}, "answer")


def _open_orders(_request: Fields, answer: Any) -> Sequence[Update]:
    return records.listed_orders(_rows(answer), _NOTHING)


def _historical_orders(_request: Fields, answer: Any) -> Sequence[Update]:
    rows = records.oldest_first(_rows(answer))
    return [records.stated_order(one, _NOTHING, is_snapshot=1) for one in rows]


def _order_status(request: Fields, answer: Any) -> Sequence[Update]:
    found = as_object(answer, "answer")
    status = required(text(found, "status"), "status")
    if status == "unknownOid":
        order_id = required(identifier(request, "oid"), "oid")
        return [unknown_order(order_id)]
    if status != "order":
        raise Undecodable(f"status: {status[:60]!r} is not one we know")
    return [records.stated_order(as_object(found.get("order"), "order"), _NOTHING, is_snapshot=1)]


def _fills(request: Fields, answer: Any) -> Sequence[Update]:
    user = text(request, "user")
    return [records.fill_update(one, _NOTHING, user) for one in _rows(answer)]


def _fills_of_period(request: Fields, answer: Any) -> Sequence[Update]:
    """Which positions they closed counts only up to now: a period with an end says nothing of how they are now."""
    is_past = whole(request, "endTime") is not None
    closed = [] if is_past else [position for one in _rows(answer) for position in records.closed_by(one)]
    return [*_fills(request, answer), *closed]


def _slice_fills(request: Fields, answer: Any) -> Sequence[Update]:
    user = text(request, "user")
    return [records.slice_fill(one, _NOTHING, user) for one in _rows(answer)]


def _funding(_request: Fields, answer: Any) -> Sequence[Update]:
    return [ledger.funding(one, _NOTHING) for one in _rows(answer)]


def _ledger(request: Fields, answer: Any) -> Sequence[Update]:
    user = text(request, "user")
    return [one for row in _rows(answer) for one in ledger.ledger_rows(row, _NOTHING, user)]


def _margin_state(request: Fields, answer: Any) -> Sequence[Update]:
    dex = text(request, "dex") or MAIN_DEX
    return records.margin_state(as_object(answer, "answer"), dex, _NOTHING)


def _spot_state(_request: Fields, answer: Any) -> Sequence[Update]:
    return records.spot_state(as_object(answer, "answer"), _NOTHING)


def _perpetuals(_request: Fields, answer: Any) -> Sequence[Update]:
    return _perpetuals_of(as_object(answer, "answer"))


def _all_perpetuals(_request: Fields, answer: Any) -> Sequence[Update]:
    return [one for meta in _rows(answer) for one in _perpetuals_of(meta)]


def _perpetuals_of(meta: Fields) -> list[Instrument]:
    # Any other collateral is a number of `spotMeta`, which is another answer.
    settle = USDC if whole(meta, "collateralToken") == 0 else None
    return [
        _instrument(
            required(text(one, "name"), "name"),
            "linear",
            (text(one, "name") or "").rpartition(":")[2],
            "USD",
            settle,
            whole(one, "szDecimals"),
            records.extra_of(_NOTHING, unknown(one, _PERPETUAL)),
        )
        for one in objects(meta, "universe")
    ]


def _pairs(_request: Fields, answer: Any) -> Sequence[Update]:
    meta = as_object(answer, "answer")
    tokens = {whole(token, "index"): token for token in objects(meta, "tokens")}
    pairs: list[Update] = []
    for pair in objects(meta, "universe"):
        of = pair.get("tokens")
        base, quote = (tokens.get(one, {}) for one in of) if type(of) is list and len(of) == 2 else ({}, {})
        pairs.append(
            _instrument(
                text(pair, "name") or f"@{required(digits(pair, 'index'), 'index')}",
                "spot",
                text(base, "name"),
                text(quote, "name"),
                text(quote, "name"),
                whole(base, "szDecimals"),
                records.extra_of(_NOTHING, unknown(pair, _PAIR)),
            )
        )
    return pairs


#: `onlyIsolated` and `marginTableId` are described with `meta`; what else is there is kept in `extra`.
_PERPETUAL = names("name szDecimals maxLeverage isDelisted marginMode onlyIsolated marginTableId")
_PAIR = names("name tokens index isCanonical")


def _instrument(
    symbol: str,
    kind: str,
    base: str | None,
    quote: str | None,
    settle: str | None,
    decimals: int | None,
    extra: str | None,
) -> Instrument:
    return Instrument(None, 1, None, symbol, kind, base, quote, settle, "1", None, _step_of(decimals), extra)


def _step_of(decimals: int | None) -> Digits | None:
    """The smallest quantity of that many decimals."""
    if decimals is None or not 0 <= decimals <= 30:
        return None
    return f"0.{'1'.rjust(decimals, '0')}" if decimals else "1"


_KINDS: dict[str, Callable[[Fields, Any], Sequence[Update]]] = {
    "openOrders": _open_orders,
    "frontendOpenOrders": _open_orders,
    "historicalOrders": _historical_orders,
    "orderStatus": _order_status,
    "userFills": _fills,
    "userFillsByTime": _fills_of_period,
    "userTwapSliceFills": _slice_fills,
    "userTwapSliceFillsByTime": _slice_fills,
    "userFunding": _funding,
    "userNonFundingLedgerUpdates": _ledger,
    "clearinghouseState": _margin_state,
    "spotClearinghouseState": _spot_state,
    "meta": _perpetuals,
    "allPerpMetas": _all_perpetuals,
    "spotMeta": _pairs,
}
#: Answers that no column carries: they are kept, and their views show them.
_WITHOUT_ROWS = names(
    "exchangeStatus extraAgents outcomeMeta perpDexs subAccounts subAccounts2 twapHistory userAbstraction ",
    "userBorrowLendInterest userFees userRateLimit userRole",
)
