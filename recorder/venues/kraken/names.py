"""Kraken's names of currencies and pairs, each spelled one way. Pure.

Pushes say `BTC` and `BTC/USD`. REST says `XXBT`, `XBT` and `XBT.F`, and `XXBTZUSD`, `XBTUSD` or `XBT/USD`, by path.
Until 2017 the exchange put an X before each currency and a Z before each official one; it still uses these codes for
the currencies of that time, and for no others. So the codes are a list that no longer grows, and a pair is read from
its end, where one of few quote currencies stands.
Source: docs.kraken.com, "Asset Info", "Tradable Asset Pairs", "Get Account Balance" (the suffixes of currencies).
"""

#: The currencies with an old code, and those names.
_LEGACY = {
    **{f"X{name}": name for name in ("DAO", "ETC", "ETH", "ICN", "LTC", "MLN", "NMC", "REP")},
    **{f"X{name}": name for name in ("XBT", "XDG", "XLM", "XMR", "XRP", "XVN", "ZEC")},
    **{f"Z{name}": name for name in ("AUD", "CAD", "EUR", "GBP", "JPY", "KRW", "USD")},
}
#: Names that pushes spell in another way than REST.
_TODAY = {"XBT": "BTC", "XDG": "DOGE"}

#: What pairs are quoted in, by REST; longer names first, as some end in others.
_QUOTES = sorted(
    (
        *("AED", "ARS", "AUD", "BRL", "CAD", "CHF", "EUR", "GBP", "JPY", "KRW", "MXN", "NZD", "SGD", "USD"),
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

#: The wallet of spot trading; suffix of a currency over REST → the wallet that pushes name instead.
MAIN = "main"
_WALLETS = {"": MAIN, "F": "flex"}


def currency(code: str) -> str:
    """A currency as pushes spell it: `BTC` of `XXBT` or `XBT`, `USD` of `ZUSD`."""
    name = _LEGACY.get(code, code)
    return _TODAY.get(name, name)


def holding(code: str) -> tuple[str, str]:
    """Currency and wallet of a balance over REST: `BTC` and `flex` of `XBT.F`; other suffixes name the wallet."""
    name, _, suffix = code.partition(".")
    return currency(name), _WALLETS.get(suffix, suffix)


def symbol(pair: str) -> str:
    """A pair as pushes spell it: `BTC/USD` of `XXBTZUSD`, `XBTUSD` or `XBT/USD`; one of no known form as it is."""
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


def _is_pair(base: str, quote: str) -> bool:
    if quote in _LEGACY:
        return base in _LEGACY or base in _WITH_LEGACY
    return quote not in _AMBIGUOUS or currency(base) in _MAJORS
