"""`make docs`: write the generated parts of `docs/`, from the commands, the schema and the documentation's record."""

import tempfile
from pathlib import Path

from sqlalchemy import Connection

from tests.docs import commands, queries, sample, schema
from tests.docs.queries import Answer, Ask
from tests.made import quick_engine


def answerer(connection: Connection) -> Ask:
    """What answers queries."""

    def ask(sql: str) -> Answer:
        result = connection.exec_driver_sql(sql)
        return Answer(tuple(result.keys()), [tuple(row) for row in result])

    return ask


def main() -> None:
    """Write the pages."""
    commands.PAGE.write_text(commands.rewritten(commands.PAGE.read_text()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.db"
        sample.make(path)
        engine = quick_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            schema.PAGE.write_text(schema.page(connection))
            queries.PAGE.write_text(queries.rewritten(queries.PAGE.read_text(), answerer(connection)))
        engine.dispose()


if __name__ == "__main__":
    main()
