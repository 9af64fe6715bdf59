"""The configuration file: what it says."""

from pathlib import Path

import pytest

from recorder.config import Config, Database, database_of, load
from recorder.live.settings import Limits
from recorder.store.engine import database_path
from recorder.venues import venue_named
from recorder.venues.rest import Credentials
from tests.unit.toml.example import EXAMPLE, KEY, SECRET, changed, refused


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


def test_an_environment_can_be_told_by_headers_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venue = venue_named("fmex")
    production = venue.environments["production"]
    demo = production._replace(headers={"x-demo": "1"})
    monkeypatch.setattr(venue, "environments", {"production": production, "demo": demo}, raising=False)
    for lines, headers in (("", {}), ('environment = "demo"\n', {"x-demo": "1"})):
        file.write_text(EXAMPLE + lines)
        assert load(file).accounts[0].headers == headers


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
