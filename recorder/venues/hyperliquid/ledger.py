"""Converts Hyperliquid's funding payments and ledger rows to transactions.

Source: hyperliquid.gitbook.io, "WebSocket subscriptions" (`userFundings`, `userNonFundingLedgerUpdates`). A row says
whose it is only by addresses; the sign of its amount follows from whether the account is its sender or its receiver.
Where the page does not say what a row does to a balance, `amount` is NULL, and the frame and the view have all of it.
"""

from collections.abc import Callable
from typing import NamedTuple

from recorder.model import Digits, Transaction, new
from recorder.venues.fields import Fields, as_object, digits, flag, names, text, unknown, whole
from recorder.venues.hyperliquid.objects import Around, extra_of
from recorder.venues.hyperliquid.words import (
    MAIN_DEX,
    SPOT,
    USDC,
    collateral_of,
    dex_of,
    is_same_address,
)
from recorder.venues.values import negative

_ROW = frozenset({"time", "hash", "delta"})
_FUNDING = names("time coin usdc szi fundingRate nSamples type")
_USDC_MOVED = "type usdc user destination fee"
_TOKEN_MOVED = "type token amount usdcValue user destination fee nativeTokenFee nonce feeToken"
_TOKEN = "type token amount"
_VAULT = "type vault usdc user"


class _Move(NamedTuple):
    """What a row does to one wallet of the account."""

    wallet: str | None
    currency: str | None
    #: The signed change; None where it is not documented.
    amount: Digits | None
    fee: Digits | None = None


class _Kind(NamedTuple):
    """A documented type of ledger rows."""

    type: str
    known: frozenset[str]
    moves: Callable[[Fields, str | None], list[_Move]]


def _signed(amount: Digits | None, *, is_paid: bool | None) -> Digits | None:
    if amount is None or is_paid is None:
        return None
    return negative(amount) if is_paid else amount


def _usdc(*, is_paid: bool) -> Callable[[Fields, str | None], list[_Move]]:
    def moves(delta: Fields, _user: str | None) -> list[_Move]:
        fee = digits(delta, "fee")
        return [_Move(MAIN_DEX, USDC, _signed(digits(delta, "usdc"), is_paid=is_paid), fee)]

    return moves


def _token(*, is_paid: bool) -> Callable[[Fields, str | None], list[_Move]]:
    def moves(delta: Fields, _user: str | None) -> list[_Move]:
        return [_Move(SPOT, text(delta, "token"), _signed(digits(delta, "amount"), is_paid=is_paid))]

    return moves


def _between_wallets(delta: Fields, _user: str | None) -> list[_Move]:
    """`accountClassTransfer`: between spot and the main perpetual exchange."""
    amount, to_perp = digits(delta, "usdc"), flag(delta, "toPerp")
    is_spot_paying = None if to_perp is None else bool(to_perp)
    return [
        _Move(SPOT, USDC, _signed(amount, is_paid=is_spot_paying)),
        _Move(MAIN_DEX, USDC, _signed(amount, is_paid=None if is_spot_paying is None else not is_spot_paying)),
    ]


def _between_users(
    delta: Fields, user: str | None, currency: str | None, amount: Digits | None, source: str | None, target: str | None
) -> list[_Move]:
    """A move from `user` to `destination`, which may both be the account."""
    moves = []
    if is_same_address(text(delta, "user"), user):
        paid = _signed(amount, is_paid=True)
        moves.append(_Move(source, _currency_in(source, currency), paid, digits(delta, "fee")))
    if is_same_address(text(delta, "destination"), user):
        moves.append(_Move(target, _currency_in(target, currency), amount))
    return moves or [_Move(None, currency, None)]


def _currency_in(wallet: str | None, token: str | None) -> str | None:
    """What a token is called in a wallet: a perpetual exchange with a name has its collateral, whatever was sent."""
    return collateral_of(wallet) if wallet not in {None, SPOT, MAIN_DEX} else token


def _usdc_between_users(delta: Fields, user: str | None) -> list[_Move]:
    return _between_users(delta, user, USDC, digits(delta, "usdc"), MAIN_DEX, MAIN_DEX)


def _spot_between_users(delta: Fields, user: str | None) -> list[_Move]:
    return _between_users(delta, user, text(delta, "token"), digits(delta, "amount"), SPOT, SPOT)


def _sent(delta: Fields, user: str | None) -> list[_Move]:
    """`send`, from a wallet to a wallet: `spot`, or a perpetual exchange."""
    source, target = text(delta, "sourceDex"), text(delta, "destinationDex")
    return _between_users(delta, user, text(delta, "token"), digits(delta, "amount"), source, target)


def _vault(name: str, *, is_paid: bool) -> Callable[[Fields, str | None], list[_Move]]:
    """A move between an account and a vault, as the account has it; what the vault itself has is not documented."""

    def moves(delta: Fields, user: str | None) -> list[_Move]:
        is_vault = user is None or is_same_address(text(delta, "vault"), user)
        amount = _signed(digits(delta, name), is_paid=None if is_vault else is_paid)
        return [_Move(MAIN_DEX, USDC, amount, digits(delta, "fee"))]

    return moves


def _staked(delta: Fields, _user: str | None) -> list[_Move]:
    is_deposit = flag(delta, "isDeposit")
    is_paid = None if is_deposit is None else bool(is_deposit)
    return [_Move(SPOT, text(delta, "token"), _signed(digits(delta, "amount"), is_paid=is_paid))]


