"""The views of Binance spot's events and REST answers.

SQL does not tell capital letters from small ones, and the exchange does: `s` is the symbol, `S` the side. So a column
of an event has the exchange's letter and a word, `s_symbol` and `S_side`.
Source: developers.binance.com/docs/binance-spot-api-docs, "User Data Streams" and the page of each path.
"""

from recorder.venues.binance_spot import answers as paths
from recorder.venues.binance_spot.objects import ACCOUNT, ASSET, INSTRUMENT, ORDER, TRADE
from recorder.venues.channel_view import View, answers
from recorder.venues.fields import names

VENUE = "binance_spot"

#: Column → letter of the event.
_ALL = "E_event_time=E:int"
_REPORT = f"""
  {_ALL} s_symbol=s c_client_order_id=c S_side=S o_type=o f_time_in_force=f q_quantity=q p_price=p P_stop_price=P
  F_iceberg_quantity=F g_order_list_id=g:int C_original_client_order_id=C x_execution_type=x X_status=X
  r_reject_reason=r i_order_id=i:int l_last_quantity=l z_filled_quantity=z L_last_price=L n_commission=n
  N_commission_asset=N T_transaction_time=T:int t_trade_id=t:int I_execution_id=I:int w_is_on_book=w:flag
  m_is_maker=m:flag M_ignore=M:flag O_creation_time=O:int Z_filled_quote=Z Y_last_quote=Y Q_quote_quantity=Q
  W_working_time=W:int V_self_trade_prevention=V d_trailing_delta=d:int D_trailing_time=D:int j_strategy_id=j:int
  J_strategy_type=J:int v_prevented_match_id=v:int A_prevented_quantity=A B_last_prevented_quantity=B
  u_trade_group_id=u:int U_counter_order_id=U:int Cs_counter_symbol=Cs pl_prevented_execution_quantity=pl
  pL_prevented_execution_price=pL pY_prevented_execution_quote=pY b_match_type=b a_allocation_id=a:int
  k_working_floor=k uS_used_sor=uS:flag gP_peg_price_type=gP gOT_peg_offset_type=gOT gOV_peg_offset_value=gOV:int
  gp_pegged_price=gp eR_expiry_reason=eR:int"""
_LIST = f"""
  {_ALL} s_symbol=s g_order_list_id=g:int c_contingency_type=c l_list_status_type=l L_list_order_status=L
  r_reject_reason=r C_list_client_order_id=C T_transaction_time=T:int O_orders=O"""
_DELTA = f"{_ALL} a_asset=a d_delta=d T_clear_time=T:int"

_INTS = names("""
    orderId orderListId time updateTime workingTime preventedMatchId strategyId strategyType trailingDelta trailingTime
    pegOffsetValue id makerCommission takerCommission buyerCommission sellerCommission uid baseAssetPrecision
    quotePrecision quoteAssetPrecision baseCommissionPrecision quoteCommissionPrecision serverTime expiryReason""")
_FLAGS = names("""
    isWorking usedSor isBuyer isMaker isBestMatch canTrade canWithdraw canDeposit brokered requireSelfTradePrevention
    preventSor icebergAllowed ocoAllowed otoAllowed opoAllowed quoteOrderQtyMarketAllowed allowTrailingStop
    cancelReplaceAllowed amendAllowed pegInstructionsAllowed isSpotTradingAllowed isMarginTradingAllowed""")


def _typed(fields: str) -> str:
    """Fields of an answer with the types that are not text."""
    return " ".join(
        f"{name}:int" if name in _INTS else f"{name}:flag" if name in _FLAGS else name for name in fields.split()
    )


def _pushed(event: str, name: str, fields: str) -> View:
    frames = f"f.source = 'push' AND f.topic = '{event}'"
    return View(f"binance_spot_{name}", VENUE, frames, fields, at="event", frame_fields="subscriptionId:int")


def _answered(name: str, fields: str, *of: str) -> View:
    return View(f"binance_spot_rest_{name}", VENUE, answers(*of), _typed(fields), is_list=True)


_ACCOUNT = " ".join(f"account_{word}" for word in _typed(ACCOUNT).split() if word != "balances")

VIEWS = (
    _pushed("executionReport", "execution_report", _REPORT),
    View(
        "binance_spot_outbound_account_position",
        VENUE,
        "f.source = 'push' AND f.topic = 'outboundAccountPosition'",
        "a_asset=a f_free=f l_locked=l",
        at="event.B",
        frame_fields="E_event_time=event.E:int u_last_update=event.u:int subscriptionId:int",
        is_list=True,
    ),
    _pushed("balanceUpdate", "balance_update", _DELTA),
    _pushed("listStatus", "list_status", _LIST),
    _pushed("externalLockUpdate", "external_lock_update", _DELTA),
    _answered("orders", ORDER, paths.OPEN_ORDERS, paths.ORDERS, paths.ORDER),
    _answered("my_trades", TRADE, paths.TRADES),
    View(
        "binance_spot_rest_account",
        VENUE,
        answers(paths.ACCOUNT),
        ASSET,
        at="balances",
        frame_fields=" ".join(f"{name.partition(':')[0]}={name.removeprefix('account_')}" for name in _ACCOUNT.split()),
        is_list=True,
    ),
    View(
        "binance_spot_rest_exchange_info",
        VENUE,
        answers(paths.INSTRUMENTS),
        _typed(INSTRUMENT),
        at="symbols",
        frame_fields="serverTime:int timezone",
        is_list=True,
    ),
    View("binance_spot_rest_time", VENUE, answers(paths.TIME), "serverTime:int"),
)
