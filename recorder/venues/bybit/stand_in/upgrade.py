"""What was before an account was upgraded to a unified one, which has lists of its own, and what was after it.

Source: API v5, the pages of "Pre-upgrade". An account was upgraded as long ago as `Backend.retention_s` says of
"unified"; without that, it never was another kind, and these lists are empty.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from recorder.venues.bybit import answers
from recorder.venues.bybit.words import LINEAR, OPTION, SPOT
from recorder.venues.simulated import Terms
from recorder.venues.stand_in import Backend
from recorder.venues.view import AccountView, Entry, Hint, Span

#: For how long entries of before an upgrade are served, seconds: cancelled orders, and those of USDC contracts.
OLD_CANCELLED_S, OLD_USDC_S = 7 * 86_400.0, 183 * 86_400.0
#: Longer ago than any account was upgraded, seconds.
_EVER_S = 10.0**9

#: Path → the fields that its rows have.
_FIELDS = {
    answers.OLD_ORDERS: """orderId orderLinkId blockTradeId symbol price qty side isLeverage positionIdx orderStatus
      cancelType rejectReason avgPrice leavesQty leavesValue cumExecQty cumExecValue cumExecFee timeInForce orderType
      stopOrderType orderIv triggerPrice takeProfit stopLoss tpTriggerBy slTriggerBy triggerDirection triggerBy
      lastPriceOnCreated reduceOnly closeOnTrigger placeType smpType smpGroup smpOrderId createdTime updatedTime""",
    answers.OLD_EXECUTIONS: """symbol orderId orderLinkId side orderPrice orderQty leavesQty orderType stopOrderType
      execFee execId execPrice execQty execType execValue execTime isMaker feeRate tradeIv markIv markPrice indexPrice
      underlyingPrice blockTradeId closedSize""",
    answers.OLD_LOG: """symbol category side transactionTime type qty size currency tradePrice funding fee cashFlow
      change cashBalance feeRate bonusChange tradeId orderId orderLinkId""",
}
#: Path → the list of today that has the same rows.
TODAY = {
    answers.OLD_ORDERS: answers.ORDER_HISTORY,
    answers.OLD_EXECUTIONS: answers.EXECUTIONS,
    answers.OLD_LOG: answers.TRANSACTION_LOG,
}

Query = Mapping[str, str]
Read = Callable[[AccountView, Query, Backend], tuple[list[Any], str]]


def read(path: str, listed: Read, account: AccountView, asked: Query, backend: Backend) -> tuple[list[Any], str] | None:
    """A page of a list, and the cursor of the next one; None: the request is wrong.

    Args:
        path: of the request.
        listed: reads the list of today.
        account: the account.
        asked: the parameters.
        backend: the exchange.
    """
    part = cast(AccountView, _Part(account, backend, is_old=path in TODAY))
    if path not in TODAY:
        return listed(part, asked, backend)
    wanted = _wanted(path, asked)
    if wanted is None:
        return None
    rows, cursor = listed(part, wanted, replace(backend, retention_s={"cancelled": OLD_CANCELLED_S}))
    names = frozenset(_FIELDS[path].split())
    return [{name: value for name, value in row.items() if name in names} for row in rows], cursor


def _wanted(path: str, asked: Query) -> Query | None:
    """What is asked for in terms of today's lists; None: it is not to be had."""
    category = asked.get("category", "")
    if path == answers.OLD_ORDERS:
        if ("startTime" in asked) != ("endTime" in asked):
            return None
        return {**asked, "settleCoin": "USDT"} if category == LINEAR and "symbol" not in asked else asked
    if path == answers.OLD_EXECUTIONS:
        return None if category == SPOT else asked
    # The log is that of the wallet for USDC contracts and options.
    return {**asked, "currency": "USDC"} if category in {LINEAR, OPTION} else None


class _Part:
    """The histories of an account before it was upgraded, or after it; all else is as it is now."""

    def __init__(self, account: AccountView, backend: Backend, *, is_old: bool) -> None:
        self._account = account
        self._is_old = is_old
        self._upgraded_ms = backend.retained_since_ms("unified", _EVER_S, account.now_ms)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._account, name)

    def closed_orders(self, span: Span) -> Iterable[Entry]:
        """The orders that can no longer change."""
        return self._account.closed_orders(self._clipped(span))

    def fills(self, span: Span) -> Iterable[Entry]:
        """The fills."""
        return self._account.fills(self._clipped(span))

    def transactions(self, span: Span) -> Iterable[Entry]:
        """The transactions."""
        return self._account.transactions(self._clipped(span))

    def _clipped(self, span: Span) -> Span:
        if not self._is_old:
            return span._replace(since_ms=max(span.since_ms, self._upgraded_ms))
        until_ms = min(span.until_ms, self._upgraded_ms)
        is_long_ago = until_ms < self._account.now_ms - OLD_USDC_S * 1000
        return span._replace(until_ms=until_ms, hint=Hint(terms=_is_kept) if is_long_ago else span.hint)


def _is_kept(terms: Terms) -> bool:
    """Whether the history of an instrument is kept for longer than six months."""
    return terms.settle != "USDC" and terms.kind != OPTION
