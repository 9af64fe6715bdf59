"""Round trips name the currency of the fee beside that of the profit, and may not know whether they add up.

All are made anew: `stale` and `stale_quarters` say so, and `recorder db upgrade` and the next run do it.
"""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

VIEW = "round_trips"
KEY = "market, symbol, position_side"


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
    text = _module("views")._round_trips()
    assert text.count("AS pnl, u.currency") == 1
    op.execute(f"DROP VIEW {VIEW}")
    op.drop_table("trips")
    _create_table(_module("tables"))
    op.execute(f"CREATE VIEW {VIEW} AS\n{text.replace('AS pnl, u.currency', 'AS pnl, u.currency, u.fee_currency')}")
    # A quarter without fills or payments.
    op.execute(
        f"INSERT INTO stale_quarters SELECT DISTINCT account_id, {KEY}, 0 FROM trip_marks m WHERE NOT EXISTS "
        "(SELECT 1 FROM stale_quarters s WHERE s.account_id = m.account_id AND s.market = m.market "
        "AND s.symbol = m.symbol AND s.position_side = m.position_side AND s.begins_ms = 0)"
    )
    op.execute("DELETE FROM trip_marks")
    op.execute(
        "INSERT INTO stale SELECT account_id, '', '' FROM accounts a WHERE NOT EXISTS (SELECT 1 FROM stale s "
        "WHERE s.account_id = a.account_id AND s.order_id = '' AND s.trade_id = '')"
    )


def _create_table(old: ModuleType) -> None:
    old.table(
        "trips",
        *old.ints("account_id"),
        *old.texts("market", "symbol", "position_side", null=False),
        *old.ints("trip"),
        *old.texts("direction", null=False),
        *old.ints("opened_ms", "closed_ms", null=True),
        *old.decimals("entry_quantity", "entry_price", "exit_quantity", "exit_price", "pnl_before_fees", "fee"),
        *old.texts("fee_currency"),
        *old.decimals("pnl"),
        *old.texts("currency"),
        *old.ints("adds_up", null=True),
        sa.PrimaryKeyConstraint("account_id", "market", "symbol", "position_side", "trip", name="pk_trips"),
    )
