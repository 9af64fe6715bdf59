"""The lists that the exchange answers with over REST: of an account, what is asked for, by product and path.

Source: developers.binance.com, the pages of the paths.
"""

from collections.abc import Callable, Iterable, Mapping
from heapq import merge
from itertools import islice
from typing import Any

from recorder.model import INVERSE
from recorder.venues.binance import answers, questions
from recorder.venues.binance.stand_in import frames, rows, states
from recorder.venues.binance.stand_in.face import product_of
from recorder.venues.binance.words import ALGO, COIN_M, USD_M, parts_of
from recorder.venues.stand_in import Backend, HttpError, number_in
from recorder.venues.view import AccountView, Hint, SentState, Span

#: For how long entries are served, seconds.
KEPT_S, CANCELLED_S = questions.HISTORY_MS / 1000, questions.CANCELLED_MS / 1000
#: Default number of rows on a page.
_ROWS = {"income": 100}
_ROWS_DEFAULT = 500

#: The parameters of a request.
Query = Mapping[str, str]
_Rows = list[frames.Row]
#: Makes the answer to a request: of an account, by the end of its path, and by its parameters.
List = Callable[[AccountView, str, Query, Backend], _Rows | frames.Row]


def _is_asked(row: frames.Row, asked: Query) -> bool:
    """Whether a row is of the symbol, of the pair, and of the margin asset that are asked for, if any."""
    symbol = row["symbol"]
    return (
        asked.get("symbol") in {None, symbol}
        and ("pair" not in asked or asked["pair"] == symbol.partition("_")[0])
        and ("marginAsset" not in asked or asked["marginAsset"] == parts_of(symbol)[0])
    )


def _balances(account: AccountView, _name: str, _asked: Query, _backend: Backend) -> _Rows:
    return list(map(rows.balance, account.balances()))


def _coin_m_balances(account: AccountView, name: str, asked: Query, backend: Backend) -> _Rows:
    return list(map(rows.coin_m_balance, _balances(account, name, asked, backend)))


def _account(account: AccountView, name: str, asked: Query, backend: Backend) -> frames.Row:
    """Assets and positions, without the sums in USD."""
    balances, positions = _balances(account, name, asked, backend), _positions(account, name, asked, backend)
    return {"assets": list(map(rows.asset, balances)), "positions": list(map(rows.account_position, positions))}


def _coin_m_account(account: AccountView, name: str, asked: Query, backend: Backend) -> frames.Row:
    """The same, and what the account may do."""
    told = {"canDeposit": True, "canTrade": True, "canWithdraw": True, "feeTier": 0, "updateTime": 0}
    return {**told, **_account(account, name, asked, backend)}


def _positions(account: AccountView, _name: str, asked: Query, _backend: Backend) -> _Rows:
    """Of all symbols of USD-M, the positions that are open. Of one symbol, and of COIN-M, those that are flat, too."""
    found = (row for row in map(rows.position, account.positions()) if _is_asked(row, asked))
    return [
        row
        for row in found
        if "symbol" in asked or parts_of(row["symbol"])[2] == INVERSE or str(row["positionAmt"]).strip("0.-")
    ]


def _position_mode(account: AccountView, _name: str, _asked: Query, _backend: Backend) -> frames.Row:
    """Hedge mode, if any position has a side."""
    sides = {rows.position(one)["positionSide"] for one in account.positions()}
    return {"dualSidePosition": bool(sides - {"BOTH"})}


def _brackets(_account: AccountView, _name: str, asked: Query, backend: Backend) -> _Rows | frames.Row:
    """One bracket a symbol; of a served record none, because they are not recorded."""
    found = [states.bracket_row(one) for one in backend.terms if asked.get("symbol") in {None, one.symbol}]
    is_one = "symbol" in asked and bool(found) and product_of(backend.terms) == USD_M
    return found[0] if is_one else found


def _open_orders(account: AccountView, name: str, asked: Query, _backend: Backend) -> _Rows:
    found = (row for row in map(rows.order, account.open_orders()) if _is_algo(row) == (name == "openAlgoOrders"))
    return [row for row in found if _is_asked(row, asked)]


def _one_order(account: AccountView, name: str, asked: Query, backend: Backend) -> frames.Row:
    is_algo = name == "algoOrder"
    order_id = f"{ALGO}{asked.get('algoId', '')}" if is_algo else asked.get("orderId", "")
    state = account.order(order_id)
    row = None if state is None else rows.order(state)
    if row is not None and is_algo and not _is_algo(row):
        row = frames.algo_of(row) if backend.terms else None
    if row is None or _is_algo(row) != is_algo or asked.get("symbol") not in {None, row["symbol"]}:
        raise HttpError(400, "Order does not exist.", code=-2013)
    return row


