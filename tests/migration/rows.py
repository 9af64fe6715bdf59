"""Rows as a recorder of each revision wrote them: plain SQL, because the declared schema moves on."""

import re
from typing import Any

from sqlalchemy import Engine, inspect

#: A row in every table.
ROWS_0001 = (
    "INSERT INTO accounts VALUES (7, 'fmex', 'main', 1580802000000000000)",
    "INSERT INTO recorders VALUES (5, 1580802000000000000, 'host')",
    "INSERT INTO credentials VALUES (7, '0123456789abcdef', 1580802000000000000, 1)",
    "INSERT INTO retirements VALUES (5, 1580802600000000000, 'who', 'why')",
    "INSERT INTO identity VALUES (5, 'host', '/var/lib/recorder.db', '2049', '99', NULL, NULL, NULL, NULL)",
    "INSERT INTO runs VALUES (1, 5, 1580802000000000000, 'host', 4711, '0.1.0', NULL, NULL)",
    "INSERT INTO sessions VALUES (7, 11, 1, 'wss://api.fmex.com/v2/user/ws', 'account order.btcusd_p', "
    "1580802000000000000, 1580802001000000000, NULL, NULL, NULL)",
    "INSERT INTO frames VALUES (7, 11, 0, 1580802053670000000, 'push', 'account', 'decoded', NULL, x'7b007d')",
    "INSERT INTO account_updates VALUES (7, 11, 0, 0, 1580802053670000000, 1580802053662, 'BTC', "
    "'2.796888254907565438', '0E-18', '9.747280117178e-06', 1580802053643, NULL)",
    "INSERT INTO order_updates VALUES (7, 11, 1, 0, 1580802204240000000, 1580802204232, 849758102002, '1', 'LONG', 8, "
    "'10210', '9288.0', '0', 'BTCUSD_P', 'BTC', '4.8449612403e-08', 'MARKET', 'FULLY_FILLED', 'LONG', '0', '0', '0', "
    "1580802204215, '{\"order.new\":1}')",
    "INSERT INTO position_updates VALUES (7, 11, 2, 0, 1580802507410000000, 1580802507401, 'BTCUSD_P', '1', 'LONG', "
    "'50', 0, '9.749658727683e-06', '0.00045', '-4.8499218623e-08', '9278.5', '9363.483892761602', "
    "'8512.606170669584', '0.1', 1580802507384, NULL)",
    "INSERT INTO heartbeats VALUES (7, 11, 3, 0, 1580802507420000000, 1580802507410, 112)",
    "INSERT INTO fills VALUES (7, 12, 4, 0, 1580802508000000000, 849758102002, 1, '9288.0', '1.0', '4.8449612403e-08', "
    "1580802204215)",
    "INSERT INTO gaps VALUES (7, 5, 1, NULL, NULL, NULL, NULL, 1580802001000000000, 11, 0, 'beginning', NULL, "
    "'reconciled', 12, 'a snapshot')",
    "INSERT INTO reconciliations VALUES (7, 12, 1, 1580802507500000000, 1580802508000000000, "
    "'reconciled', 'a snapshot')",
    "INSERT INTO discrepancies VALUES (7, 12, 4, 'order 849758102002', 'fee', '5E-8', '4.8449612403e-08', 11, "
    "1580802508000000000)",
    "INSERT INTO comparisons VALUES (7, 10, 11, 12, 1)",
    "INSERT INTO batches VALUES (1, 0, 4, 1580802507430000000)",
    "INSERT INTO spans VALUES (1, 0, 7, 11, 0, 3)",
    """INSERT INTO event_log VALUES (1, 0, 0, '{"kind":"RecorderAdded","recorder_id":5}')""",
    "INSERT INTO seals VALUES (1, 0, x'01', x'02', x'03', x'04')",
    "INSERT INTO checkpoints VALUES (5, 2, 1580802507450000000, 'a note', NULL)",
    "INSERT INTO redactions VALUES (7, 11, 1, 2, 1580802507460000000, 'who', 'why')",
    "INSERT INTO receipts VALUES (7, 11, 0, 3, 1580802053670000000, 1580802054000000000)",
    "INSERT INTO snapshots VALUES (7, 1580802053670000000)",
    "INSERT INTO snapshot_rows VALUES (7, 1580802053670000000, 'account_updates', 11, 0, 0)",
)

