"""The commands as people type them: help, the demo, looking at a record, the simulator, the installed wheel."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from recorder.cli.decode import decode
from recorder.model import FINAL_STATUSES
from recorder.simulator import Simulator, SimulatorOptions
from recorder.venues import VENUES
from tests.integration.process import Folder, Process
from tests.samples import FMEX, sample

CHECKOUT = Path(__file__).parents[2]


def test_the_demo_shows_everything(folder: Folder) -> None:
    before = sorted(one.name for one in folder.path.iterdir())
    ended = folder.command("demo", "--for", "2s", "--rate", "500")
    assert ended.returncode == 0, ended.stderr
    for title in ("Orders", "Fills", "Positions", "Balances", "Books", "Gaps", "coverage     100.000 %", "SELECT"):
        assert title in ended.stdout
    assert "filled" in ended.stdout
    (database,) = (folder.path / "demo").glob("*.db")
    assert f"The record is {database.relative_to(folder.path)}; " in ended.stdout
    assert sorted(one.name for one in folder.path.iterdir()) == [*before, "demo"], "nothing else is left behind"
    # Every command that it offers works as it stands.
    offered = [shlex.split(line) for line in ended.stdout.splitlines() if line.startswith("  ")]
    folder.database = database
    for sql in [words[2] for words in offered if words[0] == "sqlite3"]:
        assert len(folder.rows(sql)) == 10
    commands = [words[1:] for words in offered if words[0] == "recorder"]
    assert [words[0] for words in commands] == ["fills", "trips", "verify", "report", "serve"]
    for words in commands[:-1]:
        done = folder.command(*words)
        assert (done.returncode, done.stderr) == (0, ""), words
    with Process(folder, *commands[-1], "--port", "0", show=True) as serving:
        serving.wait_for("Serving the record at ")
        assert serving.stop()[0] == 0


@pytest.fixture(scope="module")
def recorded_once(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("recorded"))
    with Simulator(SimulatorOptions(pushes=1_000)) as exchange:
        folder.configure(exchange)
        folder.record(exchange)
    return folder


@pytest.fixture
def recorded(recorded_once: Folder, tmp_path: Path) -> Folder:
    """A folder with a record of 1,000 pushes."""
    return recorded_once.copied_to(tmp_path)


def test_three_formats_say_the_same_exactly(recorded: Folder) -> None:
    commands = ["orders", "fills", "positions", "balances", "gaps", "pnl", "fees", "trips", "timeline"]
    for words in [[command] for command in commands] + [["positions", "--history"], ["balances", "--history"]]:
        lines = recorded.command(*words, "--format", "json").stdout.splitlines()
        objects = [json.loads(line) for line in lines]
        rows = list(csv.DictReader(io.StringIO(recorded.command(*words, "--format", "csv").stdout)))
        assert objects
        assert rows == [{name: "" if value is None else str(value) for name, value in one.items()} for one in objects]
        table = recorded.command(*words).stdout
        assert min(len(objects), 200) < len(table.splitlines()) <= len(objects) + 3
    stored = {digits for (digits,) in recorded.rows("SELECT fee FROM order_updates")}
    shown = recorded.command("orders", "--history", "--format", "json").stdout.splitlines()
    assert {Decimal(json.loads(line)["fee"]) for line in shown} == {Decimal(digits) for digits in stored}


def test_filters(recorded: Folder) -> None:
    def count(*arguments: str) -> int:
        ended = recorded.command("orders", "--history", "--format", "json", *arguments)
        assert ended.returncode == 0, ended.stderr
        return len(ended.stdout.splitlines())

    everything = count()
    assert everything == recorded.rows("SELECT count(*) FROM order_updates")[0][0]
    assert count("--symbol", "BTCUSD_P") == count("--symbol", "btcusd_p") == count("--account", "main") == everything
    assert count("--since", "1h") == everything
    assert count("--until", "1h") == 0
    assert "Note: nothing was received after 20" in recorded.command("orders", "--since", "0s").stderr


def test_a_period_is_of_what_happened_and_a_zone_has_its_own_midnight(recorded: Folder) -> None:
    def rows(*arguments: str) -> list[dict[str, str]]:
        ended = recorded.command(*arguments, "--format", "json")
        assert ended.returncode == 0, ended.stderr
        return [json.loads(line) for line in ended.stdout.splitlines()]

    # It was received just now, and happened in 2020.
    whole = rows("pnl", "--by", "year", "--since", "2020-01-01", "--until", "2021-01-01")
    assert [row["period"] for row in whole] == ["2020"]
    assert rows("pnl", "--since", "1h") == rows("fees", "--since", "1h") == []
    assert [row["period"] for row in rows("pnl", "--zone", "Asia/Tokyo")] == ["2020-02-04"]
    assert [row["period"] for row in rows("fees", "--by", "day", "--zone", "America/Los_Angeles")] == ["2020-02-03"]
    pushed = [
        Decimal(told)
        for (told,) in recorded.rows("SELECT realized_pnl FROM position_updates WHERE event_ms > 0 ORDER BY seq")
    ]
    # What the first push brought is known where an answer from before it told of no position.
    assert Decimal(whole[0]["net_pnl"]) in {pushed[-1], pushed[-1] - pushed[0]}
    (fees,) = rows("fees", "--by", "all")
    assert Decimal(fees["fee"]) == sum(Decimal(row["fee"]) for row in rows("fills"))
    trips = rows("trips")
    assert [trip for trip in trips if trip["closed_ms"] is not None] != []
    assert rows("trips", "--until", "2020-01-01") == []


def test_a_timeline_of_an_order_and_around_a_gap(recorded: Folder) -> None:
    (order_id, updates) = recorded.rows("SELECT order_id, max(updates) FROM order_lives WHERE fills > 1")[0]
    lines = recorded.command("timeline", "--order", order_id, "--format", "json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    assert len(events) == updates
    assert {(event["kind"], event["subject"]) for event in events} == {("order", order_id)}
    around = recorded.command("timeline", "--gap", "1", "--around", "5s", "--format", "json").stdout.splitlines()
    kinds = [json.loads(line)["kind"] for line in around]
    assert kinds[:3] == ["session", "session", "gap"]
    for arguments, told in (
        (("timeline", "--gap", "99"), "There is no gap 99 here; `recorder gaps` shows the numbers."),
        (("pnl", "--zone", "Nowhere"), "'Nowhere' is not a time zone of this system; write for example UTC or"),
    ):
        ended = recorded.command(*arguments)
        assert ended.returncode == 2
        assert told in ended.stderr


def test_as_of(recorded: Folder) -> None:
    ((received_ns,),) = recorded.rows("SELECT received_ns FROM order_updates ORDER BY received_ns LIMIT 1 OFFSET 200")
    after = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=received_ns // 1000 + 1)
    t = f"{after:%Y-%m-%dT%H:%M:%S.%fZ}"
    for command in ("orders", "orders --history", "fills", "positions", "balances"):
        then = recorded.command(*command.split(), "--format", "json", "--as-of", t)
        assert then.returncode == 0, then.stderr
        assert len(then.stdout) > 100
        assert then.stdout == recorded.command(*command.split(), "--format", "json", "--until", t).stdout
        assert then.stderr == f"main: {t.replace('T', ' ')[:-4]} UTC was covered.\n"
        table = recorded.command(*command.split(), "--as-of", t)
        assert table.stdout.endswith(then.stderr)
    latest = [json.loads(line) for line in recorded.command("orders", "--format", "json").stdout.splitlines()]
    unended = recorded.command("orders", "--open", "--format", "json").stdout.splitlines()
    expected = [one for one in latest if one["status"] not in FINAL_STATUSES]
    assert [json.loads(line) for line in unended] == expected != []
    future = recorded.command("balances", "--as-of", "2999-01-01").stdout
    assert "main: 2999-01-01 00:00:00.000 UTC is in the future; this is what is known now" in future
    before = recorded.command("positions", "--as-of", "2019-01-01", "--format", "csv")
    assert len(before.stdout.splitlines()) == 1
    assert "is before the record, which begins at 20" in before.stderr
    for arguments in (("fills", "--as-of", "1h", "--until", "1h"), ("orders", "--open", "--history")):
        refused = recorded.command(*arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "give one of them." in refused.stderr


def test_status_as_json(recorded: Folder) -> None:
    told = json.loads(recorded.command("status", "--format", "json").stdout)
    assert told["frames"] == recorded.rows("SELECT count(*) FROM frames")[0][0]
    (account,) = told["accounts"]
    assert (account["account"], account["sessions"], account["undecoded"]) == ("main", 1, 0)
    assert account["coverage"]["begins_ns"] == recorded.rows("SELECT covered_ns FROM sessions")[0][0]


def test_the_views_are_for_people(recorded: Folder) -> None:
    dear = recorded.rows("SELECT price FROM orders WHERE price > 9300 ORDER BY price")
    assert dear == sorted(dear)
    assert all(price > 9300 for (price,) in dear)
    (at_utc,) = recorded.rows("SELECT min(at_utc) FROM order_history")[0]
    assert at_utc.startswith("2020-02-04 07:40:")
    filled = recorded.rows("SELECT sum(filled_quantity), sum(fee) FROM orders")[0]
    history = recorded.rows("SELECT sum(quantity), sum(fee) FROM trade_history")[0]
    assert history == pytest.approx(filled)


def test_simulate_and_run_are_two_programs(folder: Folder) -> None:
    with Process(folder, "simulate", "--port", "0", "--rate", "300", show=True) as exchange:
        exchange.wait_for("symbols = ")
        # The environment and the configuration that it prints are used as they stand.
        (export,) = [line for line in exchange.errors.splitlines() if line.startswith("  export ")]
        folder.env |= dict(word.split("=") for word in export.split()[1:])
        folder.write(exchange.errors[exchange.errors.index("[accounts.main]") :])
        ended = folder.command("run", "--for", "2s")
        assert ended.returncode == 0, ended.stderr
        assert exchange.stop()[0] == 0, exchange.errors
    assert folder.rows("SELECT count(*) > 100 FROM order_updates") == [(1,)]
    # Pushes are stamped with today: a filter by date finds them, whatever it goes by.
    assert folder.command("fills", "--since", "1h", "--format", "csv").stdout.count("\n") > 10
    assert folder.command("pnl", "--since", "1h", "--format", "csv").stdout.count("\n") > 1


def test_simulate_can_start_in_the_past(folder: Folder) -> None:
    start = "2024-02-29T07:40"
    with Process(folder, "simulate", "--port", "0", "--rate", "300", "--start", start, show=True) as exchange:
        exchange.wait_for("symbols = ")
        folder.write(exchange.errors[exchange.errors.index("[accounts.main]") :])
        folder.env |= {"FMEX_KEY": "demo-key", "FMEX_SECRET": "demo-secret"}
        assert folder.command("run", "--for", "1s").returncode == 0
        assert exchange.stop()[0] == 0
    (first,) = folder.rows("SELECT min(at_utc) FROM order_history")[0]
    assert first.startswith(start[:10])


@pytest.mark.long
def test_the_installed_wheel_in_an_empty_folder(folder: Folder, tmp_path: Path) -> None:
    """Built, installed apart from this checkout, and used from a folder with nothing in it."""
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(CHECKOUT)]
    subprocess.run([sys.executable, *build], check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    install = ["-m", "pip", "install", "--no-deps", "--quiet", "--target", str(site), str(wheel)]
    subprocess.run([sys.executable, *install], check=True, capture_output=True)
    empty = tmp_path / "empty"
    empty.mkdir()
    folder.path, folder.database = empty, empty / "recorder.db"
    folder.env["PYTHONPATH"] = str(site)
    where = subprocess.run(
        [sys.executable, "-c", "import recorder; print(recorder.__file__)"],
        cwd=empty,
        env=os.environ | folder.env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site))
    with Simulator(SimulatorOptions(pushes=500)) as exchange:
        folder.configure(exchange)
        ended = folder.command("run", "--stop-when-idle", "4s")
        assert ended.returncode == 0, ended.stderr
        assert folder.payloads() == [sent.payload for sent in exchange.sent]
    for command in (
        ("status",),
        ("fills",),
        ("report",),
        ("db", "check"),
        ("db", "upgrade"),
    ):
        ended = folder.command(*command)
        assert ended.returncode == 0, ended.stderr


def decoding(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "recorder", "decode", *arguments]


def test_decode_prints_what_frames_say(folder: Folder) -> None:
    """Every sample frame of FMex, one a line, with a blank line and one that is cut."""
    names = ["order", "account", "position", "ping", "hello", "topics", "refused"]
    lines = [b" ".join(sample(name).split()) for name in names]
    (folder.path / "frames.jsonl").write_bytes(b"\n".join([*lines, b"", lines[0][:80], b""]))
    ended = folder.command("decode", "--venue", "fmex", "frames.jsonl")
    assert (ended.returncode, ended.stderr) == (1, "")
    said = [json.loads(line) for line in ended.stdout.splitlines()]
    updates = [FMEX.decode(line).updates[0]._asdict() for line in lines[:4]]
    tables = ["order_updates", "account_updates", "position_updates", "heartbeats"]
    assert said[:4] == [
        {"line": number, "table": table} | {name: value for name, value in update.items() if value is not None}
        for number, (table, update) in enumerate(zip(tables, updates, strict=True), 1)
    ]
    assert said[0]["fee"] == "4.8449612403e-08"
    assert said[4:] == [
        {"line": 5, "control": "hello", "ts": 1523693784042},
        {"line": 6, "control": "acknowledged", "topics": ["account", "order.btcusd_p"]},
        {
            **{"line": 7, "control": "refused", "command_id": "sub-1", "code": 41002, "topics": []},
            "message": "invalid sub topic, xxx",
        },
        {"line": 9, "undecoded": "DecodeError: Input data was truncated"},
    ]
    # The same through a pipe, up to the last frame that can be read.
    done = subprocess.run(decoding("--venue", "fmex", "-"), input=b"\r\n".join(lines), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [json.loads(line) for line in done.stdout.splitlines()] == said[:-1]


@pytest.mark.parametrize("venue", VENUES)
def test_decode_knows_every_venue(venue: str, tmp_path: Path) -> None:
    file = tmp_path / "frames.jsonl"
    file.write_bytes(b"?\n")
    done = CliRunner().invoke(decode, ["--venue", venue, str(file)], standalone_mode=False)
    assert (done.return_value, list(json.loads(done.stdout))) == (1, ["line", "undecoded"])


def test_decode_reads_frames_with_many_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every documented frame of Hyperliquid, and the answer to a request with a body."""
    monkeypatch.setitem(VENUES, "hyperliquid", "recorder.venues.hyperliquid:Hyperliquid")
    folder = CHECKOUT / "tests" / "data" / "hyperliquid"
    frames = folder / "pushes.jsonl"
    done = CliRunner().invoke(decode, ["--venue", "hyperliquid", str(frames)], standalone_mode=False)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.return_value == 0
    assert {one["line"] for one in said} == set(range(1, len(frames.read_bytes().splitlines()) + 1))
    assert {"fills", "order_updates", "position_updates", "account_updates", "transactions", None} == {
        one.get("table") for one in said if one.get("table") != "heartbeats"
    }
    target = 'POST /info {"type":"userFills"}'
    answer = ["--target", target, str(folder / "answers" / "userFills.json")]
    done = CliRunner().invoke(decode, ["--venue", "hyperliquid", *answer], standalone_mode=False)
    fills = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.return_value, len(fills), fills[0]["trade_id"]) == (0, 9, "801234567890123")


