"""The views of Bybit's private topics and REST answers. Source: API v5, the page of each topic and path.

`seq` of the exchange is the column `cross_seq`, because `seq` is the number of the frame.
"""

from recorder.venues.channel_view import View, answers


def _pushes(*topics: str) -> str:
    """Which frames are pushes of these topics."""
    return f"f.source = 'push' AND f.topic IN ({', '.join(repr(topic) for topic in topics)})"


def _categorized(topic: str) -> tuple[str, ...]:
    """A topic, and its forms for one category each."""
    return topic, *(f"{topic}.{category}" for category in ("spot", "linear", "inverse", "option"))


_ORDER = """
  category symbol orderId orderLinkId parentOrderLinkId side positionIdx:int orderStatus createType cancelType
  rejectReason orderType timeInForce price qty marketUnit avgPrice cumExecQty cumExecValue leavesQty leavesValue
  cumExecFee cumFeeDetail feeCurrency extraFees closedPnl stopOrderType triggerPrice triggerBy triggerDirection:int
  takeProfit stopLoss tpTriggerBy slTriggerBy tpLimitPrice slLimitPrice tpslMode ocoTriggerBy reduceOnly:flag
  closeOnTrigger:flag isLeverage lastPriceOnCreated basePrice orderIv placeType blockTradeId brokerOrderPrice smpType
  smpGroup:int smpOrderId slippageTolerance slippageToleranceType rpiTakerAccess:flag rpiMatchedQty createdTime:int
  updatedTime:int"""
_EXECUTION = """
  category symbol side orderId orderLinkId execId execType execPrice execQty execValue execFee execFeeV2 feeCurrency
  feeCoin feeRate extraFees isMaker:flag closedSize execPnl orderPrice orderQty leavesQty orderType stopOrderType
  createType marketUnit isLeverage markPrice indexPrice underlyingPrice tradeIv markIv blockTradeId execTime:int
  cross_seq=seq:int"""
_POSITION = """
  category symbol positionIdx:int side size entryPrice avgPrice sessionAvgPrice positionValue markPrice leverage
  breakEvenPrice liqPrice unrealisedPnl positionIM positionMM positionIMByMp positionMMByMp curRealisedPnl
  cumRealisedPnl takeProfit stopLoss trailingStop positionStatus adlRankIndicator:int autoAddMargin:int riskId:int
  tradeMode:int riskLimitValue tpslMode bustPrice positionBalance isReduceOnly:flag mmrSysUpdatedTime:int
  mmrSysUpdateTime:int leverageSysUpdatedTime:int delta gamma vega theta createdTime:int openTime:int updatedTime:int
  cross_seq=seq:int"""
_COIN = """
  coin walletBalance equity locked totalOrderIM totalPositionIM totalPositionMM unrealisedPnl cumRealisedPnl
  borrowAmount spotBorrow accruedInterest bonus usdValue spotHedgingQty colRes collateralSwitch:flag
  marginCollateral:flag availableToWithdraw availableToBorrow free"""
_ACCOUNT = """
  accountType totalEquity totalWalletBalance totalMarginBalance totalAvailableBalance totalPerpUPL totalInitialMargin
  totalMaintenanceMargin totalInitialMarginByMp totalMaintenanceMarginByMp accountIMRate accountMMRate
  accountIMRateByMp accountMMRateByMp accountLTV"""
_TRANSACTION = """
  id type transSubType category symbol currency side qty size tradePrice cashFlow funding fee change cashBalance feeRate
  bonusChange tradeId orderId orderLinkId extraFees transactionTime:int"""
_CLOSED_PNL = """
  symbol orderId side qty orderPrice orderType execType closedSize cumEntryValue avgEntryPrice cumExitValue avgExitPrice
  closedPnl openFee closeFee fillCount leverage createdTime:int updatedTime:int"""
