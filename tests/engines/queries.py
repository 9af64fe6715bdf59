"""Questions about a trade history, in SQL that SQLite, PostgreSQL, DuckDB and Spark all accept unchanged.

They read `executions`, `position_history` and `gaps`: in a database the views and the table of those names, in an
export `fills`, `position_history` and `gaps`. Numbers are rounded, because SQLite adds up floats. Their rules:

- factors of a product are `DECIMAL(20, 8)`, because the engines differ in what 38 digits times 38 becomes;
- integers are not divided: two engines drop the fraction, two do not;
- days and months are columns of text; a time is compared, but never cut up;
- a column that is sorted by is never null: two engines put nulls first, two last.

Those queries of docs/queries.md that read only `executions` are run on all engines too.
"""

import re
from pathlib import Path

from tests.engines.story import BEGIN_NS, DAY_NS

#: Nanoseconds since 1970 of the midnight (UTC) before the receipt.
DAY_OF_RECEIPT = f"received_ns - received_ns % {DAY_NS}"

PAGE = Path(__file__).parents[2] / "docs" / "queries.md"
_BLOCK = re.compile(r"^## (.+?)\n.*?^```sql\n(.+?);\n```", re.MULTILINE | re.DOTALL)
_RELATION = re.compile(r"(?:FROM|JOIN)\s+(\w+)", re.IGNORECASE)


def of_the_page() -> dict[str, str]:
    """Questions of docs/queries.md about `executions` alone, with their first query."""
    found = {
        name: sql for name, sql in _BLOCK.findall(PAGE.read_text()) if set(_RELATION.findall(sql)) == {"executions"}
    }
    assert len(found) >= 3
    return found


QUERIES = {
    "fills in a period": f"""
SELECT account, order_id, symbol, side, ROUND(quantity, 8) AS quantity, ROUND(price, 6) AS price,
  ROUND(fee, 10) AS fee, fee_currency, CAST(price_is_estimate AS INT) AS is_estimate, origin
FROM executions
WHERE received_ns >= {BEGIN_NS + 20 * DAY_NS} AND received_ns < {BEGIN_NS + 30 * DAY_NS}
ORDER BY received_ns, session_id, seq, item""",
    "fills of a day by their time": """
SELECT order_id, ROUND(quantity, 8) AS quantity FROM executions
WHERE at_utc >= '2020-02-01 00:00:00' AND at_utc < '2020-02-04 00:00:00'
ORDER BY at_ms, order_id, quantity""",
    "fees by symbol and month": """
SELECT symbol, fee_currency, month, COUNT(*) AS fills, ROUND(SUM(fee), 10) AS fees
FROM executions
GROUP BY symbol, fee_currency, month
ORDER BY symbol, fee_currency, month""",
    "traded by day and side": """
SELECT day, side, COUNT(*) AS fills, ROUND(SUM(quantity), 8) AS quantity
FROM executions
GROUP BY day, side
ORDER BY day, side""",
    "turnover and average price by account and symbol": """
SELECT account, symbol, ROUND(SUM(CAST(quantity AS DECIMAL(20, 8)) * CAST(price AS DECIMAL(20, 8))), 4) AS turnover,
  ROUND(SUM(CAST(quantity AS DECIMAL(20, 8)) * CAST(price AS DECIMAL(20, 8))) / SUM(quantity), 4) AS average_price
FROM executions
WHERE price IS NOT NULL
GROUP BY account, symbol
ORDER BY account, symbol""",
    "maker share by symbol, and share that was paid for": """
SELECT symbol, ROUND(SUM(CASE WHEN liquidity = 'maker' THEN quantity ELSE 0 END) / SUM(quantity), 4) AS maker_share,
  ROUND(SUM(CASE WHEN fee < 0 THEN quantity ELSE 0 END) / SUM(quantity), 4) AS rebate_share
FROM executions
GROUP BY symbol
ORDER BY symbol""",
    "the ten orders that traded most": """
SELECT account, order_id, COUNT(*) AS fills, ROUND(SUM(quantity), 8) AS traded
FROM executions
GROUP BY account, order_id
ORDER BY traded DESC, account, order_id
LIMIT 10""",
    "realized PnL by day": f"""
SELECT account, symbol, day_ns,
  ROUND(pnl - LAG(pnl) OVER (PARTITION BY account, symbol ORDER BY day_ns), 10) AS realized
FROM (
  SELECT account, symbol, {DAY_OF_RECEIPT} AS day_ns, realized_pnl AS pnl,
    ROW_NUMBER() OVER (PARTITION BY account, symbol, {DAY_OF_RECEIPT}
      ORDER BY received_ns DESC, session_id DESC, seq DESC) AS age
  FROM position_history
) newest
WHERE age = 1
ORDER BY account, symbol, day_ns""",
    "how long nothing was covered, by reason": """
SELECT reason, state, COUNT(*) AS gaps, SUM(ends_ns - begins_ns) AS lasted_ns
FROM gaps
WHERE begins_ns IS NOT NULL AND ends_ns IS NOT NULL
GROUP BY reason, state
ORDER BY reason, state""",
}

QUERIES |= of_the_page()
