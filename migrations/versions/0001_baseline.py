"""The baseline: the schema of the first release."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

revision = "0001"
down_revision = None


def _baseline() -> ModuleType:
    """The package beside this folder. Alembic loads a revision by its path, so a plain import would not find it."""
    folder = Path(__file__).parent.parent / "baseline"
    name = "recorder_migrations_baseline"
    spec = spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    package = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(package)
    return package


def upgrade() -> None:
    _baseline().create()
