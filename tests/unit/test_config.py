"""The configuration file: what it says, and every sentence about what is wrong with it."""

from pathlib import Path

import pytest

from recorder import config_file
from recorder.audit.evidence.keys import new_key
from recorder.config import Config, Database, database_of, load
from recorder.errors import ConfigurationError, RecorderError
from recorder.live.settings import Checkpoints, Limits
from recorder.store.engine import database_path
from recorder.venues.rest import Credentials
from tests.authority import Stamper

KEY, SECRET = "the-key-itself", "the-secret-itself"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMEX_KEY", KEY)
    monkeypatch.setenv("FMEX_SECRET", SECRET)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "recorder.toml"


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


def test_the_example_is_a_configuration(file: Path) -> None:
    file.write_text(EXAMPLE)
    told = load(file)
    assert told == Config(Database(f"sqlite:///{file.parent}/recorder.db"), told.accounts, Limits())
    (account,) = told.accounts
    assert (account.name, account.venue.name, account.url) == ("main", "fmex", "https://api.fmex.com")
    assert account.credentials == Credentials(key=KEY, secret=SECRET)
    assert account.symbols == ("btcusd_p",)
    assert account.streams[0].topics == ("account", "order.btcusd_p", "position.btcusd_p")
    for text in (repr(told), str(told), f"{account}"):
        assert KEY not in text
        assert SECRET not in text


def test_only_what_is_needed(file: Path) -> None:
    file.write_text(
        '[accounts.a]\nvenue="fmex"\nkey="env:FMEX_KEY"\nsecret="env:FMEX_SECRET"\nsymbols=["A_p","a_P","b"]'
    )
    told = load(file)
    assert told.database == Database(f"sqlite:///{file.parent}/recorder.db")
    assert told.accounts[0].url == "https://api.fmex.com"
    assert told.accounts[0].symbols == ("a_p", "b"), "as the venue spells them, each once"


def test_several_accounts_in_their_order(file: Path) -> None:
    one = EXAMPLE.partition("[accounts.main]")[2]
    file.write_text(f"[accounts.z-1]{one}[accounts.a_2]{one}")
    told = load(file)
    assert [account.name for account in told.accounts] == ["z-1", "a_2"]
    assert len({account.account_id for account in told.accounts}) == 2


def test_limits(file: Path) -> None:
    file.write_text(f"{EXAMPLE}[limits]\nsilent_s = 50\nbatch_ms = 5\nstalled_s = 2.5\n")
    assert load(file).limits == Limits(silent_s=50, batch_ms=5, stalled_s=2.5)


@pytest.mark.parametrize(
    ("heartbeat", "silent_s", "interval"), [("", "15", "15"), ("", "2.5", "15"), ("heartbeat_s = 3\n", "3", "3")]
)
def test_silence_shorter_than_a_heartbeat_is_refused(file: Path, heartbeat: str, silent_s: str, interval: str) -> None:
    assert refused(file, f"{EXAMPLE}{heartbeat}[limits]\nsilent_s = {silent_s}\n") == (
        f"HERE/recorder.toml, line {11 + bool(heartbeat)}: [limits] silent_s: is {silent_s} s, but account main sends "
        f"a heartbeat every {interval} s, so a quiet connection would count as lost: set silent_s above {interval}, "
        "or a lower heartbeat_s in [accounts.main]."
    )


def test_topics_that_are_not_subscribed_to(file: Path) -> None:
    file.write_text(f'{EXAMPLE}exclude_topics = ["position.btcusd_p"]\n')
    (stream,) = load(file).accounts[0].streams
    assert stream.topics == ("account", "order.btcusd_p")


@pytest.mark.parametrize("topics", [["positions"], ["account", "order.btcusd_p", "position.btcusd_p"]])
def test_topics_to_exclude_must_be_some_of_the_venues(file: Path, topics: list[str]) -> None:
    assert refused(file, f"{EXAMPLE}exclude_topics = {topics}\n") == (
        "HERE/recorder.toml, line 10: [accounts.main] exclude_topics: must name some of account, order.btcusd_p, "
        f"position.btcusd_p, not {topics}."
    )


def test_another_host_is_for_everything_unless_the_sockets_have_their_own(file: Path) -> None:
    def hosts(*lines: str) -> tuple[str, str]:
        kept = [line for line in EXAMPLE.splitlines() if not line.startswith('url = "https')]
        file.write_text("\n".join([*kept, *lines]))
        login = load(file).accounts[0].login
        return login.url, login.stream_url

    assert hosts() == ("https://api.fmex.com", "wss://api.fmex.com")
    assert hosts('environment = "production"') == ("https://api.fmex.com", "wss://api.fmex.com")
    assert hosts('url = "http://localhost:9010"') == ("http://localhost:9010", "ws://localhost:9010")
    assert hosts('stream_url = "wss://x:1"') == ("https://api.fmex.com", "wss://x:1")