def _untold(delta: Fields, _user: str | None) -> list[_Move]:
    """A row whose effect on a balance is not documented, or that only tells something."""
    return [_Move(text(delta, "dex"), text(delta, "token") or (USDC if "usdc" in delta else None), None)]


def _kind(type_: str, known: str, moves: Callable[[Fields, str | None], list[_Move]]) -> _Kind:
    return _Kind(type_, names(known), moves)


_KINDS = {
    "deposit": _kind("deposit", "type usdc", _usdc(is_paid=False)),
    "withdraw": _kind("withdrawal", "type usdc nonce fee", _usdc(is_paid=True)),
    "accountClassTransfer": _kind("transfer", "type usdc toPerp", _between_wallets),
    "internalTransfer": _kind("transfer", _USDC_MOVED, _usdc_between_users),
    "subAccountTransfer": _kind("transfer", _USDC_MOVED, _usdc_between_users),
    "spotTransfer": _kind("transfer", _TOKEN_MOVED, _spot_between_users),
    "send": _kind("transfer", f"{_TOKEN_MOVED} sourceDex destinationDex", _sent),
    "vaultCreate": _kind("transfer", f"{_VAULT} fee", _vault("usdc", is_paid=True)),
    "vaultDeposit": _kind("transfer", _VAULT, _vault("usdc", is_paid=True)),
    "vaultDistribution": _kind("transfer", _VAULT, _vault("usdc", is_paid=False)),
    "vaultWithdraw": _kind(
        "transfer",
        "type vault user requestedUsd commission closingCost basis netWithdrawnUsd",
        _vault("netWithdrawnUsd", is_paid=False),
    ),
    "vaultLeaderCommission": _kind("transfer", "type user usdc", _usdc(is_paid=False)),
    "liquidation": _kind("liquidation", "type liquidatedNtlPos accountValue leverageType liquidatedPositions", _untold),
    "rewardsClaim": _kind("rebate", _TOKEN, _token(is_paid=False)),
    "spotGenesis": _kind("other", _TOKEN, _token(is_paid=False)),
    "deployGasAuction": _kind("fee", _TOKEN, _token(is_paid=True)),
    "cStakingTransfer": _kind("transfer", f"{_TOKEN} isDeposit", _staked),
    "borrowLend": _kind("other", f"{_TOKEN} operation interestAmount", _untold),
    "activateDexAbstraction": _kind("transfer", f"{_TOKEN} dex", _untold),
}
_UNKNOWN = _kind("other", "type token usdc dex", _untold)


def is_sum(payment: Fields) -> bool:
    """Whether it is the sum of the payments of several hours: the exchange sums up older ones by day."""
    return (whole(payment, "nSamples") or 1) > 1


def funding(row: Fields, around: Around, *, is_push: bool = False, is_snapshot: int = 0) -> Transaction:
    """The record of a funding payment: pushed as one object, answered as `{time, hash, delta}`.

    An answer's `hash` is no id: pushes do not have it.
    """
    delta = as_object(row["delta"], "delta") if "delta" in row else row
    coin, dex = text(delta, "coin"), dex_of(text(delta, "coin"))
    more = unknown(row, _ROW) if "delta" in row else {}
    return _transaction(
        whole(row, "time"),
        None,
        "funding",
        "funding",
        _Move(dex, None if dex is None else collateral_of(dex), digits(delta, "usdc")),
        extra_of(around, more, unknown(delta, _FUNDING, "delta." if "delta" in row else "")),
        symbol=coin,
        is_push=is_push,
        is_snapshot=is_snapshot,
    )


def ledger_rows(
    row: Fields, around: Around, user: str | None, *, is_push: bool = False, is_snapshot: int = 0
) -> list[Transaction]:
    """The records of a ledger row `{time, hash, delta}`: one for each wallet of the account that it changes.

    Args:
        row: as sent.
        around: undocumented fields of the frame.
        user: the account's address, as far as the frame or the request has it.
        is_push: whether it was pushed; an answer has no time of its own.
        is_snapshot: whether it is part of the state sent at subscription.
    """
    delta = as_object(row.get("delta"), "delta")
    word, at_ms, hash_ = text(delta, "type"), whole(row, "time"), text(row, "hash")
    kind = _KINDS.get(word or "", _UNKNOWN)
    extra = extra_of(around, unknown(row, _ROW), unknown(delta, kind.known, "delta."))
    # A hash of zeros stands for what no transaction of the chain caused.
    transaction_id = hash_ if hash_ and hash_.removeprefix("0x").strip("0") else None
    return [
        _transaction(
            at_ms, transaction_id, kind.type, word, move, extra, symbol=None, is_push=is_push, is_snapshot=is_snapshot
        )
        for move in kind.moves(delta, user)
    ]


def _transaction(
    at_ms: int | None,
    transaction_id: str | None,
    kind: str,
    word: str | None,
    move: _Move,
    extra: str | None,
    *,
    symbol: str | None,
    is_push: bool,
    is_snapshot: int,
) -> Transaction:
    return new(
        Transaction,
        (
            at_ms if is_push else None,
            is_snapshot,
            transaction_id,
            kind,
            word,
            move.wallet,
            move.currency,
            move.amount,
            move.fee,
            None,
            None,
            symbol,
            None,
            None,
            at_ms,
            extra,
        ),
    )
