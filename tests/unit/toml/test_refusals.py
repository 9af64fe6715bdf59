"""Every sentence about what is wrong with a configuration file."""

from pathlib import Path

import pytest

from recorder import config_file
from recorder.config import load
from recorder.errors import ConfigurationError
from recorder.venues import VENUES
from tests.unit.toml.example import EXAMPLE, changed, refused


def test_there_is_no_configuration(file: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load(file)
    assert (
        str(raised.value)
        == f"There is no configuration {file}; type recorder init, or write one such as:\n\n{config_file.EXAMPLE}"
    )


def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"The configuration .* cannot be read: Is a directory\."):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[accounts.main\n", "at line 1"),
        (EXAMPLE + "\nwritten-out", "at end of document"),
        (EXAMPLE * 2, "at line "),
    ],
)
def test_a_configuration_that_is_not_toml(file: Path, text: str, words: str) -> None:
    said = refused(file, text)
    assert "HERE/recorder.toml is not TOML: " in said
    assert words in said


def test_a_configuration_that_is_not_text(file: Path) -> None:
    assert (
        refused(file, b"key = '\xff'") == "The configuration HERE/recorder.toml cannot be read: it is not UTF-8 text."
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("accounts = 5", 1, "[accounts]: must be a table."),
        ("[accounts]\nmain = 5", None, "[accounts.main]: must be a table."),
        (f"limits = 5\n{EXAMPLE}", 1, "[limits]: must be a table."),
        (changed("[database]", "[databse]"), 1, "[databse]: there is no such table; the tables are accounts,"),
        (
            changed('url = "sqlite', 'ulr = "sqlite'),
            2,
            "[database] ulr: there is no such key; the keys are url, journal.",
        ),
        (changed('"sqlite:///recorder.db"', "5"), 2, "[database] url: must be text in quotes."),
        (
            f'{EXAMPLE}password = "written-out"',
            10,
            "[accounts.main] password: there is no such key; the keys are venue,",
        ),
        (EXAMPLE.replace('key = "env:FMEX_KEY"', ""), 4, "[accounts.main] key: is missing."),
        (changed('["btcusd_p"]', '"btcusd_p"'), 9, "[accounts.main] symbols: must be a list."),
        (changed('["btcusd_p"]', "[5]"), 9, "[accounts.main] symbols[0]: must be text in quotes."),
        (changed('"https://api.fmex.com"', "5"), 6, "[accounts.main] url: must be text in quotes."),
        (f"{EXAMPLE}[ limits ]\n 'batch_ms' = 'x'", 11, "[limits] batch_ms: must be a whole number."),
        (f"{EXAMPLE}[limits]\nbatch_ms = true", 11, "[limits] batch_ms: must be a whole number."),
        (f"{EXAMPLE}[limits]\nstop_s = true", 11, "[limits] stop_s: must be a number."),
        (f"limits.stop_s = 0\n{EXAMPLE}", None, "[limits] stop_s: must be above zero, and a number."),
    ],
)
def test_an_error_names_the_file_the_line_the_table_and_the_key(
    file: Path, text: str, line: int | None, words: str
) -> None:
    place = "HERE/recorder.toml" if line is None else f"HERE/recorder.toml, line {line}"
    assert refused(file, text).startswith(f"{place}: {words}")


@pytest.mark.parametrize("text", ["", "# nothing", "[accounts]", '[database]\nurl = "sqlite:///x.db"'])
def test_no_account(file: Path, text: str) -> None:
    said = refused(file, text)
    assert said == f"HERE/recorder.toml names no account to record; add a table such as:\n\n{config_file.EXAMPLE}"


@pytest.mark.parametrize("name", ["", "a b", "ä", "-a", "a/b", "x" * 65, "[red]"])
def test_the_name_of_an_account(file: Path, name: str) -> None:
    said = refused(file, changed("accounts.main", f'accounts."{name}"'))
    table = f"[accounts.{name}]: an account's name has letters, digits, '_', '-' and '.'"
    # The head of [accounts."[red]"] is not found.
    assert (
        said.removeprefix("HERE/recorder.toml").removeprefix(", line 4") == f": {table}, at most 64, unlike {name!r}."
    )


def test_an_unknown_venue(file: Path) -> None:
    assert refused(file, changed('venue = "fmex"', 'venue = "mtgox"')) == (
        "HERE/recorder.toml, line 5: [accounts.main] venue: There is no venue 'mtgox'; this version of recorder "
        f"supports: {', '.join(sorted(VENUES))}."
    )


