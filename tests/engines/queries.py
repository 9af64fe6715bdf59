"""Questions about a trade history, in SQL that SQLite, PostgreSQL, DuckDB and Spark all take as it stands.

They are about `trade_history`, `position_updates` and `gaps`: in a database the view and the tables of those names, in
an export `fills`, `position_updates` and `gaps`. Numbers are rounded, because SQLite adds up floats. What they keep to:

- an average or a product is made of `DECIMAL(20, 8)`, for the engines differ in what becomes of 38 digits times 38;
- integers are not divided: two engines drop what is after the point, two do not;
- a time is cut out of its text, `substr(CAST(time_utc AS VARCHAR(30)), 1, 7)` being the month;
- what is sorted by is never null: two engines take nulls first, two last.
"""

from tests.engines.story import BEGIN_NS, DAY_NS

MONTH = "substr(CAST(time_utc AS VARCHAR(30)), 1, 7)"
DAY = "substr(CAST(time_utc AS VARCHAR(30)), 1, 10)"
#: Nanoseconds since 1970 of the midnight (UTC) before the receipt.
DAY_OF_RECEIPT = f"received_ns - received_ns % {DAY_NS}"

QUERIES = {
    "fills in a period": f"""
SELECT account, order_id, symbol, direction, ROUND(quantity, 8) AS quantity, ROUND(price, 6) AS price,
  ROUND(fee, 10) AS fee, fee_currency, CAST(price_is_estimate AS INT) AS is_estimate, origin
FROM trade_history
WHERE received_ns >= {BEGIN_NS + 20 * DAY_NS} AND received_ns < {BEGIN_NS + 30 * DAY_NS}
ORDER BY received_ns, session_id, seq, item""",
    "fills of a day by their time": """
SELECT order_id, ROUND(quantity, 8) AS quantity FROM trade_history
WHERE time_utc >= '2020-02-01 00:00:00' AND time_utc < '2020-02-04 00:00:00'
ORDER BY ts, order_id, quantity""",
    "fees by symbol and month": f"""
SELECT symbol, fee_currency, {MONTH} AS in_month, COUNT(*) AS fills, ROUND(SUM(fee), 10) AS fees
FROM trade_history
GROUP BY symbol, fee_currency, {MONTH}
ORDER BY symbol, fee_currency, in_month""",
    "traded by day and direction": f"""
SELECT {DAY} AS on_day, direction, COUNT(*) AS fills, ROUND(SUM(quantity), 8) AS quantity
FROM trade_history
GROUP BY {DAY}, direction
ORDER BY on_day, direction""",
    "turnover and average price by account and symbol": """
SELECT account, symbol, ROUND(SUM(CAST(quantity AS DECIMAL(20, 8)) * CAST(price AS DECIMAL(20, 8))), 4) AS turnover,
  ROUND(SUM(CAST(quantity AS DECIMAL(20, 8)) * CAST(price AS DECIMAL(20, 8))) / SUM(quantity), 4) AS average_price
FROM trade_history
WHERE price IS NOT NULL
GROUP BY account, symbol
ORDER BY account, symbol""",
    "maker share by symbol: fills that were paid for": """
SELECT symbol, ROUND(SUM(CASE WHEN fee < 0 THEN quantity ELSE 0 END) / SUM(quantity), 4) AS maker_share
FROM trade_history
GROUP BY symbol
ORDER BY symbol""",
    "the ten orders that traded most": """
SELECT account, order_id, COUNT(*) AS fills, ROUND(SUM(quantity), 8) AS traded
FROM trade_history
GROUP BY account, order_id
ORDER BY traded DESC, account, order_id
LIMIT 10""",
    "realized PnL by day": f"""
SELECT account_id, symbol, day_ns,
  ROUND(pnl - LAG(pnl) OVER (PARTITION BY account_id, symbol ORDER BY day_ns), 10) AS realized
FROM (
  SELECT account_id, symbol, {DAY_OF_RECEIPT} AS day_ns, CAST(realized_pnl AS DECIMAL(38, 18)) AS pnl,
    ROW_NUMBER() OVER (PARTITION BY account_id, symbol, {DAY_OF_RECEIPT}
      ORDER BY received_ns DESC, session_id DESC, seq DESC) AS age
  FROM position_updates
) newest
WHERE age = 1
ORDER BY account_id, symbol, day_ns""",
    "how long nothing was covered, by reason": """
SELECT reason, state, COUNT(*) AS gaps, SUM(ends_ns - begins_ns) AS lasted_ns
FROM gaps
WHERE begins_ns IS NOT NULL AND ends_ns IS NOT NULL
GROUP BY reason, state
ORDER BY reason, state""",
}
