"""The views of Hyperliquid's channels and of the answers to `POST /info`.

Source: hyperliquid.gitbook.io, "WebSocket subscriptions" and "Info endpoint". Ids are texts: they may have 64 bits
without a sign. A field inside a nested object is a column of the field's name, with the object's name before it where
two would have the same name.
"""

from recorder.venues.channel_view import ANSWERS, REPEATING, View

VENUE = "hyperliquid"


def _inside(place: str, fields: str, before: str = "") -> str:
    """Fields of a nested object, as columns of these names with a text before."""
    parts = []
    for word in fields.split():
        name, _, kind = word.partition(":")
        column, _, path = name.partition("=")
        parts.append(f"{before}{column}={place}.{path or column}{':' if kind else ''}{kind}")
    return " ".join(parts)


_ORDER = "coin side limitPx sz origSz oid timestamp:int cloid reduceOnly:flag"
_FULL_ORDER = f"{_ORDER} orderType tif isTrigger:flag triggerPx triggerCondition isPositionTpsl:flag children"
_STATUS = "status statusTimestamp:int"
_FILL = f"""
  coin side px sz time:int startPosition dir closedPnl oid tid hash crossed:flag fee feeToken builderFee cloid
  {_inside("liquidation", "liquidatedUser markPx method")} feeTrialEscrow"""
_SLICE = f"twapId fill_twapId=fill.twapId {_inside('fill', _FILL)}"
_FUNDING = "coin usdc szi fundingRate nSamples:int"
_DELTA = """
  type usdc token amount usdcValue user destination sourceDex destinationDex toPerp:flag fee nativeTokenFee feeToken
  nonce vault requestedUsd commission closingCost basis netWithdrawnUsd liquidatedNtlPos accountValue leverageType
  liquidatedPositions isDeposit:flag operation interestAmount dex"""
_LEDGER = f"time:int hash {_inside('delta', _DELTA)} delta"
_MARGIN = "accountValue totalNtlPos totalRawUsd totalMarginUsed"
_STATE = f"""
  {_inside("marginSummary", _MARGIN)} {_inside("crossMarginSummary", _MARGIN, "cross_")} crossMaintenanceMarginUsed
  withdrawable assetPositions time:int"""
_LEVERAGE = "type value rawUsd"
_POSITION = f"""
  type {_inside("position", "coin szi entryPx positionValue unrealizedPnl returnOnEquity liquidationPx marginUsed")}
  maxLeverage=position.maxLeverage:int {_inside("position.leverage", _LEVERAGE, "leverage_")}
  {_inside("position.cumFunding", "allTime sinceOpen sinceChange", "cumFunding_")}"""
_BALANCE = "coin token:int total hold entryNtl spotHold ltv borrowed supplied"
_SPOT = """
  portfolioMarginEnabled:flag portfolioMarginRatio evmEscrows tokenToAvailableAfterMaintenance
  tokenToPortfolioBorrowRatio tokenToPortfolioSupplyRatio"""
_TWAP = f"""
  coin user side sz executedSz executedNtl minutes:int reduceOnly:flag randomize:flag timestamp:int
  {_inside("trigger", "px above:flag", "trigger_")} stopPx"""
_TWAP_HISTORY = f"time:int {_inside('status', 'status description')} {_inside('state', _TWAP)} twapId"
_LIQUIDATION = "lid liquidator liquidated_user liquidated_ntl_pos liquidated_account_value"
_USER = "user=data.user"
_SNAPSHOT = "isSnapshot=data.isSnapshot:flag"
#: Where the objects have a field `user` themselves.
_STREAM_USER = "stream_user=data.user"


def _push(
    topic: str, fields: str, at: str, frame_fields: str = "", *, is_list: bool = False, part: str = "", of: bool = False
) -> View:
    """A view of a channel.

    Args:
        topic: of its frames.
        fields: of each object.
        at: where the objects are.
        frame_fields: of the frame around them.
        is_list: whether they are in a list.
        part: the end of the view's name, where a channel has several.
        of: whether a topic ends with the exchange or the symbol that it is limited to.
    """
    frames = f"{REPEATING} AND f.topic = '{topic}'"
    if of:
        frames = f"{REPEATING} AND (f.topic = '{topic}' OR substr(f.topic, 1, {len(topic) + 1}) = '{topic}:')"
    name = f"{VENUE}_{topic.lower()}{part}"
    return View(name, VENUE, frames, fields, at=at, frame_fields=frame_fields, is_list=is_list)


def _info(
    kinds: str, fields: str, at: str = "", frame_fields: str = "", *, is_list: bool = True, part: str = ""
) -> View:
    """A view of the answers to requests of some types, named after the first; most answers are a list."""
    begins = [f'POST /info {{"type":"{kind}"' for kind in kinds.split()]
    any_of = " OR ".join(f"substr(f.topic, 1, {len(begin)}) = '{begin}'" for begin in begins)
    name = f"{VENUE}_info_{kinds.split(maxsplit=1)[0].lower()}{part}"
    frames = f"{ANSWERS} AND ({any_of})"
    return View(name, VENUE, frames, fields, at=at, frame_fields=frame_fields, is_list=is_list)


