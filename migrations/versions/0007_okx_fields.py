"""Fields of OKX that had no column in its views, and views of its deposits and withdrawals over REST.

With each revision the views of all venues are created again. Two fields of orders are no longer in the column `extra`:
typed rows are made again where there is an account of OKX; `recorder db upgrade` does it.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("INSERT INTO rebuild_needed SELECT '0007' WHERE EXISTS (SELECT 1 FROM accounts WHERE venue = 'okx')")