def test_an_address_of_the_sockets_and_an_environment_are_checked(file: Path) -> None:
    assert refused(file, f'{EXAMPLE}stream_url = "https://x"\n') == (
        "HERE/recorder.toml, line 10: [accounts.main] stream_url: must be the exchange's own address and nothing more, "
        "such as wss://api.fmex.com."
    )
    assert refused(file, f'{EXAMPLE}environment = "testnet"\n') == (
        "HERE/recorder.toml, line 10: [accounts.main] environment: must be one of production, not 'testnet'."
    )


@pytest.mark.parametrize("heartbeat_s", ["15.5", "0", "-1", "nan", "inf"])
def test_a_heartbeat_that_the_venue_does_not_allow(file: Path, heartbeat_s: str) -> None:
    assert refused(file, f"{EXAMPLE}heartbeat_s = {heartbeat_s}\n") == (
        "HERE/recorder.toml, line 10: [accounts.main] heartbeat_s: must be above zero and at most 15, the interval "
        f"fmex asks for, not {float(heartbeat_s):g}."
    )


def test_a_shorter_heartbeat_allows_a_shorter_silence(file: Path) -> None:
    file.write_text(f"{EXAMPLE}heartbeat_s = 3\n[limits]\nsilent_s = 3.5\n")
    told = load(file)
    assert (told.limits.silent_s, told.accounts[0].heartbeat_interval_s) == (3.5, 3)


@pytest.mark.parametrize("off", ["0", "0.0"])
def test_comparing_can_be_switched_off(file: Path, off: str) -> None:
    assert Limits().reconcile_every_s == 3_600
    file.write_text(f"{EXAMPLE}[limits]\nreconcile_every_s = {off}\n")
    assert load(file).limits == Limits(reconcile_every_s=0)


