"""Libraries that are extras: asked for when they are needed, and said by name when they are missing."""

from importlib import import_module
from types import ModuleType

from recorder.errors import ConfigurationError


def library(name: str, extra: str, purpose: str) -> ModuleType:
    """A library.

    Args:
        name: of its module.
        extra: of ours that brings it.
        purpose: what needs it, as a sentence begins.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] == name.partition(".")[0]:
            raise ConfigurationError(f"{purpose} {name}; type: pip install 'exchange-recorder[{extra}]'") from None
        raise
