"""Three months of trading by two accounts, written as a recorder writes it: the same frames into any database."""

from itertools import count
from random import Random
from typing import NamedTuple

from recorder.live.channel import Recorded
from recorder.store.entries import Covered, SessionEnded, SessionOpened
from tests.made import ACCOUNT, RUN, received
from tests.unit.read.desk import OTHER, Desk

DAY_NS = 86_400 * 10**9
#: 2019-12-29, midnight UTC.
BEGIN_NS = 1_577_577_600 * 10**9
DAYS = 75
SYMBOLS = ("BTCUSD_P", "ETHUSD_P")
TOPICS = ("account", *(f"{kind}.{symbol.lower()}" for symbol in SYMBOLS for kind in ("order", "position")))
#: The length of a session, days; between two is a gap of an hour.
SESSION_DAYS = 25


class Fill(NamedTuple):
    """One execution of the story."""

    at_ns: int
    account_id: int
    order_id: str
    symbol: str
    quantity: int


def write(desk: Desk, seed: int = 20200115) -> list[Fill]:
    """Write it; return the fills in the order of receipt."""
    fills: list[Fill] = []
    for account_id in (ACCOUNT, OTHER):
        random = Random(seed + account_id)
        for part in range(DAYS // SESSION_DAYS):
            fills += _Session(desk, random, account_id, part).write()
    return sorted(fills)


class _Session:
    """One connection of one account, for weeks."""

    def __init__(self, desk: Desk, random: Random, account_id: int, part: int) -> None:
        self._desk, self._random, self._account_id = desk, random, account_id
        self._from_ns = BEGIN_NS + part * SESSION_DAYS * DAY_NS
        self._session_id = RUN + account_id * 100 + part
        self._seqs = count()
        self._reason = ("lost", "silent")[part % 2]
        self._recorded: list[Recorded] = []
        self._pnl = {symbol: random.randrange(10**18) for symbol in SYMBOLS}
        self._order_ids = count(account_id * 10_000 + part * 1_000)

    def write(self) -> list[Fill]:
        key = self._account_id, self._session_id
        self._desk.write(entries=[SessionOpened(*key, RUN, "wss://x", TOPICS, self._from_ns)])
        self._push(self._from_ns, '{"type":"topics","topics":[]}')
        self._commit(Covered(*key, 0, self._from_ns, TOPICS, {}))
        fills = []
        last_ns = self._from_ns
        for order in range(40):
            last_ns = self._from_ns + (order * 15 + 1) * DAY_NS * SESSION_DAYS // 620
            fills += self._order(last_ns, next(self._order_ids))
        seq, last_ns = self._recorded[-1].frame.seq, self._recorded[-1].frame.received_ns
        self._commit(SessionEnded(*key, last_ns + 10**9, self._reason, "", True, seq, last_ns))
        return fills

    def _commit(self, entry: Covered | SessionEnded) -> None:
        self._desk.write(*self._recorded, entries=[entry])
        self._recorded.clear()

    def _push(self, at_ns: int, text: str) -> None:
        key = {"account_id": self._account_id, "session_id": self._session_id}
        self._recorded.append(received(next(self._seqs), text.encode(), at_ns=at_ns, **key))

    def _order(self, at_ns: int, order_id: int) -> list[Fill]:
        random, symbol = self._random, self._random.choice(SYMBOLS)
        quantity, price = random.randrange(10, 500), random.randrange(9_000_00, 10_000_00)
        direction = random.choice(("LONG", "SHORT"))
        kind, features = random.choice((("LIMIT", 0), ("LIMIT", 2), ("MARKET", 0)))
        filled, fee, worth, fills = 0, 0, 0, []
        for step in range(random.randrange(4)):
            at_ns += random.randrange(10**9, 3 * 10**12)
            more = random.randrange(1, quantity - filled + 1)
            filled, worth = filled + more, worth + more * (price + random.randrange(-50, 50))
            # A maker is paid, a taker pays: 18 digits after the point, as the exchange sends them.
            fee += more * random.choice((-1, 3)) * random.randrange(10**12)
            average = f"{worth // filled / 100:.2f}"
            self._push(
                at_ns,
                f'{{"type":"order.{symbol.lower()}","ts":{at_ns // 10**6},"order":{{"id":{order_id},'
                f'"symbol":"{symbol}","direction":"{direction}","type":"{kind}","features":{features},"quantity":{quantity},'
                f'"unfilled_quantity":{quantity - filled},"fill_price":{average},"fee":{_units(fee)},'
                f'"price":{price / 100:.2f},"margin_currency":"BTC"}}}}',
            )
            fills.append(Fill(at_ns, self._account_id, str(order_id), symbol, more))
            self._pnl[symbol] += random.randrange(-(10**17), 10**17)
            self._push(
                at_ns + 10**6 * (1 + step),
                f'{{"type":"position.{symbol.lower()}","ts":{at_ns // 10**6},"position":{{"symbol":"{symbol}",'
                f'"quantity":{filled},"realized_pnl":{_units(self._pnl[symbol])}}}}}',
            )
            if filled == quantity:
                break
        return fills


def _units(value: int) -> str:
    """A number of 1e-18, with its 18 digits after the point."""
    whole, rest = divmod(abs(value), 10**18)
    return f"{'-' if value < 0 else ''}{whole}.{rest:018d}"