@pytest.mark.parametrize(
    "secret",
    [
        "written-out",
        "written-out:x",
        "",
        "env:",
        "file:",
        "env",
        "ENV:written-out",
        " env:written-out",
        "keyring:written-out",
    ],
)
@pytest.mark.parametrize("field", ["key", "secret"])
def test_a_secret_that_is_written_out(file: Path, field: str, secret: str) -> None:
    said = refused(file, changed(f'{field} = "env:FMEX_{field.upper()}"', f'{field} = "{secret}"'))
    assert said == (
        f"HERE/recorder.toml, line {7 + (field == 'secret')}: [accounts.main] {field}: must say where the secret is, "
        '"env:NAME" or "file:/path"; a secret written here is refused.'
    )


@pytest.mark.parametrize("value", [None, "", " \n"])
def test_a_variable_that_is_not_set(file: Path, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FMEX_SECRET") if value is None else monkeypatch.setenv("FMEX_SECRET", value)
    assert refused(file, EXAMPLE) == (
        "HERE/recorder.toml, line 8: [accounts.main] secret: the environment variable FMEX_SECRET is not set: "
        "export it first."
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory."),
        (b"", "is empty."),
        (b" \n\n", "is empty."),
        (b"\xff\xfe\x00", "cannot be read: it is not UTF-8 text."),
    ],
)
def test_a_file_without_a_secret(file: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (file.parent / "key").write_bytes(content)
    said = refused(file, changed("env:FMEX_KEY", f"file:{file.parent}/key"))
    assert said == f"HERE/recorder.toml, line 7: [accounts.main] key: the file HERE/key {words}"


@pytest.mark.parametrize(
    "url",
    [
        "https://written-out:pass@api.fmex.com",
        "https://written-out@api.fmex.com",
        "https://@api.fmex.com",
        "https://api.fmex.com/v2/user/ws",
        "https://api.fmex.com?key=written-out",
        "https://api.fmex.com#written-out",
        "wss://api.fmex.com",
        "ftp://api.fmex.com",
        "api.fmex.com",
        "https://",
        "https://:443",
        "https://api.fmex.com:0",
        "https://api.fmex.com:99999",
        "https://api.fmex.com:http",
        "https://[::1",
    ],
)
def test_the_address_of_an_exchange(file: Path, url: str) -> None:
    said = refused(file, changed("https://api.fmex.com", url))
    assert said == (
        "HERE/recorder.toml, line 6: [accounts.main] url: must be the exchange's own address and nothing more, such as "
        "https://api.fmex.com."
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.fmex.com/", "https://api.fmex.com"),
        ("http://127.0.0.1:9010", "http://127.0.0.1:9010"),
        ("http://[::1]:9010/", "http://[::1]:9010"),
    ],
)
def test_an_address_loses_its_slash(file: Path, url: str, expected: str) -> None:
    file.write_text(changed("https://api.fmex.com", url))
    assert load(file).accounts[0].url == expected


@pytest.mark.parametrize(
    ("symbols", "wrong"),
    [
        ("[]", "[]"),
        ('["btcusd_p", ""]', "['']"),
        ('["btc usd", "ok", "a,b"]', "['btc usd', 'a,b']"),
        ('["_p"]', "['_p']"),
    ],
)
def test_symbols_that_are_none(file: Path, symbols: str, wrong: str) -> None:
    said = refused(file, changed('["btcusd_p"]', symbols))
    place = "HERE/recorder.toml, line 9: [accounts.main] symbols"
    assert said == f'{place}: must be a list such as ["BTC-USDT-SWAP"], not {wrong}.'


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("silence_s = 5", "silence_s: there is no such key; the keys are frame_bytes_max, queue_frames_max,"),
        ("batch_ms = 1.5", "batch_ms: must be a whole number."),
        ("batch_ms = 0", "batch_ms: must be above zero, and a number."),
        ("silent_s = -1.0", "silent_s: must be above zero, and a number."),
        ("reconcile_every_s = -1", "reconcile_every_s: must be above zero, and a number; or 0, for never."),
        ("reconcile_settle_s = 0", "reconcile_settle_s: must be above zero, and a number."),
        ("silent_s = nan", "silent_s: must be above zero, and a number."),
        ("stop_s = inf", "stop_s: must be above zero, and a number."),
    ],
)
def test_limits_that_are_none(file: Path, limit: str, words: str) -> None:
    assert refused(file, f"{EXAMPLE}[limits]\n{limit}\n").startswith(f"HERE/recorder.toml, line 11: [limits] {words}")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("written-out", "The database address cannot be read; write"),
        ("sqlite://", "A record lives in a file; write"),
        ("sqlite:///:memory:", "A record lives in a file; write"),
        ("sqlite:///x.db?mode=written-out", "three slashes and a path, and no ? in it; write"),
        ("sqlite://written-out/x.db", "three slashes and a path, and no ? in it; write"),
    ],
)
def test_the_address_of_a_database(file: Path, url: str, words: str) -> None:
    said = refused(file, changed("sqlite:///recorder.db", url))
    assert said.startswith("HERE/recorder.toml, line 2: [database] url: ")
    assert words in said
