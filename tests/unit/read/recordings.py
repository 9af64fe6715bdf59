"""What a recorder gets of a simulated account: its pushes, and the answers about its ledger."""

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

import pytest

from recorder.clock import NS_PER_MS
from recorder.model import (
    AccountUpdate,
    Decoded,
    FillUpdate,
    Transaction,
    Update,
)
from recorder.simulator import market
from recorder.simulator.exchange import Exchange
from recorder.venues import venue_named
from recorder.venues.face import Push
from recorder.venues.reading import read_answer, read_frame
from recorder.venues.rest import Credentials, Known, Purpose, Question, Traded, target_of
from recorder.venues.simulated import Moment, SimulatedTransaction
from recorder.venues.stand_in import Backend, Request
from recorder.venues.view import SentState, Span

D = Decimal


class Recording:
    """What a recorder gets of a simulated account that trades and is liquidated: pushes, and answers about the ledger.

    Args:
        venue: the venue.
        seed: of the trading.
        expires: whether futures and options expire, makers are paid, and money is withdrawn meanwhile, too.
        pushes: how many.

    Attributes:
        pushed: time of receipt, frame and what it says.
        answered: answer and what it says.
        liquidated: what its liquidations left of the margin, or took beyond it.
    """

    def __init__(self, venue: str, seed: int, *, expires: bool = False, pushes: int = 400) -> None:
        self.venue = venue_named(venue)
        stand_in = self.venue.stand_in
        with pytest.MonkeyPatch.context() as patch:
            if expires:
                patch.setattr(f"recorder.venues.{venue}.stand_in.face.MAKER_RATE", D("-0.0001"))
            exchange = Exchange(
                seed,
                venue=venue,
                key=stand_in.default_account[0],
                funding_interval_ms=5_000,
                expiry_ms=18_000 if expires else 0,
            )
        self.pushed: list[tuple[int, bytes, Decoded]] = []
        render = exchange.face.pushes

        def recorded(moment: Moment, now_ms: int) -> Iterator[Push]:
            for push in render(moment, now_ms):
                at_ns = now_ms * NS_PER_MS + len(self.pushed)
                self.pushed.append((at_ns, push.payload, read_frame(self.venue, push.payload)))
                yield push

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exchange.face, "pushes", recorded)
            patch.setattr(market, "LEAPS", 0.1)  # so that it is liquidated soon
            deque(islice(exchange, pushes), maxlen=0)
            if expires:
                exchange.transfer(D("-1.25"), exchange.purse("USDC" if venue == "deribit" else "USDT"), fee=D("0.25"))
                deque(islice(exchange, 500), maxlen=0)
        # Where no balance is told after each, only the list says in which order those of a millisecond were.
        asked = [entry.state for entry in exchange.view().transactions(Span(oldest_first=venue == "binance"))]
        self.terms = exchange.terms
        backend = Backend(secret_of=lambda _key: "", clock_ms=lambda: 0, terms=self.terms)
        states = [*asked, *self._described(backend)]
        self.answered = [(one.payload, read_answer(self.venue, one.topic, one.payload)) for one in states]
        kinds = exchange.history.transactions
        is_spot = all(one.kind == "spot" for one in self.terms)
        assert ({"deposit"} if is_spot else {"deposit", "funding", "liquidation"}) <= {one.type for one in kinds}
        self.liquidated = [one for one in kinds if one.type == "liquidation"]
        self.settled = [one for one in kinds if "settlement" in (one.type, one.kind)]
        assert bool(self.settled) == expires
        assert not expires or {"withdrawal", "trade"} <= {one.type for one in kinds if one.fee}
        assert not expires or any(one.fee < 0 for one in kinds)

    def _described(self, backend: Backend) -> Iterator[SentState]:
        """What the venue says of its instruments."""
        handler = self.venue.stand_in.request_handler(backend)
        nothing_known = Known(
            (), {}, None, None, 0, instruments=[Traded(one.market, one.symbol) for one in backend.terms]
        )
        questions = self.venue.questions(Purpose.INSTRUMENTS, nothing_known)
        for step in questions:
            assert isinstance(step, Question)
            request = step.request("", Credentials(key="", secret="", passphrase="", address=""), 0)
            answer = handler.handle(Request(request.method, request.url, request.headers, base="", body=request.body))
            assert isinstance(answer, bytes)
            yield SentState(target_of(request, ""), answer)

    def pay_everything_in(self, currency: str) -> None:
        """Let balances of one currency, fees and transactions be in another one, and forget all other balances."""
        only = self.terms[0].settle

        def renamed(one: Decoded) -> Decoded:
            told: list[Update] = []
            for update in one.updates:
                if isinstance(update, AccountUpdate | Transaction) and update.currency == only:
                    told.append(update._replace(currency=currency))
                elif isinstance(update, FillUpdate) and update.fee_currency == only:
                    told.append(update._replace(fee_currency=currency))
                elif not isinstance(update, AccountUpdate | Transaction | FillUpdate):
                    told.append(update)
            return one._replace(updates=tuple(told))

        self.pushed = [(at_ns, payload, renamed(one)) for at_ns, payload, one in self.pushed]
        self.answered = [(payload, renamed(one)) for payload, one in self.answered]

    def lose_fill(self, trade_id: str | None) -> None:
        """Plant an error: nobody recorded a fill."""

        def without(one: Decoded) -> Decoded:
            kept = (two for two in one.updates if not (isinstance(two, FillUpdate) and two.trade_id == trade_id))
            return one._replace(updates=tuple(kept))

        self.pushed = [(at_ns, payload, without(one)) for at_ns, payload, one in self.pushed]

    def forget(self, transaction: SimulatedTransaction) -> None:
        """Plant an error: the ledger never told of a transaction."""
        self._plant(transaction, None)

    def misstate(self, transaction: SimulatedTransaction, wrong: Decimal) -> set[str | None]:
        """Plant an error: in the ledger, the amount of a transaction is wrong by this. Returns its ids there."""
        return self._plant(transaction, wrong)

    def _plant(self, transaction: SimulatedTransaction, wrong: Decimal | None) -> set[str | None]:
        ids: set[str | None] = set()
        # Some ledgers have the fee in a row of its own.
        amounts = {transaction.amount, transaction.amount + transaction.fee}

        def planted(update: Update) -> Iterator[Update]:
            is_it = isinstance(update, Transaction) and update.occurred_ms == transaction.occurred_ms
            if not is_it or D(update.amount or 0) not in amounts:  # type: ignore[union-attr]
                yield update
            elif isinstance(update, Transaction) and wrong is not None:
                ids.add(update.transaction_id)
                yield update._replace(amount=str(D(update.amount or 0) + wrong))

        def without(one: Decoded) -> Decoded:
            return one._replace(updates=tuple(changed for update in one.updates for changed in planted(update)))

        self.pushed = [(at_ns, payload, without(one)) for at_ns, payload, one in self.pushed]
        self.answered = [(payload, without(one)) for payload, one in self.answered]
        return ids
