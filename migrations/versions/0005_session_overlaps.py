"""What two connections of one recorder received is counted once: the view `order_updates_once`; plans of `orders`.

A planned reconnect opens the next connection before it closes the old one, so both receive the pushes in between. Of
two connections that were both open when the first of two equal updates was received, the later update is the same push;
as many are left as the connection received that received most.
"""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from alembic import op

revision = "0005"
down_revision = "0004"

#: After everything that was ever received, ns.
NEVER_NS = 2**63 - 1
VIEW = "order_updates_once"
JOIN = "JOIN order_updates u ON"


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
    history, is_sqlite = _module("history"), _module("spelling").is_sqlite()
    op.execute(f"CREATE VIEW session_overlaps AS\n{_overlaps(history.APART_NS)}")
    text = _once("order_updates", history.CONTENT["order_updates"], history, is_sqlite=is_sqlite)
    _replace(VIEW, text, is_sqlite=is_sqlite)
    views = _module("views")
    # Each state has its row. PostgreSQL expects none of an inner join by four columns, and starts parallel workers for
    # ten rows.
    for name, text in (("orders", views._orders()), ("order_lives", views._order_lives())):
        assert text.count(JOIN) == 1
        _replace(name, text.replace(JOIN, f"LEFT {JOIN}"), is_sqlite=is_sqlite)


def _replace(view: str, text: str, *, is_sqlite: bool) -> None:
    if is_sqlite:
        op.execute(f"DROP VIEW {view}")
    # On PostgreSQL other views depend on it.
    op.execute(f"CREATE {'' if is_sqlite else 'OR REPLACE '}VIEW {view} AS\n{text}")


def _overlaps(apart_ns: int) -> str:
    """Pairs of sessions that overlap, each in both orders."""
    same = "o.account_id = n.account_id AND o.run_id = n.run_id AND o.stream = n.stream"
    pairs = f"""SELECT n.account_id, o.session_id AS old_id, n.session_id AS new_id, n.opened_ns AS since_ns,
    CASE WHEN o.ended_ns IS NULL OR n.ended_ns IS NULL THEN {NEVER_NS}
      WHEN o.ended_ns < n.ended_ns THEN o.ended_ns + {apart_ns} ELSE n.ended_ns + {apart_ns} END AS until_ns
  FROM (SELECT s.*, max(coalesce(ended_ns, {NEVER_NS})) OVER (PARTITION BY account_id, run_id, stream
      ORDER BY opened_ns, session_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS others_end_ns
    FROM sessions s) n JOIN sessions o ON {same}
    AND (o.opened_ns < n.opened_ns OR (o.opened_ns = n.opened_ns AND o.session_id < n.session_id))
    AND coalesce(o.ended_ns, {NEVER_NS}) > n.opened_ns
  WHERE n.others_end_ns > n.opened_ns"""
    return f"""WITH pairs AS ({pairs})
SELECT account_id, old_id AS session_id, new_id AS other_session_id, since_ns, until_ns FROM pairs
UNION ALL SELECT account_id, new_id, old_id, since_ns, until_ns FROM pairs"""


def _unless_repeated(table: str, content: tuple[str, ...], apart_ns: int, *, is_sqlite: bool) -> str:
    """Whether an update is not the same push as one that the other session received before."""
    equal = "IS" if is_sqlite else "IS NOT DISTINCT FROM"
    greatest = "max" if is_sqlite else "greatest"

    same = " AND ".join(f"v.{name} {equal} u.{name}" for name in content if name != "order_id")
    mine = "v.session_id = u.session_id AND (v.received_ns, v.seq, v.item) <= (u.received_ns, u.seq, u.item)"
    its = "v.session_id = o.other_session_id AND (v.received_ns, v.session_id) < (u.received_ns, u.session_id)"
    # By how many the other session had received more; counted in one look, for a planner has many partitions to weigh.
    more = f"""(SELECT sum(CASE WHEN v.session_id = u.session_id THEN -1 ELSE 1 END) FROM {table} v
      WHERE v.account_id = u.account_id AND v.order_id = u.order_id AND ({mine} OR {its})
      AND v.received_ns >= {greatest}(o.since_ns, u.received_ns - {apart_ns}) AND {same})"""
    return f"""NOT EXISTS (SELECT 1 FROM session_overlaps o WHERE o.account_id = u.account_id
    AND o.session_id = u.session_id AND u.received_ns >= o.since_ns AND u.received_ns <= o.until_ns AND {more} >= 0)"""


def _once(table: str, content: tuple[str, ...], history: ModuleType, *, is_sqlite: bool) -> str:
    """The view of revision 0002, without the updates that two sessions of one recorder received."""
    columns = ", ".join(("account_id, session_id, seq, item, received_ns, event_ms, is_snapshot", *content))
    several = "(SELECT count(*) FROM recorders) > 1"
    unless = _unless_repeated(table, content, history.APART_NS, is_sqlite=is_sqlite)
    text: str = history._once(table, content)
    first, second = f"FROM {table} WHERE NOT {several}", f"WHERE {several}\n"
    assert text.startswith(f"SELECT {columns} {first}") and text.count(second) == 1
    text = text.replace(first, f"FROM {table} u WHERE NOT {several} AND {unless}")
    return text.replace(second, f"WHERE {several} AND {unless}\n")