@pytest.mark.parametrize("name", ["recorder.db", "a b/ä #1 100% x?.db", "/abs/olute.db", "../up.db"])
def test_a_relative_database_lies_beside_its_configuration(
    file: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    escaped = name.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
    file.write_text(changed("sqlite:///recorder.db", f"sqlite:///{escaped}"))
    expected = file.parent / name
    for folder in (file.parent, Path("/")):
        monkeypatch.chdir(folder)
        for path in (file, Path(file.name) if folder == file.parent else file):
            assert database_path(load(path).database.journal) == expected
            assert database_path(database_of(path).url) == expected


def test_reading_needs_no_secrets(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FMEX_KEY")
    file.write_text(EXAMPLE)
    assert database_of(file) == Database(f"sqlite:///{file.parent}/recorder.db")


@pytest.mark.parametrize("text", ["{}", "{}\n", "  {}\r\n\n"])
def test_a_secret_in_a_file(file: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (file.parent / "key").write_text(text.format("from-a-file"))
    for named in (f"file:{file.parent}/key", "file:key"):
        file.write_text(changed("env:FMEX_KEY", named))
        monkeypatch.chdir("/")  # a relative one lies beside the configuration as well
        assert load(file).accounts[0].credentials == Credentials(key="from-a-file", secret=SECRET)


def test_a_secret_in_the_environment_may_end_with_a_newline(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMEX_SECRET", f"{SECRET}\n")
    file.write_text(EXAMPLE)
    assert load(file).accounts[0].credentials["secret"] == SECRET


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
        "supports: bybit, fmex, hyperliquid, okx."
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


SIGNED = (
    EXAMPLE
    + """
[checkpoints]
key = "file:audit.key"
to = "file:elsewhere/recorder.checkpoints"
"""
)
AUDIT = new_key("audit")


@pytest.fixture
def audit_key(file: Path) -> Path:
    path = file.parent / "audit.key"
    path.write_text(f"{AUDIT.text}\n")
    return path


@pytest.mark.usefixtures("audit_key")
def test_checkpoints(file: Path) -> None:
    file.write_text(EXAMPLE)
    assert load(file).checkpoints is None
    file.write_text(SIGNED)
    told = load(file).checkpoints
    assert told is not None
    assert told.key.verifier == AUDIT.verifier
    out = file.parent / "elsewhere" / "recorder.checkpoints"
    assert told == Checkpoints(key=told.key, every_s=3600.0, file=out)
    assert AUDIT.text not in repr(told)
    assert AUDIT.text.split("+", 4)[4] not in repr(told)


@pytest.mark.usefixtures("audit_key")
def test_everything_about_checkpoints(file: Path) -> None:
    stamper = Stamper()
    stamper.write_root(file.parent / "tsa.pem")
    file.write_text(
        SIGNED + 'every_s = 60\ncommand = ["sh", "-c", "cat"]\nauthority = "http://tsa.example:80/tsr"\n'
        'authority_ca = "file:tsa.pem"\n'
    )
    told = load(file).checkpoints
    assert told is not None
    assert (told.every_s, told.command) == (60.0, ("sh", "-c", "cat"))
    assert told.authority == ("http://tsa.example:80/tsr", (stamper.root,))


def test_looking_needs_no_key(file: Path) -> None:
    file.write_text(SIGNED)
    assert database_of(file).url.endswith("recorder.db")


@pytest.mark.usefixtures("audit_key")
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("file:audit.key", "file:none.key", "key: the file none.key cannot be read: No such file or directory."),
        ("file:audit.key", "written-out", 'key: must say where the secret is, "env:NAME" or "file:/path"; a secret'),
        ("file:audit.key", "file:recorder.toml", "key: In file:recorder.toml is no private key; `recorder keys make"),
        ('key = "file:audit.key"', "", "key: is missing."),
        ("to = ", "too = ", "too: there is no such key; the keys are key, every_s, to, command,"),
        ("to = ", "# to = ", "checkpoints must leave this machine to prove anything: give a file (to), a command or"),
        ("file:elsewhere", "elsewhere", 'to: must be a file, such as "file:/mnt/elsewhere/recorder.checkpoints".'),
        ("file:elsewhere", "env:elsewhere", "to: must be a file, such as"),
        ("file:elsewhere/recorder.checkpoints", "file:", "to: must be a file, such as"),
        ("to = ", "every_s = 0\nto = ", "every_s: must be a number of seconds above zero."),
        ("to = ", "every_s = -1.0\nto = ", "every_s: must be a number of seconds above zero."),
        ("to = ", "every_s = nan\nto = ", "every_s: must be a number of seconds above zero."),
        ("to = ", "every_s = inf\nto = ", "every_s: must be a number of seconds above zero."),
        ("to = ", 'every_s = "1h"\nto = ', "every_s: must be a number."),
        ("to = ", 'command = "cat"\nto = ', "command: must be a list."),
        ("to = ", 'command = ["no-such"]\nto = ', "command: there is no program 'no-such'."),
        ("to = ", 'command = [""]\nto = ', "command: there is no program ''."),
        (
            "to = ",
            'authority = "http://tsa.example"\nto = ',
            "authority_ca: must name the file of the authority's root",
        ),
        ("to = ", 'authority_ca = "file:tsa.pem"\nto = ', "authority: must be the address of a time-stamp authority"),
    ],
)
def test_checkpoints_that_are_not_right(file: Path, old: str, new: str, words: str) -> None:
    assert SIGNED.count(old) == 1
    said = refused(file, SIGNED.replace(old, new))
    place, _, problem = said.partition(": [checkpoints]")
    assert place in {f"HERE/recorder.toml, line {line}" for line in (11, 12, 13)}
    assert problem.strip(": ").startswith(words)


@pytest.mark.usefixtures("audit_key")
@pytest.mark.parametrize(
    "url",
    [
        "",
        "tsa.example/tsr",
        "ftp://tsa.example",
        "https://",
        "https://me:written-out@tsa.example",
        "https://[::1",
        "http://x:0",
    ],
)
def test_the_address_of_an_authority(file: Path, url: str) -> None:
    Stamper().write_root(file.parent / "tsa.pem")
    said = refused(file, SIGNED + f'authority = "{url}"\nauthority_ca = "file:tsa.pem"\n')
    assert said == (
        "HERE/recorder.toml, line 14: [checkpoints] authority: must be the address of a time-stamp authority, such as "
        "https://tsa.example/tsr."
    )


def test_a_key_that_is_none_and_certificates_that_are_none(file: Path, audit_key: Path) -> None:
    authority = 'authority = "http://tsa.example"\nauthority_ca = "file:tsa.pem"\n'
    said = refused(file, SIGNED + authority)
    place = "HERE/recorder.toml, line 15: [checkpoints] authority_ca"
    assert said == f"{place}: The certificates HERE/tsa.pem cannot be read: No such file or directory."
    (file.parent / "tsa.pem").write_text("nothing")
    assert refused(file, SIGNED + authority).startswith(
        f"{place}: In HERE/tsa.pem are no certificates; it is the authority's root"
    )
    audit_key.write_text(AUDIT.verifier.text)
    assert refused(file, SIGNED) == (
        "HERE/recorder.toml, line 12: [checkpoints] key: In file:audit.key is no private key; `recorder keys make "
        "FILE` makes one."
    )