_INSTRUMENT = """
  symbol contractType optionsType status baseCoin quoteCoin settleCoin symbolType launchTime:int deliveryTime:int
  deliveryFeeRate priceScale minPrice=priceFilter.minPrice maxPrice=priceFilter.maxPrice tickSize=priceFilter.tickSize
  qtyStep=lotSizeFilter.qtyStep basePrecision=lotSizeFilter.basePrecision quotePrecision=lotSizeFilter.quotePrecision
  minOrderQty=lotSizeFilter.minOrderQty maxOrderQty=lotSizeFilter.maxOrderQty minOrderAmt=lotSizeFilter.minOrderAmt
  maxOrderAmt=lotSizeFilter.maxOrderAmt minNotionalValue=lotSizeFilter.minNotionalValue
  maxMktOrderQty=lotSizeFilter.maxMktOrderQty postOnlyMaxOrderQty=lotSizeFilter.postOnlyMaxOrderQty
  maxLimitOrderQty=lotSizeFilter.maxLimitOrderQty maxMarketOrderQty=lotSizeFilter.maxMarketOrderQty
  minLeverage=leverageFilter.minLeverage maxLeverage=leverageFilter.maxLeverage
  leverageStep=leverageFilter.leverageStep priceLimitRatioX=riskParameters.priceLimitRatioX
  priceLimitRatioY=riskParameters.priceLimitRatioY unifiedMarginTrade:flag fundingInterval:int copyTrading
  upperFundingRate lowerFundingRate displayName forbidUplWithdrawal:flag isPreListing:flag preListingInfo innovation
  marginTrading stTag xstockMultiplier"""

_PUSHED = "id creationTime:int"
_ANSWERED = "retCode:int retMsg time:int"
_PAGE = f"category=result.category nextPageCursor=result.nextPageCursor {_ANSWERED}"


def _around(fields: str, place: str) -> str:
    """Fields of an object at a place of the frame."""
    return " ".join(f"{name}={place}.{name}" for name in fields.split())


def _pushed(name: str, fields: str, *topics: str, around: str = _PUSHED) -> View:
    return View(f"bybit_{name}", "bybit", _pushes(*topics), fields, at="data", frame_fields=around, is_list=True)


def _answered(name: str, fields: str, *paths: str, at: str = "result.list", around: str = _ANSWERED) -> View:
    return View(f"bybit_rest_{name}", "bybit", answers(*paths), fields, at=at, frame_fields=around, is_list=True)


def _in_page(fields: str) -> str:
    """Fields of a row whose category is that of its page."""
    return fields.replace("  category ", "  ", 1)


_CURSOR = f"nextPageCursor=result.nextPageCursor {_ANSWERED}"
_LOG = "/v5/account/transaction-log"
_PRE = "/v5/pre-upgrade"

