"""The guards of the journal: triggers that refuse to change or delete what is only ever added to.

They protect against accidents. Who owns the database can drop them; then the seals reveal a change.
Of a frame two changes are allowed: `recorder redact` empties its payload once `redactions` names it, and
`recorder rebuild` updates topic, status and error, which follow from the payload. What is sealed of it stays.
"""

from alembic import op

from .spelling import is_sqlite

JOURNAL = ("frames", "batches", "spans", "event_log", "seals", "checkpoints", "redactions")

REDACTED = """NEW.payload = {empty} AND NEW.status = 'redacted' AND NEW.error IS NULL
  AND NEW.account_id = OLD.account_id AND NEW.session_id = OLD.session_id AND NEW.seq = OLD.seq
  AND NEW.received_ns = OLD.received_ns AND NEW.source = OLD.source AND {same_topic}
  AND EXISTS (SELECT 1 FROM redactions r WHERE r.account_id = OLD.account_id AND r.session_id = OLD.session_id
    AND OLD.seq BETWEEN r.first_seq AND r.last_seq)"""
DECODED_AGAIN = """NEW.payload = OLD.payload AND NEW.status <> 'redacted' AND OLD.status <> 'redacted'
  AND NEW.account_id = OLD.account_id AND NEW.session_id = OLD.session_id AND NEW.seq = OLD.seq
  AND NEW.received_ns = OLD.received_ns AND NEW.source = OLD.source AND (OLD.source = 'push' OR {same_topic})
  AND NOT ({same_topic} AND NEW.status = OLD.status AND {same_error})"""
ALLOWED = f"{REDACTED} OR {DECODED_AGAIN}"
REFUSAL = "{table} is journal: nothing in it is changed or deleted (recorder redact takes payloads away)"


def create() -> None:
    """Create the triggers."""
    if is_sqlite():
        _on_sqlite()
    else:
        _on_postgresql()


def _on_sqlite() -> None:
    allowed = ALLOWED.format(empty="x''", same_topic="NEW.topic IS OLD.topic", same_error="NEW.error IS OLD.error")
    for table in JOURNAL:
        refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL.format(table=table)}'); END"
        unless = f" WHEN NOT ({allowed})" if table == "frames" else ""
        op.execute(f"CREATE TRIGGER {table}_unchanged BEFORE UPDATE ON {table}{unless} {refuse}")
        op.execute(f"CREATE TRIGGER {table}_undeleted BEFORE DELETE ON {table} {refuse}")


def _on_postgresql() -> None:
    allowed = ALLOWED.format(
        empty="''::bytea",
        same_topic="NEW.topic IS NOT DISTINCT FROM OLD.topic",
        same_error="NEW.error IS NOT DISTINCT FROM OLD.error",
    )
    refuse = f"RAISE EXCEPTION '{REFUSAL.format(table='%')}', TG_ARGV[0] USING ERRCODE = 'restrict_violation';"
    unless = f"IF TG_OP = 'UPDATE' THEN IF {allowed} THEN RETURN NEW; END IF; END IF;"
    for function, body in (("refuse_change", refuse), ("refuse_frame_change", f"{unless} {refuse}")):
        op.execute(f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$")
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
