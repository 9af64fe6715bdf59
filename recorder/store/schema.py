"""The declared schema. The migrations create it; a test compares the two.

Keys are made before the write and are unique across databases. Every key starts with `account_id`, which a distributed
PostgreSQL can take as the distribution column. `session_id` follows the time, so PostgreSQL keeps growing tables in one
partition a year, which can be detached. Frames and typed tables have no foreign keys: a look-up for each pushed frame
is expensive, and the one writer that makes the rows writes their session first.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects import sqlite

from recorder import model

#: 64-bit integer; STRICT tables of SQLite call it INTEGER.
Int64 = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Bytes = LargeBinary()
Words = Text()


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal that never passes through a float.

    TEXT on SQLite, whose NUMERIC affinity drops digits; NUMERIC elsewhere. Accepts the digits as sent (`str`) or a
    `Decimal`; returns a `Decimal`.
    """

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """TEXT on SQLite, NUMERIC elsewhere."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric())

    def process_bind_param(self, value: Decimal | str | None, dialect: Dialect) -> Any:
        """Convert a value for the driver."""
        if isinstance(value, float):
            raise TypeError(f"{value!r} is a float and may have lost digits: give the digits as sent, or a Decimal")
        if value is None or dialect.name == "sqlite":
            return None if value is None else str(value)
        return Decimal(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """Convert a value from the driver."""
        try:
            return None if value is None else Decimal(value)
        except InvalidOperation:
            raise ValueError(f"{value!r} in a decimal column was not written by this program") from None


metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _table(name: str, *parts: Column[object] | PrimaryKeyConstraint | ForeignKeyConstraint | CheckConstraint) -> Table:
    # STRICT: SQLite then refuses a value of another type. WITHOUT ROWID: the key is the order on disk, once.
    # PostgreSQL's partitions and its partial index are in the migrations only: one option of its dialect here would
    # import that dialect for every command.
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=False)


def _ints(*names: str, null: bool = False) -> list[Column[object]]:
    return [Column(name, Int64, nullable=null) for name in names]


def _texts(*names: str, null: bool = True) -> list[Column[object]]:
    return [Column(name, Words, nullable=null) for name in names]


def _decimals(*names: str) -> list[Column[object]]:
    return [Column(name, ExactDecimal(), nullable=True) for name in names]


def _bytes(name: str) -> Column[object]:
    return Column(name, Bytes, nullable=False)


def _of_account() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["account_id"], ["accounts.account_id"])


accounts = _table(
    "accounts",
    *_ints("account_id"),
    *_texts("venue", "name", null=False),
    *_ints("created_ns"),
    PrimaryKeyConstraint("account_id"),
)

#: A local file has one recorder; a database that several were merged or sent to has several.
recorders = _table(
    "recorders",
    *_ints("recorder_id", "created_ns"),
    *_texts("host", null=False),
    PrimaryKeyConstraint("recorder_id"),
)

#: The credentials of an account, as fingerprints (`recorder.store.credentials`): never a key itself. No foreign key: a
#: credential may be accepted in a file that has not recorded the account yet.
credentials = _table(
    "credentials",
    *_ints("account_id"),
    *_texts("fingerprint", null=False),
    *_ints("added_ns", "accepted"),
    PrimaryKeyConstraint("account_id", "fingerprint"),
)

#: Recorders retired with `recorder db retire`. No foreign key: a retirement may arrive here before the recorder does.
retirements = _table(
    "retirements",
    *_ints("recorder_id", "retired_ns"),
    *_texts("who", "why", null=False),
    PrimaryKeyConstraint("recorder_id", "retired_ns"),
)

#: Which recorder this file is, and where it was when it was last recorded into: one row, which never leaves the file.
identity = _table(
    "identity",
    *_ints("recorder_id"),
    *_texts("host", "path", "device", null=False),
    *_texts("inode"),
    *_ints("copy_of", null=True),
    *_texts("copy_of_host", "copy_of_path"),
    *_ints("adopted_ns", null=True),
    PrimaryKeyConstraint("recorder_id"),
)

runs = _table(
    "runs",
    *_ints("run_id", "recorder_id", "started_ns"),
    *_texts("host", null=False),
    *_ints("pid"),
    *_texts("version", null=False),
    *_ints("ended_ns", null=True),
    *_texts("end_reason"),
    PrimaryKeyConstraint("run_id"),
    ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"]),
)

sessions = _table(
    "sessions",
    *_ints("account_id", "session_id", "run_id"),
    *_texts("url", "topics", null=False),
    *_ints("opened_ns"),
    *_ints("covered_ns", "ended_ns", null=True),
    *_texts("end_reason", "end_detail"),
    PrimaryKeyConstraint("account_id", "session_id"),
    _of_account(),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

frames = _table(
    "frames",
    *_ints("account_id", "session_id", "seq", "received_ns"),
    *_texts("source", null=False),
    *_texts("topic"),
    *_texts("status", null=False),
    *_texts("error"),
    _bytes("payload"),
    PrimaryKeyConstraint("account_id", "session_id", "seq"),
)

#: Frames that could not be decoded are few and are searched for among many. All others cost one comparison.
Index("ix_frames_undecoded", frames.c.account_id, frames.c.status, sqlite_where=frames.c.status == model.UNDECODED)


def _typed(name: str, *columns: Column[object]) -> Table:
    return _table(
        name,
        *_ints("account_id", "session_id", "seq", "item", "received_ns"),
        *_ints("event_ms", null=True),
        *_ints("is_snapshot"),
        *columns,
        PrimaryKeyConstraint("account_id", "session_id", "seq", "item"),
    )


order_updates = _typed(
    "order_updates",
    *_ints("is_partial"),
    *_texts("market", "symbol"),
    *_texts("order_id", null=False),
    *_texts("client_order_id", "side", "position_side", "order_type", "time_in_force"),
    *_ints("post_only", "reduce_only", null=True),
    *_decimals("price", "trigger_price", "quantity", "quote_quantity", "filled_quantity", "average_price"),
    *_texts("status", "venue_status", "reason"),
    *_decimals("fee"),
    *_texts("fee_currency"),
    *_ints("created_ms", "updated_ms", null=True),
    *_texts("extra"),
)

#: All updates of one order are found without reading those of others.
Index("ix_order_updates_order_id", order_updates.c.account_id, order_updates.c.order_id)

fills = _typed(
    "fills",
    *_texts("trade_id", "order_id", "client_order_id", "market", "symbol", "side", "position_side"),
    *_decimals("price", "quantity", "fee"),
    *_texts("fee_currency", "liquidity"),
    *_decimals("realized_pnl"),
    *_texts("kind"),
    *_ints("executed_ms", null=True),
    *_texts("extra"),
)

#: Fills without an order are found by their trade id.
Index("ix_fills_order_id", fills.c.account_id, fills.c.order_id, fills.c.trade_id)

position_updates = _typed(
    "position_updates",
    *_ints("is_partial"),
    *_texts("market"),
    *_texts("symbol", null=False),
    *_texts("position_side", "position_id", "margin_mode"),
    *_decimals(
        "quantity",
        "entry_price",
        "mark_price",
        "liquidation_price",
        "leverage",
        "margin",
        "unrealized_pnl",
        "realized_pnl",
    ),
    *_ints("updated_ms", null=True),
    *_texts("extra"),
)

account_updates = _typed(
    "account_updates",
    *_ints("is_partial"),
    *_texts("wallet"),
    *_texts("currency", null=False),
    *_decimals("balance", "available", "locked", "position_margin", "equity", "unrealized_pnl"),
    *_ints("updated_ms", null=True),
    *_texts("extra"),
)

transactions = _typed(
    "transactions",
    *_texts("transaction_id"),
    *_texts("type", null=False),
    *_texts("venue_type", "wallet", "currency"),
    *_decimals("amount", "fee", "balance_after"),
    *_texts("market", "symbol", "order_id", "trade_id"),
    *_ints("occurred_ms", null=True),
    *_texts("extra"),
)

instruments = _typed(
    "instruments",
    *_texts("market"),
    *_texts("symbol", null=False),
    *_texts("kind", "base", "quote", "settle"),
    *_decimals("contract_size", "price_tick", "quantity_step"),
    *_texts("extra"),
)

heartbeats = _typed("heartbeats", *_ints("gap_ms", null=True))

#: Update class → its table, whose columns are those of `TYPED_KEY` followed by the update's fields.
TYPED: dict[type[model.Update], Table] = {
    model.AccountUpdate: account_updates,
    model.OrderUpdate: order_updates,
    model.PositionUpdate: position_updates,
    model.FillUpdate: fills,
    model.Transaction: transactions,
    model.Instrument: instruments,
    model.Heartbeat: heartbeats,
}

#: Typed table → the view of it that shows each push once, whoever of several recorders received it.
ONCE: dict[Table, Table] = {
    table: Table(f"{table.name}_once", MetaData(), *(Column(column.name, column.type) for column in table.c))
    for table in (account_updates, order_updates, position_updates)
}

TYPED_KEY = ("account_id", "session_id", "seq", "item", "received_ns")

#: Why typed rows have to be made again from the frames before anything may be read or recorded: after an upgrade.
rebuild_needed = _table(
    "rebuild_needed",
    *_texts("reason", null=False),
    PrimaryKeyConstraint("reason"),
)

gaps = _table(
    "gaps",
    *_ints("account_id", "recorder_id", "gap_id"),
    *_texts("topic"),
    *_ints("begins_ns", "begin_session_id", "begin_seq", "ends_ns", "end_session_id", "end_seq", null=True),
    *_texts("reason", null=False),
    *_texts("detail"),
    *_texts("state", null=False),
    PrimaryKeyConstraint("account_id", "recorder_id", "gap_id"),
    _of_account(),
    ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"]),
    # The reconciliation that settled it, and what that could and could not restore.
    *_ints("reconciliation_id", null=True),
    *_texts("resolution"),
    CheckConstraint("state IN ('open', 'reconciled', 'unrecoverable')", name="state"),
)

#: One round of REST requests. Its answers are the frames whose `session_id` is its `reconciliation_id`.
reconciliations = _table(
    "reconciliations",
    *_ints("account_id", "reconciliation_id", "run_id", "began_ns"),
    *_ints("ended_ns", null=True),
    *_texts("result", "detail"),
    PrimaryKeyConstraint("account_id", "reconciliation_id"),
    _of_account(),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

#: Contradictions outside known gaps: between a REST snapshot and the pushes before it, or between two recorders.
discrepancies = _table(
    "discrepancies",
    *_ints("account_id", "session_id", "seq"),
    *_texts("subject", "field", null=False),
    *_texts("told", "held"),
    *_ints("other_session_id", "found_ns"),
    PrimaryKeyConstraint("account_id", "session_id", "seq", "subject", "field", "other_session_id"),
    _of_account(),
)

#: Two overlapping sessions of different recorders, the older first: pushes that both received, and that only one did.
comparisons = _table(
    "comparisons",
    *_ints("account_id", "session_id", "other_session_id", "same", "unseen"),
    PrimaryKeyConstraint("account_id", "session_id", "other_session_id"),
    _of_account(),
)

batches = _table(
    "batches",
    *_ints("run_id", "batch", "frames", "written_ns"),
    PrimaryKeyConstraint("run_id", "batch"),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

#: The frames of a batch: for each session in it, the first and the last.
spans = _table(
    "spans",
    *_ints("run_id", "batch", "account_id", "session_id", "first_seq", "last_seq"),
    PrimaryKeyConstraint("run_id", "batch", "account_id", "session_id"),
)

#: A batch's seal, the roots it is made of, and the digest of each frame: see `recorder.store.seals`.
seals = _table(
    "seals",
    *_ints("run_id", "batch"),
    *map(_bytes, ("seal", "frames_root", "entries_root", "digests")),
    PrimaryKeyConstraint("run_id", "batch"),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

#: Signed notes over a recorder's seals.
checkpoints = _table(
    "checkpoints",
    *_ints("recorder_id", "size", "made_ns"),
    *_texts("note", null=False),
    *_texts("token"),
    PrimaryKeyConstraint("recorder_id", "size"),
    ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"]),
)

#: Frames whose payload was removed on purpose: which, when, by whom and why. Their digests stay.
redactions = _table(
    "redactions",
    *_ints("account_id", "session_id", "first_seq", "last_seq", "redacted_ns"),
    *_texts("who", "why", null=False),
    PrimaryKeyConstraint("account_id", "session_id", "first_seq"),
    _of_account(),
)

#: The entries of a batch as JSON: see `recorder.store.entries`.
event_log = _table(
    "event_log",
    *_ints("run_id", "batch", "item"),
    *_texts("body", null=False),
    PrimaryKeyConstraint("run_id", "batch", "item"),
)

#: When the frames of a batch were received, by session and ten seconds of the clock. Derived from `frames`.
receipts = _table(
    "receipts",
    *_ints("account_id", "session_id", "first_seq", "last_seq", "first_ns", "last_ns"),
    PrimaryKeyConstraint("account_id", "session_id", "first_seq"),
)

Index("ix_receipts_first_ns", receipts.c.account_id, receipts.c.first_ns)

#: Instants for which `snapshot_rows` lists the latest states. They only save reading, and are not moved with a record.
snapshots = _table("snapshots", *_ints("account_id", "at_ns"), PrimaryKeyConstraint("account_id", "at_ns"))

#: The rows of a typed table (`kind`) that hold the latest states at a snapshot's instant.
snapshot_rows = _table(
    "snapshot_rows",
    *_ints("account_id", "at_ns"),
    *_texts("kind", null=False),
    *_ints("session_id", "seq", "item"),
    PrimaryKeyConstraint("account_id", "at_ns", "kind", "session_id", "seq", "item"),
)

# The projections (`recorder.read.projections`): what follows from typed rows, kept current behind the writer. They are
# not moved with a record, because they can be computed from it at any time.

#: The last batch of each run that is projected.
projected = _table("projected", *_ints("run_id", "batch"), PrimaryKeyConstraint("run_id"))

#: Orders to be projected again, because rows of theirs were deleted or replaced. `order_id` is empty for fills without
#: an order, which go by `trade_id`; it is empty otherwise.
stale = _table(
    "stale",
    *_ints("account_id"),
    *_texts("order_id", "trade_id", null=False),
    PrimaryKeyConstraint("account_id", "order_id", "trade_id"),
)

#: One row for each order: which row of `order_updates` holds its latest state, and its life. `market` and `symbol`
#: are empty if the venue sends none.
order_states = _table(
    "order_states",
    *_ints("account_id"),
    *_texts("order_id", "market", "symbol", null=False),
    *_ints("session_id", "seq", "item", "counts_ns", "received_ns", "is_open", "first_ns", "updates"),
    *_ints("created_ms", null=True),
    *_ints("fills"),
    *_ints("first_fill_ms", "last_fill_ms", "ended_ms", null=True),
    PrimaryKeyConstraint("account_id", "order_id", "market", "symbol"),
)

Index("ix_order_states_received_ns", order_states.c.account_id, order_states.c.received_ns)

#: Each fill once: as the venue reported it, or as order updates show it. The key is that of the row it comes from.
trades = _table(
    "trades",
    *_ints("account_id", "session_id", "seq", "item", "received_ns", "at_ms"),
    *_ints("event_ms", "executed_ms", null=True),
    *_texts("trade_id", "order_id", "client_order_id", "market", "symbol", "side", "position_side", "order_type"),
    *_decimals("price", "quantity", "fee"),
    *_texts("fee_currency"),
    *_texts("liquidity", null=False),
    *_decimals("realized_pnl"),
    *_texts("kind"),
    *_ints("price_is_estimate"),
    *_texts("origin", null=False),
    PrimaryKeyConstraint("account_id", "session_id", "seq", "item"),
)

Index("ix_trades_at_ms", trades.c.account_id, trades.c.at_ms)
Index("ix_trades_received_ns", trades.c.account_id, trades.c.received_ns)
Index("ix_trades_order_id", trades.c.account_id, trades.c.order_id, trades.c.trade_id)

#: The row of a typed table (`kind`) that holds the latest state of each balance and position. `thing` is the key of
#: `model.Thing` as a JSON array.
current_states = _table(
    "current_states",
    *_ints("account_id"),
    *_texts("kind", "thing", null=False),
    *_ints("counts_ns", "received_ns", "session_id", "seq", "item"),
    PrimaryKeyConstraint("account_id", "kind", "thing"),
)

#: What a unit of quantity is worth: by the newest row of `instruments`, whose key this is; or else by the venue's
#: documentation, and then the key is -1. `market` is empty if the venue sends none.
contracts = _table(
    "contracts",
    *_ints("account_id"),
    *_texts("market", "symbol", null=False),
    *_texts("kind", "base", "quote", "settle"),
    *_decimals("contract_size"),
    *_ints("received_ns", "session_id", "seq", "item"),
    PrimaryKeyConstraint("account_id", "market", "symbol"),
)

PROJECTIONS = (projected, stale, order_states, trades, current_states, contracts)
