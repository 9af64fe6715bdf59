"""Packages that only some users need."""

from importlib import import_module
from types import ModuleType

from recorder.errors import ConfigurationError


def needed(package: str, extra: str) -> ModuleType:
    """A package, imported when it is first asked for.

    Raises:
        ConfigurationError: it is not installed; with what to type.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name != package.partition(".")[0]:
            raise  # it is there, and lacks something itself
        raise ConfigurationError(
            f"This needs the package {package}; type: pip install 'exchange-recorder[{extra}]'"
        ) from None
