"""Views of Kraken's derivatives: positions, margins, the pushed ledger.

With each revision the views of all venues are created again. No table changes, and no typed row.
"""

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Nothing but the views."""