def _orders(account: AccountView, name: str, asked: Query, backend: Backend) -> _Rows:
    """By the time of their creation. Of a simulated account, an order that was triggered is on both lists."""
    since_ms, until_ms = _span(account, asked, backend, "orders")
    cancelled_ms = backend.retained_since_ms("cancelled", CANCELLED_S, account.now_ms)
    is_algo = name == "allAlgoOrders"
    at, number = ("createTime", "algoId") if is_algo else ("time", "orderId")
    first = number_in(asked.get("orderId", "")) or 0

    def row_of(state: SentState) -> frames.Row:
        row = rows.order(state)
        is_both = is_algo and backend.terms and not _is_algo(row) and str(row["stopPrice"]).strip("0.")
        return frames.algo_of(row) if is_both else row

    def is_wanted(row: frames.Row) -> bool:
        return (
            _is_algo(row) == is_algo
            and _is_asked(row, asked)
            and since_ms <= row[at] <= until_ms
            and row[number] >= first
            and (
                row["updateTime"] >= cancelled_ms
                or bool(str(row["actualQty" if is_algo else "executedQty"]).strip("0."))
            )
        )

    def place(row: frames.Row) -> tuple[int, int]:
        return row[at], row[number]

    span = Span(since_ms, until_ms + 1, symbol=asked.get("symbol"), oldest_first=True, hint=Hint(trigger=is_algo))
    ended = filter(is_wanted, (row_of(entry.state) for entry in account.closed_orders(span)))
    # What was pushed of an order does not say when it was made.
    in_order = ended if backend.terms else sorted(ended, key=place)
    opened = sorted(filter(is_wanted, map(row_of, account.open_orders())), key=place)
    return _page(merge(in_order, opened, key=place), name, asked)


def _fills(account: AccountView, name: str, asked: Query, backend: Backend) -> _Rows:
    since_ms, until_ms = _span(account, asked, backend, "fills")
    first = number_in(asked.get("fromId", "")) or 0
    hint = Hint(beyond=first - 1)
    span = Span(since_ms=since_ms, until_ms=until_ms + 1, symbol=asked.get("symbol"), oldest_first=True, hint=hint)
    order_id = asked.get("orderId")
    found = (row for one in account.fills(span) if _is_asked(row := rows.fill(one.state), asked))
    wanted = (row for row in found if row["id"] >= first and order_id in {None, str(row["orderId"])})
    return _page(wanted, name, asked)


def _income(account: AccountView, name: str, asked: Query, backend: Backend) -> _Rows:
    since_ms, until_ms = _span(account, asked, backend, "transactions")
    span = Span(since_ms=since_ms, until_ms=until_ms + 1, symbol=asked.get("symbol"), oldest_first=True)
    kind = asked.get("incomeType")
    found = (row for row in rows.income(account.transactions(span)) if kind in {None, row["incomeType"]})
    return _page(found, name, asked)


def _span(account: AccountView, asked: Query, backend: Backend, kind: str) -> tuple[int, int]:
    """The period that is asked for, of what is remembered; by default the last seven days."""
    kept_ms = backend.retained_since_ms(kind, KEPT_S, account.now_ms)
    until_ms = int(asked.get("endTime", account.now_ms))
    by_id = "fromId" in asked or "orderId" in asked
    since_ms = int(asked["startTime"]) if "startTime" in asked else 0 if by_id else until_ms - questions.WINDOW_MS
    return max(since_ms, kept_ms), until_ms


def _page(found: Iterable[Any], name: str, asked: Query) -> _Rows:
    limit = int(asked.get("limit", _ROWS.get(name, _ROWS_DEFAULT)))
    return list(islice(found, min(max(limit, 1), answers.PAGE_ROWS)))


def _is_algo(row: frames.Row) -> bool:
    return "algoId" in row


_USD_M_LISTS: dict[str, List] = {
    "balance": _balances,
    "account": _account,
    "positionRisk": _positions,
    "positionSide/dual": _position_mode,
    "leverageBracket": _brackets,
    "openOrders": _open_orders,
    "openAlgoOrders": _open_orders,
    "order": _one_order,
    "algoOrder": _one_order,
    "allOrders": _orders,
    "allAlgoOrders": _orders,
    "userTrades": _fills,
    "income": _income,
}
#: Product → end of a path → how its answer is made.
LISTS = {USD_M: _USD_M_LISTS, COIN_M: {**_USD_M_LISTS, "balance": _coin_m_balances, "account": _coin_m_account}}
