"""Pushes that only repeat a state (`source` = `repeated`): views show them, and `recorder rebuild` may correct them.

The views of venues are created again with each revision.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

#: Of a frame two changes are allowed: its payload is emptied, or topic, status and error follow from it anew.
REDACTED = """NEW.payload = {empty} AND NEW.status = 'redacted' AND NEW.error IS NULL
  AND NEW.account_id = OLD.account_id AND NEW.session_id = OLD.session_id AND NEW.seq = OLD.seq
  AND NEW.received_ns = OLD.received_ns AND NEW.source = OLD.source AND {same_topic}
  AND EXISTS (SELECT 1 FROM redactions r WHERE r.account_id = OLD.account_id AND r.session_id = OLD.session_id
    AND OLD.seq BETWEEN r.first_seq AND r.last_seq)"""
DECODED_AGAIN = """NEW.payload = OLD.payload AND NEW.status <> 'redacted' AND OLD.status <> 'redacted'
  AND NEW.account_id = OLD.account_id AND NEW.session_id = OLD.session_id AND NEW.seq = OLD.seq
  AND NEW.received_ns = OLD.received_ns AND NEW.source = OLD.source
  AND (OLD.source IN ('push', 'repeated') OR {same_topic})
  AND NOT ({same_topic} AND NEW.status = OLD.status AND {same_error})"""
ALLOWED = f"{REDACTED} OR {DECODED_AGAIN}"
REFUSAL = "{table} is journal: nothing in it is changed or deleted (recorder redact takes payloads away)"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        allowed = ALLOWED.format(empty="x''", same_topic="NEW.topic IS OLD.topic", same_error="NEW.error IS OLD.error")
        refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL.format(table='frames')}'); END"
        op.execute("DROP TRIGGER IF EXISTS frames_unchanged")
        op.execute(f"CREATE TRIGGER frames_unchanged BEFORE UPDATE ON frames WHEN NOT ({allowed}) {refuse}")
        return
    allowed = ALLOWED.format(
        empty="''::bytea",
        same_topic="NEW.topic IS NOT DISTINCT FROM OLD.topic",
        same_error="NEW.error IS NOT DISTINCT FROM OLD.error",
    )
    refuse = f"RAISE EXCEPTION '{REFUSAL.format(table='%')}', TG_ARGV[0] USING ERRCODE = 'restrict_violation';"
    unless = f"IF TG_OP = 'UPDATE' THEN IF {allowed} THEN RETURN NEW; END IF; END IF;"
    op.execute(
        f"CREATE OR REPLACE FUNCTION refuse_frame_change() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN {unless} {refuse} END $$"
    )
