"""Seals, and what guards the journal.

What was written before is sealed here, as it is now: from then on it shows a change. The format of a seal never changes
(what has been sealed must be checkable always), so this revision takes it from where the program has it.

The guards refuse to change or delete what is journal: frames, and the batches, spans, entries and seals that go with
them. They are against accidents and the careless; who owns the database can take them away, and then the seals tell.
One change is let through: the payload of a frame that `redactions` names may be emptied.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import sqlite

from recorder.model import Frame
from recorder.store import seals

revision = "0004"
down_revision = "0003"

INT64 = sa.BigInteger().with_variant(sqlite.INTEGER(), "sqlite")

#: What is only ever added to.
JOURNAL = ("frames", "batches", "spans", "event_log", "seals", "checkpoints", "redactions")

REDACTED = """NEW.payload = {empty} AND NEW.status = 'redacted' AND NEW.error IS NULL
  AND NEW.account_id = OLD.account_id AND NEW.session_id = OLD.session_id AND NEW.seq = OLD.seq
  AND NEW.received_ns = OLD.received_ns AND NEW.source = OLD.source AND {same_topic}
  AND EXISTS (SELECT 1 FROM redactions r WHERE r.account_id = OLD.account_id AND r.session_id = OLD.session_id
    AND OLD.seq BETWEEN r.first_seq AND r.last_seq)"""
REFUSAL = "{table} is journal: nothing in it is changed or deleted (recorder redact takes payloads away)"


def _table(name: str, *parts: sa.schema.SchemaItem) -> None:
    op.create_table(name, *parts, sqlite_strict=True, sqlite_with_rowid=False)


def _ints(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, INT64, nullable=False) for name in names]


def _texts(*names: str, null: bool = False) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text(), nullable=null) for name in names]


def upgrade() -> None:
    _table(
        "seals",
        *_ints("run_id", "batch"),
        *[sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("seal", "frames_root", "entries_root")],
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "batch", name="pk_seals"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="fk_seals_runs"),
    )
    _table(
        "checkpoints",
        *_ints("recorder_id", "size", "made_ns"),
        *_texts("note"),
        *_texts("token", null=True),
        sa.PrimaryKeyConstraint("recorder_id", "size", name="pk_checkpoints"),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorders.recorder_id"], name="fk_checkpoints_recorders"),
    )
    _table(
        "redactions",
        *_ints("account_id", "session_id", "first_seq", "last_seq", "redacted_ns"),
        *_texts("who", "why"),
        sa.PrimaryKeyConstraint("account_id", "session_id", "first_seq", name="pk_redactions"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.account_id"], name="fk_redactions_accounts"),
    )
    _seal_what_is_there(op.get_bind())
    if op.get_bind().dialect.name == "sqlite":
        _guard_on_sqlite()
    else:
        # Digests do not shrink: PostgreSQL need not try.
        op.execute("ALTER TABLE seals ALTER COLUMN digests SET STORAGE EXTERNAL")
        _guard_on_postgresql()


def _guard_on_sqlite() -> None:
    redacted = REDACTED.format(empty="x''", same_topic="NEW.topic IS OLD.topic")
    for table in JOURNAL:
        refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL.format(table=table)}'); END"
        unless = f" WHEN NOT ({redacted})" if table == "frames" else ""
        op.execute(f"CREATE TRIGGER {table}_unchanged BEFORE UPDATE ON {table}{unless} {refuse}")
        op.execute(f"CREATE TRIGGER {table}_undeleted BEFORE DELETE ON {table} {refuse}")


def _guard_on_postgresql() -> None:
    redacted = REDACTED.format(empty="''::bytea", same_topic="NEW.topic IS NOT DISTINCT FROM OLD.topic")
    refuse = f"RAISE EXCEPTION '{REFUSAL.format(table='%')}', TG_ARGV[0] USING ERRCODE = 'restrict_violation';"
    op.execute(f"CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {refuse} END $$")
    let_go = f"IF TG_OP = 'UPDATE' THEN IF {redacted} THEN RETURN NEW; END IF; END IF;"
    op.execute(
        f"CREATE FUNCTION refuse_frame_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {let_go} {refuse} END $$"
    )
    for table in JOURNAL:
        function = "refuse_frame_change" if table == "frames" else "refuse_change"
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {function}('{table}')"
        )
        op.execute(
            f"CREATE TRIGGER {table}_untruncated BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('{table}')"
        )


def _seal_what_is_there(connection: sa.Connection) -> None:
    of_recorders = "SELECT recorder_id, run_id FROM runs ORDER BY recorder_id, run_id"
    before: dict[int, bytes] = {}
    for recorder_id, run_id in connection.exec_driver_sql(of_recorders).all():
        last = before.get(recorder_id, seals.BEGINNING)
        of_run = f"SELECT batch, written_ns FROM batches WHERE run_id = {run_id} ORDER BY batch"
        for batch, written_ns in connection.exec_driver_sql(of_run).all():
            last = _seal(connection, run_id, batch, written_ns, last)
        before[recorder_id] = last


def _seal(connection: sa.Connection, run_id: int, batch: int, written_ns: int, before: bytes) -> bytes:
    mine = f"run_id = {run_id} AND batch = {batch}"
    frames: list[Any] = []
    of_spans = f"SELECT account_id, session_id, first_seq, last_seq FROM spans WHERE {mine} ORDER BY 1, 2"
    for account_id, session_id, first_seq, last_seq in connection.exec_driver_sql(of_spans).all():
        frames += connection.exec_driver_sql(
            f"SELECT {', '.join(Frame._fields)} FROM frames WHERE account_id = {account_id} "
            f"AND session_id = {session_id} AND seq BETWEEN {first_seq} AND {last_seq} ORDER BY seq"
        ).all()
    told = connection.exec_driver_sql(f"SELECT body FROM event_log WHERE {mine} ORDER BY item")
    bodies = [body.encode() for body in told.scalars()]
    digests = seals.frame_digests(run_id, frames)
    roots = seals.frames_root(digests), seals.entries_root(bodies)
    seal = seals.seal_of(run_id, batch, written_ns, len(frames), len(bodies), *roots, before)
    insert = sa.text("INSERT INTO seals VALUES (:run_id, :batch, :seal, :frames_root, :entries_root, :digests)")
    row = {"seal": seal, "frames_root": roots[0], "entries_root": roots[1], "digests": digests}
    connection.execute(insert, {"run_id": run_id, "batch": batch, **row})
    return seal


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in JOURNAL:
        for guard in ("kept", "untruncated") if postgresql else ("unchanged", "undeleted"):
            op.execute(f"DROP TRIGGER {table}_{guard}{f' ON {table}' if postgresql else ''}")
    if postgresql:
        op.execute("DROP FUNCTION refuse_change()")
        op.execute("DROP FUNCTION refuse_frame_change()")
    for table in ("redactions", "checkpoints", "seals"):
        op.drop_table(table)
