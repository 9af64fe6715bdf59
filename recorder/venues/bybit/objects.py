"""Bybit's objects: order, execution, position, coin. Source: API v5, "WebSocket Stream", "Private", and the REST pages.

Amounts, prices and times are texts, and an empty text means that there is none. The classes declare the fields that
reach a column; the lists beside them name the other documented ones, which are in the venue's views only.
"""

from typing import Any, TypeVar, cast

import msgspec
from msgspec import UNSET, UnsetType

#: A text that may be missing or null.
Text = str | UnsetType | None
#: Fields that no column needs: of any type but a fraction, which would lose its digits here.
Anything = str | int | bool | UnsetType | None


class ExtraFee(msgspec.Struct, gc=False, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A tax on an execution, on top of its fee."""

    fee_coin: str | UnsetType = UNSET
    fee_type: str | UnsetType = UNSET
    sub_fee_type: str | UnsetType = UNSET
    fee_rate: str | UnsetType = UNSET
    fee: str | UnsetType = UNSET


class OrderObject(msgspec.Struct, gc=False, rename="camel"):
    """A row of topic `order`, and of the REST answers about orders."""

    order_id: str
    category: Text = UNSET
    symbol: Text = UNSET
    order_link_id: Text = UNSET
    side: Text = UNSET
    position_idx: int | UnsetType | None = UNSET
    order_status: Text = UNSET
    cancel_type: Text = UNSET
    reject_reason: Text = UNSET
    order_type: Text = UNSET
    time_in_force: Text = UNSET
    price: Text = UNSET
    qty: Text = UNSET
    market_unit: Text = UNSET
    avg_price: Text = UNSET
    cum_exec_qty: Text = UNSET
    cum_exec_fee: Text = UNSET
    cum_fee_detail: dict[str, str] | UnsetType | None = UNSET
    fee_currency: Text = UNSET
    trigger_price: Text = UNSET
    reduce_only: bool | UnsetType | None = UNSET
    created_time: Text = UNSET
    updated_time: Text = UNSET


OTHER_ORDER_FIELDS = """
  parentOrderLinkId createType cumExecValue leavesQty leavesValue closedPnl stopOrderType triggerBy triggerDirection
  takeProfit stopLoss tpTriggerBy slTriggerBy tpLimitPrice slLimitPrice tpslMode ocoTriggerBy closeOnTrigger isLeverage
  lastPriceOnCreated basePrice orderIv placeType blockTradeId brokerOrderPrice smpType smpGroup smpOrderId
  slippageTolerance slippageToleranceType rpiTakerAccess rpiMatchedQty extraFees"""


class ExecutionObject(msgspec.Struct, gc=False, rename="camel"):
    """A row of topic `execution`, and of the REST answer about executions."""

    category: Text = UNSET
    symbol: Text = UNSET
    side: Text = UNSET
    order_id: Text = UNSET
    order_link_id: Text = UNSET
    exec_id: Text = UNSET
    exec_type: Text = UNSET
    exec_price: Text = UNSET
    exec_qty: Text = UNSET
    exec_fee: Text = UNSET
    fee_currency: Text = UNSET
    #: What some captured frames have instead.
    fee_coin: Text = UNSET
    extra_fees: str | list[ExtraFee] | UnsetType | None = UNSET
    is_maker: bool | UnsetType | None = UNSET
    exec_pnl: Text = UNSET
    exec_time: Text = UNSET


OTHER_EXECUTION_FIELDS = """
  execValue feeRate closedSize orderPrice orderQty leavesQty orderType stopOrderType createType marketUnit isLeverage
  markPrice indexPrice underlyingPrice tradeIv markIv blockTradeId execFeeV2 seq"""


class PositionObject(msgspec.Struct, gc=False, rename="camel"):
    """A row of topic `position`, and of the REST answer about positions."""

    symbol: str
    category: Text = UNSET
    position_idx: int | UnsetType | None = UNSET
    side: Text = UNSET
    size: Text = UNSET
    entry_price: Text = UNSET
    #: What REST calls the entry price.
    avg_price: Text = UNSET
    mark_price: Text = UNSET
    liq_price: Text = UNSET
    leverage: Text = UNSET
    position_im: Text = msgspec.field(default=UNSET, name="positionIM")
    unrealised_pnl: Text = UNSET
    cur_realised_pnl: Text = UNSET
    updated_time: Text = UNSET


OTHER_POSITION_FIELDS = """
  sessionAvgPrice positionValue breakEvenPrice positionMM positionIMByMp positionMMByMp cumRealisedPnl takeProfit
  stopLoss trailingStop positionStatus adlRankIndicator autoAddMargin riskId tradeMode riskLimitValue tpslMode bustPrice
  positionBalance isReduceOnly mmrSysUpdatedTime mmrSysUpdateTime leverageSysUpdatedTime delta gamma vega theta
  createdTime openTime seq"""


class CoinObject(msgspec.Struct, gc=False, rename="camel"):
    """A coin of topic `wallet`, and of the REST answer about balances."""

    coin: str
    wallet_balance: Text = UNSET
    spot_borrow: Text = UNSET
    equity: Text = UNSET
    locked: Text = UNSET
    total_order_im: Text = msgspec.field(default=UNSET, name="totalOrderIM")
    total_position_im: Text = msgspec.field(default=UNSET, name="totalPositionIM")
    unrealised_pnl: Text = UNSET


OTHER_COIN_FIELDS = """
  totalPositionMM cumRealisedPnl borrowAmount accruedInterest bonus usdValue spotHedgingQty colRes collateralSwitch
  marginCollateral availableToWithdraw availableToBorrow free"""


class WalletObject(msgspec.Struct, gc=False, rename="camel"):
    """A row of topic `wallet`: an account and its coins."""

    coin: list[Any]
    account_type: Text = UNSET


#: Fields of the account around the coins. Its sums in USD are not the balance of a currency.
OTHER_WALLET_FIELDS = """
  totalEquity totalWalletBalance totalMarginBalance totalAvailableBalance totalPerpUPL totalInitialMargin
  totalMaintenanceMargin totalInitialMarginByMp totalMaintenanceMarginByMp accountIMRate accountMMRate
  accountIMRateByMp accountMMRateByMp accountLTV"""

_Object = TypeVar("_Object", bound=msgspec.Struct)


def whole(struct: type[_Object], others: str, *typed: tuple[str, Any]) -> type[_Object]:
    """The object with all documented fields and no other.

    Args:
        struct: its fields that reach a column.
        others: names of the rest.
        typed: fields of the struct whose type is narrower here.
    """
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [*typed]
    fields += [(name, Anything, UNSET) for name in others.split()]
    made = msgspec.defstruct(f"Whole{struct.__name__}", fields, bases=(struct,), forbid_unknown_fields=True, gc=False)
    return cast("type[_Object]", made)


WholeOrder = whole(OrderObject, OTHER_ORDER_FIELDS)
WholeExecution = whole(ExecutionObject, OTHER_EXECUTION_FIELDS)
WholePosition = whole(PositionObject, OTHER_POSITION_FIELDS)
WholeCoin = whole(CoinObject, OTHER_COIN_FIELDS)
WholeWallet = whole(WalletObject, OTHER_WALLET_FIELDS, ("coin", list[WholeCoin]))  # type: ignore[valid-type]
