"""A configuration, and what is said of one that is changed."""

from pathlib import Path

import pytest

from recorder.config import load
from recorder.errors import ConfigurationError, RecorderError

KEY, SECRET = "the-key-itself", "the-secret-itself"

#: A configuration with every kind of key.
EXAMPLE = """\
[database]
url = "sqlite:///recorder.db"

[accounts.main]
venue = "fmex"
url = "https://api.fmex.com"
key = "env:FMEX_KEY"          # or file:/run/credentials/fmex_key
secret = "env:FMEX_SECRET"
symbols = ["btcusd_p"]
"""


def changed(old: str, new: str) -> str:
    assert EXAMPLE.count(old) == 1
    return EXAMPLE.replace(old, new)


def refused(file: Path, text: str | bytes) -> str:
    """What is said of a configuration: one error for the user, without anything secret and without our own innards."""
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(RecorderError) as raised:
        load(file)
    said = str(raised.value)
    assert type(raised.value) is ConfigurationError
    assert raised.value.exit_code == 2
    assert raised.value.__cause__ is None
    for secret in (KEY, SECRET, "written-out"):
        assert secret not in said
    for innards in ("Struct", "msgspec", "Traceback", "_File", "$"):
        assert innards not in said
    return said.replace(str(file.parent), "HERE")
