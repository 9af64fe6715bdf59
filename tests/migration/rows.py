"""Rows as a released recorder wrote them, revision by revision: plain SQL, for the declared schema moves on."""

from typing import Any

from sqlalchemy import Engine

#: A row in every table of revision 0001.
ROWS_0001 = (
    "INSERT INTO accounts VALUES (7, 'fmex', 'main', 1580802000000000000)",
    "INSERT INTO recorders VALUES (5, 1580802000000000000, 'host')",
    "INSERT INTO identity VALUES (5, 99)",
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
)

#: What came with revision 0004, beside the seals of what was there.
ROWS_0004 = (
    "INSERT INTO checkpoints VALUES (5, 2, 1580802507450000000, 'a note', NULL)",
    "INSERT INTO redactions VALUES (7, 11, 1, 2, 1580802507460000000, 'who', 'why')",
)

#: `receipts` has a row already: it follows from the frame above.
ROWS_0005 = (
    "INSERT INTO snapshots VALUES (7, 1580802053670000000)",
    "INSERT INTO snapshot_rows VALUES (7, 1580802053670000000, 'account_updates', 11, 0, 0)",
)

#: Revision → the rows that came with it.
ROWS = {"0001": ROWS_0001, "0003": (), "0004": ROWS_0004, "0005": ROWS_0005, "0006": (), "0007": ()}


def write(engine: Engine, revision: str) -> None:
    """Write the rows of a revision."""
    with engine.begin() as connection:
        for statement in ROWS[revision]:
            sqlite = engine.dialect.name == "sqlite"
            connection.exec_driver_sql(statement if sqlite else statement.replace(" x'", " '\\x"))


def schema_of(engine: Engine) -> dict[str, str]:
    """Every table, view and trigger, as it was made."""
    with engine.connect() as connection:
        made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {row.name: row.sql for row in made}


def contents_of(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    names = [name for name, sql in schema_of(engine).items() if sql.startswith("CREATE TABLE")]
    with engine.connect() as connection:
        return {name: [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}")] for name in names}
