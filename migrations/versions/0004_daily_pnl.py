"""Sums of funding beside those of fills, and profit by days.

The sums of fills stay as they are. Funding and profit are not computed here: `stale` says for each account that they
have to be, which `recorder db upgrade` and the next run do.
"""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

KEY = "account_id, lasts_ms, begins_ms, market, symbol"
OF_FILLS = "trades, fills, fees_unknown, pnls, quantity, maker_quantity, taker_quantity, paid, rebates, realized_pnl"


def _module(name: str) -> ModuleType:
    """A module of revision 0002. Alembic loads a revision by its path, so a plain import would not find it."""
    folder = Path(__file__).parent.parent / "any_venue"
    full_name = "recorder_migrations_any_venue"
    spec = spec_from_file_location(full_name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    package = sys.modules[full_name] = module_from_spec(spec)
    spec.loader.exec_module(package)
    return import_module(f"{full_name}.{name}")


def upgrade() -> None:
    spelling = _module("spelling")
    _create_tables(_module("tables"))
    zero = "'0'" if spelling.is_sqlite() else "0"
    op.execute(
        f"INSERT INTO period_sums ({KEY}, currency, {OF_FILLS}, payments, amounts_unknown, funding_received, "
        f"funding_paid) SELECT {KEY}, fee_currency, {OF_FILLS}, 0, 0, {zero}, {zero} FROM fill_sums"
    )
    op.drop_table("fill_sums")
    op.execute(
        "INSERT INTO stale SELECT account_id, '', '' FROM accounts a WHERE NOT EXISTS (SELECT 1 FROM stale s "
        "WHERE s.account_id = a.account_id AND s.order_id = '' AND s.trade_id = '')"
    )
    op.execute(f"CREATE VIEW pnl AS\n{_pnl(spelling)}")


def _create_tables(old: ModuleType) -> None:
    old.table(
        "period_sums",
        *old.ints("account_id", "lasts_ms", "begins_ms"),
        *old.texts("market", "symbol", "currency", null=False),
        *old.ints("trades", "fills", "fees_unknown", "pnls"),
        *old.decimals("quantity", "maker_quantity", "taker_quantity", "paid", "rebates", "realized_pnl"),
        *old.ints("payments", "amounts_unknown"),
        *old.decimals("funding_received", "funding_paid"),
        sa.PrimaryKeyConstraint(
            "account_id", "lasts_ms", "begins_ms", "market", "symbol", "currency", name="pk_period_sums"
        ),
    )
    old.table(
        "sum_bounds",
        *old.ints("account_id"),
        *old.texts("kind", "thing", null=False),
        *old.ints("begins_ms", "ends_ms"),
        sa.PrimaryKeyConstraint("account_id", "kind", "thing", name="pk_sum_bounds"),
    )
    old.table(
        "daily_pnl",
        *old.ints("account_id", "begins_ms"),
        *old.texts("market", "symbol", "currency", null=False),
        *old.decimals("realized_pnl", "over_gaps", "fee", "funding", "net_pnl"),
        *old.ints("fills"),
        *old.decimals("quantity"),
        sa.PrimaryKeyConstraint("account_id", "begins_ms", "market", "symbol", "currency", name="pk_daily_pnl"),
    )


def _pnl(spelling: ModuleType) -> str:
    """Profit by days, with plain numbers. The projection has the exact digits."""
    names = ", ".join(f"nullif(u.{name}, '') AS {name}" for name in ("market", "symbol", "currency"))
    amounts = spelling.numbers("realized_pnl", "fee", "funding", "net_pnl", "over_gaps")
    return f"""SELECT a.name AS account, substr({spelling.utc("u.begins_ms")}, 1, 10) AS day, {names}, {amounts},
  u.fills, {spelling.numbers("quantity")}, u.begins_ms, u.account_id
FROM daily_pnl u JOIN accounts a ON a.account_id = u.account_id"""
