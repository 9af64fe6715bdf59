"""Where Alembic meets the database: the program hands its connection over; `alembic` on its own makes one."""

import os
import warnings

from alembic import context
from sqlalchemy import Connection

from recorder.store.engine import open_engine
from recorder.store.migrate import migration
from recorder.store.projection_tables import PROJECTIONS
from recorder.store.schema import metadata

assert metadata.tables.keys() >= {table.name for table in PROJECTIONS}

# `alembic check` leaves out the index by the time of a position; a test compares it.
warnings.filterwarnings("ignore", message=".*expression-based index")


def _run(connection: Connection) -> None:
    # One transaction for the whole way: a migration that dies leaves the old schema, never one in between.
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
    context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    _run(handed_over)
else:
    engine = open_engine(os.environ.get("RECORDER_DATABASE", "sqlite:///recorder.db"))
    with migration(engine) as own:
        _run(own)
    engine.dispose()
