"""A better decoder may read a frame anew: topic, status and error of it follow from its bytes, and may be made again.

The guard of `frames` let nothing through but a redaction. Now it also lets through a change of what was read in a frame
while all that is sealed of it stays: its name, its receipt, its source, its bytes, and of an answer what was asked.
"""

from typing import Any

from alembic import op

revision = "0007"
down_revision = "0006"

REDACTED = """NEW.payload = {empty} AND NEW.status = 'redacted' AND NEW.error IS NULL
  AND NEW.account_id = OLD.account_id AND NEW.session_id = OLD.session_id AND NEW.seq = OLD.seq
  AND NEW.received_ns = OLD.received_ns AND NEW.source = OLD.source AND {same_topic}
  AND EXISTS (SELECT 1 FROM redactions r WHERE r.account_id = OLD.account_id AND r.session_id = OLD.session_id
    AND OLD.seq BETWEEN r.first_seq AND r.last_seq)"""
READ_ANEW = """NEW.payload = OLD.payload AND NEW.status <> 'redacted' AND OLD.status <> 'redacted'
  AND NEW.account_id = OLD.account_id AND NEW.session_id = OLD.session_id AND NEW.seq = OLD.seq
  AND NEW.received_ns = OLD.received_ns AND NEW.source = OLD.source AND (OLD.source = 'push' OR {same_topic})
  AND NOT ({same_topic} AND NEW.status = OLD.status AND {same_error})"""
REFUSAL = "{table} is journal: nothing in it is changed or deleted (recorder redact takes payloads away)"


def _let_through(*changes: str) -> None:
    """Guard `frames` against every change but these."""
    if op.get_bind().dialect.name == "sqlite":
        words: dict[str, Any] = {
            "empty": "x''",
            "same_topic": "NEW.topic IS OLD.topic",
            "same_error": "NEW.error IS OLD.error",
        }
        allowed = " OR ".join(change.format(**words) for change in changes)
        op.execute("DROP TRIGGER frames_unchanged")
        op.execute(
            f"CREATE TRIGGER frames_unchanged BEFORE UPDATE ON frames WHEN NOT ({allowed}) "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL.format(table='frames')}'); END"
        )
        return
    words = {
        "empty": "''::bytea",
        "same_topic": "NEW.topic IS NOT DISTINCT FROM OLD.topic",
        "same_error": "NEW.error IS NOT DISTINCT FROM OLD.error",
    }
    allowed = " OR ".join(change.format(**words) for change in changes)
    refuse = f"RAISE EXCEPTION '{REFUSAL.format(table='%')}', TG_ARGV[0] USING ERRCODE = 'restrict_violation';"
    let_go = f"IF TG_OP = 'UPDATE' THEN IF {allowed} THEN RETURN NEW; END IF; END IF;"
    op.execute(
        "CREATE OR REPLACE FUNCTION refuse_frame_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {let_go} {refuse} END $$"
    )


def upgrade() -> None:
    _let_through(REDACTED, READ_ANEW)


def downgrade() -> None:
    _let_through(REDACTED)
