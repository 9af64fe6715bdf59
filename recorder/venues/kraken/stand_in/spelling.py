"""How Kraken spells ids, times, currencies and pairs: the other way round than `recorder.venues.kraken.names`."""

from datetime import UTC, datetime, timedelta

from recorder.venues.kraken.names import MAIN, is_contract, split

ORDER, TRADE, ENTRY = "O", "T", "L"

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: The old codes of currencies over REST, and the older names of two.
_CODES = {
    **{name: f"X{name}" for name in ("ETC", "ETH", "LTC", "MLN", "REP", "XLM", "XMR", "XRP", "ZEC")},
    **{name: f"Z{name}" for name in ("AUD", "CAD", "EUR", "GBP", "JPY", "USD")},
    **{"BTC": "XXBT", "DOGE": "XXDG"},
}
_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
_SUFFIXES = {"flex": "F"}


def id_of(kind: str, number: int) -> str:
    """An id: `OAB3QX-7KQ2M-ZZ4T9P`."""
    text = ""
    while number:
        number, digit = divmod(number, len(_LETTERS))
        text = _LETTERS[digit] + text
    text = text.rjust(16, "0")
    return f"{kind}{text[:5]}-{text[5:10]}-{text[10:]}"


def number_of(kind: str, text: str) -> int | None:
    """The number in an id; None if it is no id of this kind."""
    letters = text.removeprefix(kind).replace("-", "")
    if not text.startswith(kind) or len(letters) != 16 or any(one not in _LETTERS for one in letters):
        return None
    return int(letters, len(_LETTERS))


#: Beginnings of the ids of derivatives.
_UUIDS = {ORDER: "5b0c1f6e-2d3a-4f0c-", TRADE: "0d9a3f41-91c0-4a3b-"}


def own_id(kind: str, number: int, symbol: str) -> str:
    """The id of an order or a trade: a UUID if it is of a contract."""
    if not is_contract(symbol):
        return id_of(kind, number)
    digits = f"{number:016x}"
    return f"{_UUIDS[kind]}{digits[:4]}-{digits[4:]}"


def own_number(kind: str, text: str) -> int | None:
    """The number in an id of `own_id`; None if it is none."""
    rest = text.removeprefix(_UUIDS[kind])
    if rest == text:
        return number_of(kind, text)
    digits = rest.replace("-", "")
    return int(digits, 16) if len(digits) == 16 and all(one in "0123456789abcdef" for one in digits) else None


def time_of(at_ms: int) -> str:
    """A time as pushes have it: `2026-09-30T02:53:25.118000Z`."""
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def code_of(currency: str, wallet: str | None = MAIN) -> str:
    """A currency over REST: `XXBT`, and `XBT.F` in another wallet."""
    if wallet in {None, MAIN}:
        return _CODES.get(currency, currency)
    return f"{_NAMES.get(currency, currency)}.{_SUFFIXES.get(wallet or '', wallet)}"


def alternative(symbol: str) -> str:
    """The alternative name of a pair: `XBTUSD`."""
    base, quote = split(symbol) or (symbol, "")
    return f"{_NAMES.get(base, base)}{_NAMES.get(quote, quote)}"


def pair_of(symbol: str) -> str:
    """The name of a pair: `XXBTZUSD` where both currencies are old, else the alternative name."""
    base, quote = split(symbol) or (symbol, "")
    if base in _CODES and quote in _CODES and base != "DOGE":
        return _CODES[base] + _CODES[quote]
    return alternative(symbol)


def slashed(symbol: str) -> str:
    """The pair as the older sockets spell it: `XBT/USD`."""
    base, quote = split(symbol) or (symbol, "")
    return f"{_NAMES.get(base, base)}/{_NAMES.get(quote, quote)}"
