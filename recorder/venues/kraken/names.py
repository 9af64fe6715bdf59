"""Kraken's names of currencies, pairs and contracts, each spelled one way. Pure.

Pushes say `BTC` and `BTC/USD`. REST says `XXBT`, `XBT` and `XBT.F`, and `XXBTZUSD`, `XBTUSD` or `XBT/USD`, by path.
Until 2017 the exchange put an X before each currency and a Z before each official one; it still uses these codes for
the currencies of that time, and for no others. So the codes are a list that no longer grows, and a pair is read from
its end, where one of few quote currencies stands.
A contract of derivatives has its kind before an underscore: `PF_XBTUSD`. Its name stays as it is.
Source: docs.kraken.com, "Asset Info", "Tradable Asset Pairs", "Get Account Balance" (the suffixes of currencies),
"Derivatives Introduction" (the symbols of contracts).
"""

import re

#: The currencies with an old code, and those names.
_LEGACY = {
    **{f"X{name}": name for name in ("DAO", "ETC", "ETH", "ICN", "LTC", "MLN", "NMC", "REP")},
    **{f"X{name}": name for name in ("XBT", "XDG", "XLM", "XMR", "XRP", "XVN", "ZEC")},
    **{f"Z{name}": name for name in ("AUD", "CAD", "EUR", "GBP", "JPY", "KRW", "USD")},
}
#: Names that pushes spell in another way than REST.
_TODAY = {"XBT": "BTC", "XDG": "DOGE"}

#: Official currencies.
FIAT = frozenset(
    ["AED", "ARS", "AUD", "BRL", "CAD", "CHF", "EUR", "GBP", "JPY", "KRW", "MXN", "NZD", "SGD", "USD"],
)
#: What pairs are quoted in, by REST; longer names first, as some end in others.
_QUOTES = sorted(
    (
        *sorted(FIAT),
        *("BTC", "DAI", "DOT", "ETH", "EURC", "EURQ", "EURR", "EURT", "PYUSD", "RLUSD", "USD1", "USDC"),
        *("USDD", "USDE", "USDG", "USDQ", "USDR", "USDS", "USDT", "XBT", *_LEGACY),
    ),
    key=len,
    reverse=True,
)
#: Quote currencies that end in the name of another one, so that `PUPPYUSD` could be of two pairs, and the currencies
#: that they quote.
_AMBIGUOUS = frozenset(["PYUSD", "RLUSD"])
_MAJORS = frozenset(["BTC", "DOGE", "ETH", "EUR", "GBP", "LTC", "SOL", "USDC", "USDT", "XRP"])
#: A pair with an old code at its end has one at its beginning, or this.
_WITH_LEGACY = frozenset(["USDT"])

#: The exchange's word for futures and options: the market of their records. Pairs have none.
DERIVATIVES = "derivatives"
#: Beginning of a contract's name → what it is.
_CONTRACTS = {"PF": "linear", "FF": "linear", "PI": "inverse", "FI": "inverse", "OF": "option"}
_is_contract = re.compile(rf"({'|'.join(_CONTRACTS)})_([A-Z0-9]+)(?:_[A-Z0-9]+)*", re.IGNORECASE).fullmatch
_CONTRACT_QUOTES = ("USDT", "USDC", "USD", "EUR", "GBP")

#: The class of assets that stand for shares (xStocks): `AAPLx`. REST lists another class unless it is asked for this.
TOKENIZED = "tokenized_asset"

#: The wallet of spot trading; suffix of a currency over REST → the wallet that pushes name instead.
MAIN = "main"
_WALLETS = {"": MAIN, "F": "flex"}


def currency(code: str) -> str:
    """A currency as pushes spell it: `BTC` of `XXBT` or `XBT`, `USD` of `ZUSD`."""
    name = _LEGACY.get(code, code)
    return _TODAY.get(name, name)


def is_tokenized(name: str) -> bool:
    """Whether a currency is a tokenized asset: no other name ends in a small x."""
    return name.endswith("x")


def holding(code: str) -> tuple[str, str]:
    """Currency and wallet of a balance over REST: `BTC` and `flex` of `XBT.F`; other suffixes name the wallet."""
    name, _, suffix = code.partition(".")
    return currency(name), _WALLETS.get(suffix, suffix)


def symbol(pair: str) -> str:
    """A pair as pushes spell it: `BTC/USD` of `XXBTZUSD`, `XBTUSD` or `XBT/USD`; one of no known form as it is.

    A contract is in capitals, as most channels have it.
    """
    if is_contract(pair):
        return pair.upper()
    name = pair.removesuffix(".d")  # of the dark pool
    base, slash, quote = name.partition("/")
    if slash:
        return f"{currency(base)}/{currency(quote)}"
    for quote in _QUOTES:
        base = name.removesuffix(quote)
        if base and base != name and _is_pair(base, quote):
            return f"{currency(base)}/{currency(quote)}"
    return pair


def split(symbol: str) -> tuple[str, str] | None:
    """Base and quote currency of a symbol; None if it is no pair."""
    base, _, quote = symbol.partition("/")
    return (base, quote) if base and quote else None


def is_contract(name: str | None) -> bool:
    """Whether it is the name of a contract of derivatives: no pair and no currency has such a name."""
    return name is not None and _is_contract(name) is not None


def market(symbol: str | None) -> str | None:
    """The market of a symbol: that of derivatives, or none."""
    return DERIVATIVES if is_contract(symbol) else None


def contract(symbol: str) -> tuple[str, str, str] | None:
    """Kind (`linear`, `inverse`, `option`), base and quote currency of a contract; None if its name does not say."""
    found = _is_contract(symbol)
    if found is None:
        return None
    kind, name = _CONTRACTS[found[1].upper()], found[2].upper()
    quote = next((one for one in _CONTRACT_QUOTES if name.endswith(one) and name != one), None)
    return None if quote is None else (kind, currency(name.removesuffix(quote)), quote)


def _is_pair(base: str, quote: str) -> bool:
    if quote in _LEGACY:
        return base in _LEGACY or base in _WITH_LEGACY
    return quote not in _AMBIGUOUS or currency(base) in _MAJORS