_PUSHES = (
    _push("orderUpdates", f"{_inside('order', _ORDER)} {_STATUS}", "data", is_list=True),
    _push(
        "userEvents",
        f"""fills twapSliceFills twapHistory nonUserCancel {_inside("funding", f"time:int {_FUNDING}", "funding_")}
        {_inside("liquidation", _LIQUIDATION)}""",
        "data",
    ),
    _push("userEvents", "coin oid", "data.nonUserCancel", is_list=True, part="_nonusercancel"),
    _push("userFills", f"{_FILL} twapId", "data.fills", f"{_USER} {_SNAPSHOT}", is_list=True),
    _push("userTwapSliceFills", _SLICE, "data.twapSliceFills", f"{_USER} {_SNAPSHOT}", is_list=True),
    _push("userFundings", f"time:int {_FUNDING}", "data.fundings", f"{_USER} {_SNAPSHOT}", is_list=True),
    _push(
        "userNonFundingLedgerUpdates",
        _LEDGER,
        "data.nonFundingLedgerUpdates",
        f"{_STREAM_USER} {_SNAPSHOT}",
        is_list=True,
    ),
    _push("userTwapHistory", _TWAP_HISTORY, "data.history", f"{_STREAM_USER} {_SNAPSHOT}", is_list=True),
    _push(
        "userHistoricalOrders",
        f"{_inside('order', _FULL_ORDER)} {_STATUS}",
        "data.orderHistory",
        f"{_USER} {_SNAPSHOT}",
        is_list=True,
    ),
    _push("clearinghouseState", _STATE, "data.clearinghouseState", f"dex=data.dex {_USER}", of=True),
    _push(
        "clearinghouseState",
        _POSITION,
        "data.clearinghouseState.assetPositions",
        f"dex=data.dex {_USER} time=data.clearinghouseState.time:int",
        is_list=True,
        part="_positions",
        of=True,
    ),
    _push(
        "allDexsClearinghouseState",
        f"dex=0 {_inside('1', _STATE)}",
        "data.clearinghouseStates",
        _USER,
        is_list=True,
    ),
    _push("openOrders", _FULL_ORDER, "data.orders", f"dex=data.dex {_USER}", is_list=True, of=True),
    _push(
        "spotState", _BALANCE, "data.spotState.balances", f"{_USER} {_inside('data.spotState', _SPOT)}", is_list=True
    ),
    _push(
        "twapStates",
        f"twapId=0 {_inside('1', _TWAP)}",
        "data.states",
        f"dex=data.dex {_STREAM_USER}",
        is_list=True,
        of=True,
    ),
    _push(
        "webData3",
        """agentAddress agentValidUntil:int cumLedger serverTime:int isVault:flag user abstraction
        dexAbstractionEnabled:flag optOutOfSpotDusting:flag""",
        "data.userState",
        "perpDexStates=data.perpDexStates",
    ),
    _push(
        "activeAssetData",
        f"""user coin {_inside("leverage", _LEVERAGE, "leverage_")}
        {_inside("maxTradeSzs", "buy=0 sell=1", "maxTradeSzs_")}
        {_inside("availableToTrade", "buy=0 sell=1", "availableToTrade_")} markPx""",
        "data",
        of=True,
    ),
    _push("notification", "notification", "data"),
)

_ANSWERS = (
    _info("orderStatus", f"{_inside('order', _FULL_ORDER)} {_STATUS}", "order", "answer_status=status", is_list=False),
    _info("openOrders frontendOpenOrders", _FULL_ORDER),
    _info("historicalOrders", f"{_inside('order', _FULL_ORDER)} {_STATUS}"),
    _info("userFills userFillsByTime", f"{_FILL} twapId"),
    _info("userTwapSliceFills userTwapSliceFillsByTime", _SLICE),
    _info("twapHistory", _TWAP_HISTORY),
    _info("userFunding", f"time:int hash {_inside('delta', f'type {_FUNDING}')}"),
    _info("userNonFundingLedgerUpdates", _LEDGER),
    _info("clearinghouseState", _STATE, is_list=False),
    _info("clearinghouseState", _POSITION, "assetPositions", "time:int", part="_positions"),
    _info("spotClearinghouseState", _BALANCE, "balances", _SPOT),
    _info("meta", "name szDecimals:int maxLeverage:int isDelisted:flag marginMode", "universe", "collateralToken:int"),
    _info("allPerpMetas", "collateralToken:int universe"),
    _info("spotMeta", "name base=tokens.0:int quote=tokens.1:int index:int", "universe"),
    _info("spotMeta", "name index:int szDecimals:int weiDecimals:int", "tokens", part="_tokens"),
    _info("perpDexs", "name fullName deployer oracleUpdater"),
    _info("userRole", "role master=data.master user=data.user", is_list=False),
    _info("extraAgents", "name address validUntil:int"),
    _info(
        "subAccounts subAccounts2",
        "name subAccountUser master clearinghouseState dexToClearinghouseState spotState abstraction",
    ),
    _info("exchangeStatus", "specialStatuses time:int", is_list=False),
    _info("userFees", "userCrossRate userAddRate userSpotCrossRate userSpotAddRate", is_list=False),
    _info("userRateLimit", "cumVlm nRequestsUsed:int nRequestsCap:int", is_list=False),
)

VIEWS = (*_PUSHES, *_ANSWERS)
