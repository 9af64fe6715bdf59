"""Tables for any exchange: text ids, normalized sides and statuses, transactions, instruments; and the projections."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

revision = "0002"
down_revision = "0001"


def _package(name: str) -> ModuleType:
    """A package beside this folder. Alembic loads a revision by its path, so a plain import would not find it."""
    folder = Path(__file__).parent.parent / name
    full_name = f"recorder_migrations_{name}"
    spec = spec_from_file_location(full_name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    package = sys.modules[full_name] = module_from_spec(spec)
    spec.loader.exec_module(package)
    return package


def upgrade() -> None:
    _package("any_venue").upgrade()