VIEWS = (
    _pushed("order", _ORDER, *_categorized("order")),
    _pushed("execution", _EXECUTION, *_categorized("execution")),
    _pushed(
        "execution_fast",
        "category symbol execId execPrice execQty orderId isMaker:flag orderLinkId side execTime:int cross_seq=seq:int",
        *_categorized("execution.fast"),
        around="creationTime:int",
    ),
    _pushed("position", _POSITION, *_categorized("position")),
    View(
        "bybit_wallet",
        "bybit",
        _pushes("wallet"),
        _COIN,
        at="data.0.coin",
        frame_fields=f"{_around(_ACCOUNT, 'data.0')} {_PUSHED}",
        is_list=True,
    ),
    _pushed("greeks", "baseCoin totalDelta totalGamma totalVega totalTheta", "greeks"),
    View("bybit_pong", "bybit", _pushes("pong"), "req_id success:flag ret_msg op conn_id clock=args.0:int"),
    _answered(
        "order",
        _in_page(_ORDER),
        "/v5/order/realtime",
        "/v5/order/history",
        f"{_PRE}/order/history",
        around=_PAGE,
    ),
    _answered("execution", _in_page(_EXECUTION), "/v5/execution/list", f"{_PRE}/execution/list", around=_PAGE),
    _answered("position", _in_page(_POSITION), "/v5/position/list", around=_PAGE),
    _answered(
        "wallet",
        _COIN,
        "/v5/account/wallet-balance",
        at="result.list.0.coin",
        around=f"{_around(_ACCOUNT, 'result.list.0')} {_ANSWERED}",
    ),
    _answered("transaction_log", _TRANSACTION, _LOG, f"{_PRE}/account/transaction-log", around=_CURSOR),
    _answered("closed_pnl", _CLOSED_PNL, "/v5/position/closed-pnl", f"{_PRE}/position/closed-pnl", around=_PAGE),
    _answered("instrument", _INSTRUMENT, "/v5/market/instruments-info", around=_PAGE),
    _answered(
        "settlement",
        "symbol side size sessionAvgPrice markPrice realisedPnl createdTime:int",
        "/v5/asset/settlement-record",
        f"{_PRE}/asset/settlement-record",
        around=_PAGE,
    ),
    _answered(
        "delivery",
        "deliveryTime:int symbol side position deliveryPrice strike fee deliveryRpl",
        "/v5/asset/delivery-record",
        f"{_PRE}/asset/delivery-record",
        around=_PAGE,
    ),
    _answered(
        "interest",
        "currency createdTime:int borrowCost hourlyBorrowRate InterestBearingBorrowSize costExemption",
        "/v5/account/borrow-history",
        around=_CURSOR,
    ),
    _answered(
        "transfer",
        "transferId coin amount fromMemberId toMemberId fromAccountType toAccountType timestamp:int status",
        "/v5/asset/transfer/query-inter-transfer-list",
        "/v5/asset/transfer/query-universal-transfer-list",
        around=_CURSOR,
    ),
    _answered(
        "deposit",
        """coin chain amount txID status toAddress tag depositFee successAt:int confirmations txIndex blockHash
        batchReleaseLimit depositType""",
        "/v5/asset/deposit/query-record",
        at="result.rows",
        around=_CURSOR,
    ),
    _answered(
        "internal_deposit",
        "id type coin amount status address createdTime:int txID taxDepositRecordsId taxStatus",
        "/v5/asset/deposit/query-internal-record",
        at="result.rows",
        around=_CURSOR,
    ),
    _answered(
        "withdrawal",
        """withdrawId txID withdrawType coin chain amount withdrawFee status toAddress tag createTime:int
        updateTime:int""",
        "/v5/asset/withdraw/query-record",
        at="result.rows",
        around=_CURSOR,
    ),
    _answered(
        "fund_log",
        """memberId currency ioDirection txnAmt afterAmt createTime showBusiType showBusiTypeEn description
        descriptionEn""",
        "/v5/asset/fundinghistory",
        around=_CURSOR,
    ),
    _answered(
        "fund_balance",
        "coin walletBalance transferBalance bonus",
        "/v5/asset/transfer/query-account-coins-balance",
        at="result.balance",
        around=f"accountType=result.accountType memberId=result.memberId {_ANSWERED}",
    ),
    View(
        "bybit_rest_time",
        "bybit",
        answers("/v5/market/time"),
        "timeSecond timeNano",
        at="result",
        frame_fields=_ANSWERED,
    ),
    View(
        "bybit_rest_account",
        "bybit",
        answers("/v5/account/info"),
        "unifiedMarginStatus:int marginMode isMasterTrader:flag spotHedgingStatus updatedTime:int",
        at="result",
        frame_fields=_ANSWERED,
    ),
    View(
        "bybit_rest_key",
        "bybit",
        answers("/v5/user/query-api"),
        "readOnly:int permissions ips deadlineDay:int expiredAt uta:int userID isMaster:flag parentUid",
        at="result",
        frame_fields=_ANSWERED,
    ),
)