def test_decode_reads_the_answer_to_a_request(tmp_path: Path) -> None:
    """It is printed on several lines by the exchange's page, and on one by the exchange."""
    for name, target, rows in (
        ("rest-accounts", "GET /v3/contracts/accounts", ["2.796888254907565438"]),
        ("rest-accounts", "/v3/contracts/accounts", ["2.796888254907565438"]),
        ("rest-matches", "GET /v3/contracts/orders/849758102002/matches", [None]),
    ):
        file = tmp_path / name
        file.write_bytes(sample(name).replace(b",", b",\n"))
        done = CliRunner().invoke(decode, ["--venue", "fmex", "--target", target, str(file)], standalone_mode=False)
        assert done.return_value == 0, done.output
        assert {json.loads(line).get("available") for line in done.stdout.splitlines()} == set(rows)
    # An answer that lists nothing is read all the same.
    file.write_bytes(b'{"status":0,"data":{"results":[]}}')
    target = "/v3/contracts/orders/open"
    done = CliRunner().invoke(decode, ["--venue", "fmex", "--target", target, str(file)], standalone_mode=False)
    assert (done.return_value, done.stdout) == (0, '{"line":1,"updates":0}\n')


def test_decode_says_what_to_do(folder: Folder) -> None:
    for arguments, said in (
        (("--venue", "fmex", "no-such-file"), "no-such-file cannot be read: No such file or directory; give a file "),
        (("--venue", "fmex", "."), ". cannot be read: Is a directory; give a file with one frame a line, or - for "),
        (("--venue", "nowhere", "-"), "There is no venue 'nowhere'; this version of recorder supports: "),
        (("-",), "Missing option '--venue'"),
    ):
        ended = folder.command("decode", *arguments)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert said in ended.stderr


def test_decode_ends_when_nobody_reads_on() -> None:
    frame = b" ".join(sample("order").split()) + b"\n"
    with subprocess.Popen(
        decoding("--venue", "fmex", "-"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        # A frame is answered as soon as it is there, long before the end of the input.
        process.stdin.write(frame)
        process.stdin.flush()
        assert process.stdout.readline().startswith(b'{"line":1,"table":"order_updates"')
        process.stdout.close()
        process.stdin.write(frame)
        process.stdin.flush()
        assert (process.wait(timeout=30), process.stderr.read()) == (141, b"")
