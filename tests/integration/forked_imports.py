"""Imported once by the process that all commands of the tests are forked from."""

from importlib import import_module
from pkgutil import walk_packages

import recorder

#: Modules that need packages of an extra, and the one that runs the program.
LEFT_OUT = ("recorder.backtest", "recorder.export", "recorder.__main__")
#: What commands import only where they need it.
LAZY = ("alembic.command", "rich.console", "rich.table", "sqlalchemy.dialects.postgresql.psycopg")

for module in walk_packages(recorder.__path__, "recorder."):
    if not module.name.startswith(LEFT_OUT):
        import_module(module.name)
for name in LAZY:
    import_module(name)
