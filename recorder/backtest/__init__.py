"""A record in the form that backtesting packages take. Every package is an optional extra."""

from importlib import import_module
from types import ModuleType

from recorder.errors import ConfigurationError


def needed(package: str, extra: str) -> ModuleType:
    """Import a package that only some users need.

    Args:
        package: its module.
        extra: the extra of this distribution that installs it.

    Raises:
        ConfigurationError: it is not installed; the error says what to type.
    """
    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name != package.partition(".")[0]:
            raise  # it is installed, but a package that it needs is not
        raise ConfigurationError(
            f"This needs the package {package}; type: pip install 'exchange-recorder[{extra}]'"
        ) from None
