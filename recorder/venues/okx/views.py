"""The views of OKX's channels and REST answers. Source: okx.com/docs-v5, the page of each channel and path."""

from recorder.venues.channel_view import View, answers
from recorder.venues.okx import answers as paths
from recorder.venues.okx.ledger import BILL, DEPOSIT, FUND_BILL, PUSHED, WITHDRAWAL
from recorder.venues.okx.objects import ALGO, BALANCE, FILL, FUND_BALANCE, INSTRUMENT, ORDER, POSITION

VENUE = "okx"

#: Fields that are whole numbers: times in milliseconds. All other values are texts, as sent.
_TIMES = frozenset(
    [
        "cTime",
        "uTime",
        "pTime",
        "ts",
        "fillTime",
        "triggerTime",
        "listTime",
        "expTime",
        "auctionEndTime",
        "contTdSwTime",
        "preMktSwTime",
    ]
)
_FLAGS = frozenset(["collateralEnabled", "collateralRestrict"])

_ACCOUNT = """
  totalEq adjEq availEq isoEq ordFroz imr mmr mgnRatio borrowFroz notionalUsd notionalUsdForBorrow notionalUsdForSwap
  notionalUsdForFutures notionalUsdForOption upl delta deltaLever deltaNeutralStatus uTime:int"""
#: Only of pushes.
_SNAPSHOT = "eventType curPage:int lastPage:flag"


def _typed(fields: str) -> str:
    """Fields with the types that are not text."""
    return " ".join(
        f"{name}:int" if name in _TIMES else f"{name}:flag" if name in _FLAGS else name for name in fields.split()
    )


def _pushed(topic: str, fields: str, around: str = "") -> View:
    name = f"okx_{topic.replace('-', '_')}"
    frames = f"f.source = 'push' AND f.topic = '{topic}'"
    return View(name, VENUE, frames, _typed(fields), at="data", frame_fields=around, is_list=True)


def _answered(name: str, fields: str, *of: str) -> View:
    frames, around = answers(*of), "answer_code=code answer_msg=msg"
    return View(f"okx_rest_{name}", VENUE, frames, _typed(fields), at="data", frame_fields=around, is_list=True)


def _account(name: str, frames: str, around: str) -> View:
    sums = " ".join(f"account_{word.partition(':')[0]}=data.0.{word}" for word in _ACCOUNT.split())
    return View(
        name, VENUE, frames, _typed(BALANCE), at="data.0.details", frame_fields=f"{sums} {around}", is_list=True
    )


def _changes(name: str, place: str, fields: str) -> View:
    """A part of `balance_and_position`."""
    around = "change_pTime=data.0.pTime:int eventType=data.0.eventType"
    frames = "f.source = 'push' AND f.topic = 'balance_and_position'"
    return View(name, VENUE, frames, _typed(fields), at=f"data.0.{place}", frame_fields=around, is_list=True)


VIEWS = (
    _pushed("orders", ORDER),
    _pushed("fills", "instId fillSz fillPx side ts ordId clOrdId tradeId execType count"),
    _pushed("orders-algo", ALGO),
    _pushed("algo-advance", ALGO),
    _pushed("positions", POSITION, _SNAPSHOT),
    _account("okx_account", "f.source = 'push' AND f.topic = 'account'", _SNAPSHOT),
    _changes("okx_balance_and_position_balances", "balData", "ccy cashBal uTime"),
    _changes(
        "okx_balance_and_position_positions",
        "posData",
        """posId tradeId instId instType mgnMode posSide pos ccy posCcy avgPx nonSettleAvgPx settledPnl uTime baseBal
        quoteBal""",
    ),
    _changes("okx_balance_and_position_trades", "trades", "instId tradeId"),
    _pushed(
        "liquidation-warning",
        "instType instId mgnMode posId posSide pos posCcy lever markPx mgnRatio ccy cTime uTime pTime",
    ),
    _pushed("deposit-info", f"{DEPOSIT} {PUSHED}"),
    _pushed("withdrawal-info", f"{WITHDRAWAL} {PUSHED}"),
    _answered("orders", ORDER, paths.OPEN_ORDERS, paths.ORDERS, paths.ORDERS_ARCHIVE, paths.ORDER),
    _answered("orders_algo", ALGO, paths.OPEN_ALGOS, paths.ALGOS),
    _answered("fills", FILL, paths.FILLS, paths.FILLS_ARCHIVE),
    _answered("positions", POSITION, paths.POSITIONS),
    _account("okx_rest_balance", answers(paths.BALANCE), "answer_code=code answer_msg=msg"),
    _answered("bills", BILL, paths.BILLS, paths.BILLS_ARCHIVE),
    _answered("fund_balances", FUND_BALANCE, paths.FUND_BALANCES),
    _answered("fund_bills", FUND_BILL, paths.FUND_BILLS),
    _answered("deposits", DEPOSIT, paths.DEPOSITS),
    _answered("withdrawals", WITHDRAWAL, paths.WITHDRAWALS),
    _answered("instruments", INSTRUMENT, paths.INSTRUMENTS, "/api/v5/account/instruments"),
    _answered("time", "ts", paths.TIME),
    _answered("config", "uid mainUid acctLv posMode perm ip label feeType settleCcy type", paths.CONFIG),
)