#: The tables that revision 0002 replaced, and a row in each of the new ones.
REPLACED_0002 = (
    *("account_updates", "order_updates", "position_updates", "heartbeats", "fills"),
    *("sessions", "gaps", "reconciliations"),
)
NEW_0002 = (
    "INSERT INTO sessions VALUES (7, 11, 1, '', 'wss://api.fmex.com/v2/user/ws', 'account order.btcusd_p', "
    "1580802000000000000, 1580802001000000000, NULL, NULL, NULL)",
    "INSERT INTO gaps VALUES (7, 5, 1, '', NULL, NULL, NULL, NULL, 1580802001000000000, 11, 0, 'beginning', NULL, "
    "'reconciled', 12, 'a snapshot')",
    "INSERT INTO reconciliations VALUES (7, 12, 1, 1580802507500000000, 1580802508000000000, 'reconciled', "
    "'a snapshot', NULL)",
    "INSERT INTO backfilled VALUES (7, 12, 'fills until 2020', 'fills', 0, 1577836800000, 1580802508000000000)",
    "INSERT INTO account_updates VALUES (7, 11, 0, 0, 1580802053670000000, 1580802053662, 0, 0, NULL, 'BTC', "
    "'2.796898002187682743', '2.796888254907565438', '0E-18', '9.747280117178e-06', NULL, NULL, 1580802053643, NULL)",
    "INSERT INTO order_updates VALUES (7, 11, 1, 0, 1580802204240000000, 1580802204232, 0, 0, NULL, 'BTCUSD_P', "
    "'849758102002', NULL, 'buy', NULL, 'market', 'ioc', 0, NULL, '10210', NULL, '1', NULL, '1', '9288.0', 'filled', "
    "'FULLY_FILLED', NULL, '4.8449612403e-08', 'BTC', 1580802204215, NULL, '{\"order.new\":1}')",
    "INSERT INTO position_updates VALUES (7, 11, 2, 0, 1580802507410000000, 1580802507401, 0, 0, NULL, 'BTCUSD_P', "
    "NULL, NULL, NULL, '1', '9278.5', NULL, '9363.483892761602', '50', '9.749658727683e-06', NULL, "
    "'-4.8499218623e-08', 1580802507384, NULL)",
    "INSERT INTO heartbeats VALUES (7, 11, 3, 0, 1580802507420000000, 1580802507410, 0, 112)",
    "INSERT INTO fills VALUES (7, 12, 4, 0, 1580802508000000000, NULL, 0, NULL, '849758102002', NULL, NULL, NULL, "
    "NULL, NULL, '9288.0', '1.0', '4.8449612403e-08', NULL, 'taker', NULL, NULL, 1580802204215, NULL)",
    "INSERT INTO transactions VALUES (7, 12, 5, 0, 1580802508000000000, 1580802507999, 0, 'a1', 'funding', "
    "'FUNDING_FEE', NULL, 'BTC', '-1e-08', NULL, NULL, NULL, 'BTCUSD_P', NULL, NULL, 1580802507990, NULL)",
    "INSERT INTO instruments VALUES (7, 12, 6, 0, 1580802508000000000, NULL, 1, NULL, 'BTCUSD_P', 'inverse', 'BTC', "
    "'USD', 'BTC', '1', '0.5', '1', NULL)",
    "INSERT INTO projected VALUES (1, 0)",
    "INSERT INTO stale VALUES (7, '5', '')",
    "INSERT INTO order_states VALUES (7, '849758102002', '', 'BTCUSD_P', 11, 1, 0, 1580802204240000000, "
    "1580802204240000000, 0, 1580802204240000000, 1, 1580802204215, 1, 1580802204215, 1580802204215, 1580802204232, "
    "NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "INSERT INTO trades VALUES (7, 12, 4, 0, 1580802508000000000, 1580802204215, NULL, 1580802204215, NULL, "
    "'849758102002', NULL, NULL, 'BTCUSD_P', 'buy', NULL, 'market', '9288.0', '1.0', '4.8449612403E-8', 'BTC', "
    "'taker', NULL, NULL, 0, 'venue')",
    "INSERT INTO current_states VALUES (7, 'account_updates', '[\"BTC\",null]', 1580802053670000000, "
    "1580802053670000000, 11, 0, 0)",
    "INSERT INTO current_states VALUES (7, 'position_updates', '[\"BTCUSD_P\",null,null,null]', "
    "1580802507410000000, 1580802507410000000, 11, 2, 0)",
    "INSERT INTO contracts VALUES (7, '', 'BTCUSD_P', 'inverse', 'BTC', 'USD', 'BTC', '1', 1580802508000000000, 12, "
    "6, 0)",
    "INSERT INTO fill_sums VALUES (7, 900000, 1580801400000, '', 'BTCUSD_P', 'BTC', 1, 1, 0, 0, '1.0', '0', "
    "'1.0', '4.8449612403E-8', '0', '0')",
    "INSERT INTO fill_sums VALUES (7, 86400000, 1580774400000, '', 'BTCUSD_P', 'BTC', 1, 1, 0, 0, '1.0', '0', "
    "'1.0', '4.8449612403E-8', '0', '0')",
    "INSERT INTO trips VALUES (7, '', 'BTCUSD_P', '', 1, 'long', 1580802204215, NULL, '1.0', '9288.0000000000', '0', "
    "NULL, NULL, '4.8449612403E-8', NULL, 'BTC', 0)",
    "INSERT INTO trip_marks VALUES (7, '', 'BTCUSD_P', '', -9223372036854775808, '[\"0\",null,false]')",
    "INSERT INTO stale_quarters VALUES (7, '', 'BTCUSD_P', '', 1580801400000)",
)


#: The table that revision 0004 replaced, and rows of the new ones.
REPLACED_0004 = ("fill_sums",)
NEW_0004 = (
    "INSERT INTO period_sums VALUES (7, 900000, 1580801400000, '', 'BTCUSD_P', 'BTC', 1, 1, 0, 0, '1.0', '0', "
    "'1.0', '4.8449612403E-8', '0', '0', 1, 0, '0', '1e-08')",
    "INSERT INTO period_sums VALUES (7, 86400000, 1580774400000, '', 'BTCUSD_P', 'BTC', 1, 1, 0, 0, '1.0', '0', "
    "'1.0', '4.8449612403E-8', '0', '0', 1, 0, '0', '1e-08')",
    "INSERT INTO sum_bounds VALUES (7, 'figure', '[\"BTCUSD_P\",null,null,null]', 1580802507384, 1580802507401)",
    "INSERT INTO daily_pnl VALUES (7, 1580774400000, '', 'BTCUSD_P', 'BTC', '4.8449612403E-8', '0', "
    "'4.8449612403E-8', NULL, '0', 1, '1.0')",
)


def _replaced(rows: tuple[str, ...], tables: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(row for row in rows if row.split(maxsplit=3)[2] not in tables)


#: Revision → a row in each of its tables. `rebuild_needed` is empty but after an upgrade.
ROWS = {"0001": ROWS_0001, "0002": (*_replaced(ROWS_0001, REPLACED_0002), *NEW_0002)}
ROWS["0003"] = ROWS["0002"]
ROWS["0004"] = (*_replaced(ROWS["0003"], REPLACED_0004), *NEW_0004)
ROWS["0005"] = ROWS["0004"]
ROWS["0006"] = (
    *_replaced(ROWS["0005"], ("current_states",)),
    *(f"{row.removesuffix(')')}, 0)" for row in ROWS["0005"] if "INTO current_states" in row),
    "INSERT INTO listings VALUES (7, 12, 7, 0, 1580802508000000000, NULL, 1, 'positions', '/positions')",
    "INSERT INTO current_states VALUES (7, 'listings', '[\"positions\",\"/positions\"]', 1580802507500000000, "
    "1580802508000000000, 12, 7, 0, 0)",
)
ROWS["0007"] = ROWS["0006"]
ROWS["0008"] = ROWS["0007"]
ROWS["0009"] = (
    *_replaced(ROWS["0008"], ("trips",)),
    "INSERT INTO trips VALUES (7, '', 'BTCUSD_P', '', 1, 'long', 1580802204215, NULL, '1.0', '9288.0000000000', '0', "
    "NULL, NULL, '4.8449612403E-8', 'BTC', NULL, 'BTC', NULL)",
)
ROWS["0010"] = ROWS["0009"]
ROWS["0011"] = ROWS["0010"]


def write(engine: Engine, revision: str = max(ROWS)) -> None:
    """Write a row into each table of a database at this revision, the newest by default."""
    sqlite = engine.dialect.name == "sqlite"
    with engine.begin() as connection:
        for statement in ROWS[revision]:
            connection.exec_driver_sql(statement if sqlite else re.sub(r" x'", r" '\\x", statement))


#: What makes up the schema of a PostgreSQL database.
POSTGRESQL_SCHEMA = r"""
SELECT table_name || '.' || column_name AS name,
  concat_ws(' ', ordinal_position, data_type, is_nullable, column_default) AS sql
FROM information_schema.columns WHERE table_schema = 'public'
UNION ALL SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'
UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace
UNION ALL SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""
PARTITION = re.compile("_([0-9]{4}|other)$")


def schema_of(engine: Engine) -> dict[str, str]:
    """Every table, view, index, function and trigger, as it was made."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
            return {row.name: row.sql for row in made}
        return {row.name: row.sql for row in connection.exec_driver_sql(POSTGRESQL_SCHEMA)}


def contents_of(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with engine.connect() as connection:
        names = [name for name in inspect(connection).get_table_names() if not PARTITION.search(name)]
        return {name: [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}")] for name in names}
