"""Rows of Binance futures, Bitget, Hyperliquid and OKX say something else now: CHANGELOG.md has what.

Typed rows are made again where there is an account of one of them; `recorder db upgrade` does it.
"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute(
        "INSERT INTO rebuild_needed SELECT '0011' WHERE EXISTS "
        "(SELECT 1 FROM accounts WHERE venue IN ('binance', 'bitget', 'hyperliquid', 'okx'))"
    )
