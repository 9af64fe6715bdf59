"""A served record: its pushes, verbatim, and REST answers as of the replayed time."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
import websocket
from sqlalchemy import Engine, update

from recorder.errors import ConfigurationError, Incomplete
from recorder.live.channel import Recorded
from recorder.model import (
    DECODED,
    FINAL_STATUSES,
    PUSH,
    REST,
    AccountUpdate,
    Decoded,
    FillUpdate,
    Frame,
    OrderUpdate,
    PositionUpdate,
    Transaction,
    Update,
)
from recorder.read.queries import Closed
from recorder.read.record import Record
from recorder.read.records import Filter
from recorder.replay.serving import Serving, ServingOptions
from recorder.replay.serving.rest import RecordedAccount
from recorder.simulator.exchange import Exchange
from recorder.store.entries import Covered, SessionOpened
from recorder.store.redactions import redact, redactable
from recorder.store.schema import accounts
from recorder.venues import VENUES
from recorder.venues.fmex import rest, sign
from recorder.venues.fmex.portal import ping, subscribe
from recorder.venues.fmex.stand_in import FMexStandIn
from recorder.venues.fmex.stand_in.conversation import FMexConversation
from recorder.venues.fmex.stand_in.rest import FMexRequestHandler
from recorder.venues.reading import read_answer
from recorder.venues.rest import Credentials, RestRequest
from recorder.venues.stand_in import AccountQuery, Backend, PortalAccess, Request, Said
from recorder.venues.view import Span
from tests.client import PATIENCE_S, TOPICS, Client, fetch, http_error, now_ms
from tests.contract.conftest import NewUrl
from tests.contract.scribe import Heard, Scribe, Story
from tests.contract.test_mover import move
from tests.made import ACCOUNT, NOON_NS, RUN, SESSION, body_of, quick_engine
from tests.samples import FMEX
from tests.unit.read import desk as read_desk
from tests.unit.read.desk import OTHER

#: What `make test` proves on PostgreSQL too; `make test-all` proves everything there.
ON_POSTGRESQL = (
    "test_each_client_gets_the_recorded_pushes_of_its_topics",
    "test_redacted_frames_are_left_out",
)

SEED, PUSHES = 5, 1_500
SECRET = "a secret"
MAIN = Filter(account="main")
S = 1_000_000_000
#: Fields that pushes do not have.
ONLY_IN_REST = {
    *("sequenceId", "maker_fee_rate", "taker_fee_rate", "updated_at", "frozen_margin", "frozen_quantity", "hidden"),
    "max_quantity",
}
#: REST is requested after this many pushes.
ASKED = (1, 400, 1_499)


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(SEED, PUSHES, pauses={700: 3600 * S}, asked=(0, *ASKED))


@pytest.fixture(scope="module")
def served_url(
    new_url: NewUrl, story: Story, tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[str]:
    """A record of two accounts: one is complete, the other missed the pushes in the middle."""
    scribe = Scribe(tmp_path_factory.mktemp("scribe") / "one.db", sqlite_template)
    scribe.write(story, Heard(0, PUSHES, end="stopped"))
    scribe.write(story, Heard(0, 100), Heard(200, 300, end="stopped"), account_id=8, name="half/deaf")
    url = new_url()
    engine = quick_engine(url)
    move(scribe.engine, engine)
    engine.dispose()
    scribe.engine.dispose()
    yield url


def serving(url: str, **options: Any) -> Serving:
    return Serving(url, ServingOptions(**({"speed": None, "secret": SECRET} | options)))


def client(one: Serving, key: str = "main", **options: Any) -> Client:
    return Client(one.url, Credentials(key=key, secret=SECRET), **options)


def ask(one: Serving, request: Callable[..., RestRequest], key: str = "main", **options: Any) -> bytes:
    return fetch(request(one.url, Credentials(key=key, secret=SECRET), now_ms(), **options))


def at(target: str) -> Callable[..., RestRequest]:
    def request(url: str, who: Credentials, at_ms: int) -> RestRequest:
        return RestRequest("GET", url + target, sign.credentials(who["key"], who["secret"], "GET", url + target, at_ms))

    return request


def results(one: Serving, target: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ask(one, at(target)))["data"]["results"]
    return found


# On the wire.


def test_each_client_gets_the_recorded_pushes_of_its_topics(served_url: str, story: Story) -> None:
    orders = [payload for payload in story.payloads if payload.startswith(b'{"type":"order')]
    with serving(served_url) as one, client(one).subscribe() as all_of_it, client(one).subscribe(TOPICS[1]) as some:
        assert all_of_it.take(PUSHES) == story.payloads
        assert some.take(len(orders)) == orders
        for each in (all_of_it, some):  # the next frame is the answer: there are no more pushes
            assert each.say(ping(now_ms(), "p"))["type"] == "ping"
        one.wait_finished(2, PATIENCE_S)
        assert one.status().frames == PUSHES + len(orders)


def test_commands_are_answered_as_by_the_exchange(served_url: str) -> None:
    with serving(served_url) as one, client(one) as each:
        hello = each.answer()
        assert hello["type"] == "hello"
        assert abs(hello["ts"] - now_ms()) < 10_000
        refused = each.say(subscribe(["account", "order.ethusd_p"], "a"))
        assert refused == {"id": "a", "status": 41002, "msg": "invalid sub topic, order.ethusd_p"}
        pong = each.say(ping(now_ms() - 5, "b"))
        assert (pong["id"], pong["type"]) == ("b", "ping")
        assert 5 <= pong["gap"] < 10_000
        assert each.say(b"nonsense")["status"] == 41000


def test_nothing_is_pushed_before_a_client_has_subscribed(
    served_url: str, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.wire.server.SETTLE_S", 1.0)  # longer than the pause between the two commands
    with serving(served_url) as one, client(one) as each:
        each.answer()
        for number in range(3):
            assert each.say(ping(now_ms(), f"{number}"))["type"] == "ping"
        assert one.status().frames == 0
        each.socket.send(subscribe(TOPICS[:1], "1"))
        each.socket.send(subscribe(TOPICS[1:], "2"))
        assert [each.answer()["id"] for _ in "ab"] == ["1", "2"]
        assert each.take(PUSHES) == story.payloads


def test_the_api_key_selects_the_account(served_url: str, story: Story) -> None:
    expected = story.payloads[:100] + story.payloads[200:300]
    with serving(served_url) as one:
        assert one.accounts == ["half/deaf", "main"]
        for key in ("half/deaf", "half/deaf/2"):
            with client(one, key).subscribe() as each:
                assert each.take(200) == expected
        for who in (
            Credentials(key="half", secret=SECRET),
            Credentials(key="main", secret="wrong"),
            Credentials(key="", secret=SECRET),
        ):
            with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
                Client(one.url, who)


def test_a_period_of_one_account_is_served(served_url: str, story: Story) -> None:
    with (
        serving(served_url, since_ns=story.at_ns(400), until_ns=story.at_ns(500), accounts=("main",)) as one,
        client(one).subscribe() as each,
    ):
        assert one.accounts == ["main"]
        assert each.take(100) == story.payloads[400:500]
        one.wait_finished(timeout_s=PATIENCE_S)
        assert each.say(ping(now_ms(), "p"))["type"] == "ping"


def test_a_client_can_choose_its_start_and_speed(served_url: str, story: Story) -> None:
    with serving(served_url, speed=1.0) as one:
        begin = "2020-02-04T08:40:54.362"  # after the pause
        assert story.at_ns(700) // S == 1_580_805_654
        with client(one, more=f"&since={begin}&speed=max").subscribe() as each:
            assert each.take(PUSHES - 700) == story.payloads[700:]
        for more, told in [
            ("&since=yesterday", "yesterday"),
            ("&since=2019-01-01&since=2021-01-01", "Nothing was received since 2021-01-01"),
            ("&speed=fast", "'fast' is not a speed"),
        ]:
            with pytest.raises(websocket.WebSocketBadStatusException) as refused:
                client(one, more=more)
            assert refused.value.status_code == 400
            assert told in json.loads(refused.value.resp_body or b"")["msg"]


def test_redacted_frames_are_left_out(
    tmp_path: Path, sqlite_template: Path, story: Story, engine: Engine, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    scribe = Scribe(tmp_path / "one.db", sqlite_template)
    scribe.write(story, Heard(0, 50, end="stopped"))
    with scribe.engine.connect() as connection:
        chosen = list(redactable(connection, ACCOUNT, before_ns=story.at_ns(10)))
    assert sum(redact(scribe.engine, scribe.url, chosen, "who", "why")) == 11  # and an acknowledgement
    move(scribe.engine, engine)
    scribe.engine.dispose()
    caplog.set_level("INFO", "recorder.replay")
    with serving(url) as one, client(one).subscribe() as each:
        assert each.take(40) == story.payloads[10:50]
        one.wait_finished(timeout_s=PATIENCE_S)
    assert "the end of the record, 40 pushes, 11 frames without payload left out" in caplog.text


def test_pushes_received_by_two_recorders_are_sent_once_or_with_all_sightings_twice(
    tmp_path: Path, sqlite_template: Path, story: Story, engine: Engine, url: str
) -> None:
    for number in (1, 2):
        scribe = Scribe(tmp_path / f"{number}.db", sqlite_template, number)
        scribe.write(story, Heard(0, 50, end="stopped"))
        move(scribe.engine, engine)
        scribe.engine.dispose()
    for all_sightings, count in ((False, 50), (True, 100)):
        with serving(url, all_sightings=all_sightings) as one, client(one).subscribe() as each:
            payloads = each.take(count)
            assert sorted(payloads) == sorted(story.payloads[:50] * (count // 50))
            one.wait_finished(timeout_s=PATIENCE_S)
            assert one.status().frames == count


def test_recorded_heartbeats_are_not_sent(
    tmp_path: Path, sqlite_template: Path, story: Story, engine: Engine, url: str
) -> None:
    scribe = Scribe(tmp_path / "one.db", sqlite_template)
    scribe.write(story, Heard(0, 50, end="stopped", quiet_ns=S))
    move(scribe.engine, engine)
    scribe.engine.dispose()
    with serving(url) as one, client(one).subscribe() as each:
        assert each.take(50) == story.payloads[:50]
        one.wait_finished(timeout_s=PATIENCE_S)
        assert each.say(ping(now_ms(), "its own"))["id"] == "its own"
        assert one.status().frames == 50


# REST.


def pushed_part(update: Update) -> Update:
    """The fields that are in pushes and in REST answers."""
    if isinstance(update, OrderUpdate | PositionUpdate | AccountUpdate):
        update = update._replace(extra=None, event_ms=None, is_snapshot=1)
    return update._replace(updated_ms=None) if isinstance(update, OrderUpdate) else update


def told(target: str, body: bytes) -> list[Update]:
    decoded: Decoded = read_answer(FMEX, target, body)
    assert decoded.error is None
    return sorted(map(pushed_part, decoded.updates), key=repr)


def assert_pushed_fields(answer: bytes, expected: bytes) -> None:
    """The answer has all fields that pushes have, FMex's own included, with the digits that were sent."""
    read = [json.loads(body, parse_float=str, parse_int=str)["data"] for body in (answer, expected)]
    ours, theirs = (data.get("results", [data]) for data in read)
    for mine, its in zip(ours, theirs, strict=True):
        assert mine.items() <= its.items()
        assert its.keys() - mine.keys() <= ONLY_IN_REST


@pytest.mark.parametrize("number", ASKED)
def test_rest_answers_as_of_the_replayed_instant(served_url: str, story: Story, number: int) -> None:
    with serving(served_url, until_ns=story.before(number)) as one, client(one).subscribe() as each:
        assert each.take(number) == story.payloads[:number]
        one.wait_finished(timeout_s=PATIENCE_S)
        requests = {rest.ACCOUNTS: rest.accounts, rest.POSITIONS: rest.positions, rest.OPEN_ORDERS: rest.open_orders}
        for target, expected in story.answers[number]:
            # The first deposit was made before the first subscription, so no push reports it.
            if target != rest.ACCOUNTS or number > 1:
                answer = ask(one, requests[target])
                assert told(target, answer) == told(target, expected)
                assert_pushed_fields(answer, expected)


def frame_of(seq: int, *updates: Update, source: str = PUSH) -> Recorded:
    """A frame that says this."""
    frame = Frame(ACCOUNT, SESSION, seq, NOON_NS + seq * S, source, "ledger", DECODED, None, b"%d" % seq)
    return Recorded(frame, updates)


def execution(trade_id: str, executed_ms: int, market: str = "linear") -> FillUpdate:
    nothing = FillUpdate(None, 0, *[None] * (len(FillUpdate._fields) - 2))
    return nothing._replace(
        trade_id=trade_id, order_id="1", market=market, symbol="A", price="10", quantity="1", executed_ms=executed_ms
    )


def entry(transaction_id: str | None, occurred_ms: int, amount: str = "1") -> Transaction:
    nothing = Transaction(None, 0, None, "funding", *[None] * (len(Transaction._fields) - 4))
    return nothing._replace(
        transaction_id=transaction_id, currency="USDT", amount=amount, symbol="A", occurred_ms=occurred_ms
    )


def test_a_history_has_everything_once_and_only_what_was_known_by_then(
    desk: read_desk.Desk,
) -> None:
    desk.write(
        frame_of(1, execution("a", 100), entry("x", 100)),
        frame_of(2, execution("b", 200), execution("c", 200, "spot"), entry(None, 200), entry(None, 200, "2")),
        # The same once more, by REST, and what is newer.
        frame_of(3, execution("b", 200), execution("a", 100), entry("x", 100), entry(None, 200), source=REST),
        frame_of(4, execution("d", 50), entry("y", 300)),
    )
    with desk.open() as record:
        account = RecordedAccount(record, "main", (), NOON_NS + 3 * S)

        def fills(span: Span) -> list[tuple[int, bytes, int]]:
            return [(one.at_ms, one.state.payload, one.state.item) for one in account.fills(span)]

        def entries(span: Span) -> list[tuple[int, bytes, int]]:
            return [(one.at_ms, one.state.payload, one.state.item) for one in account.transactions(span)]

        everything = [(200, b"2", 1), (200, b"2", 0), (100, b"1", 0)]
        assert fills(Span()) == everything
        assert fills(Span(oldest_first=True)) == everything[::-1]
        assert fills(Span(since_ms=200, market="linear")) == [(200, b"2", 0)]
        assert fills(Span(until_ms=200)) == [(100, b"1", 0)]
        first, second, _ = account.fills(Span())
        assert fills(Span(beyond=first.id)) == everything[1:]
        assert fills(Span(beyond=second.id, oldest_first=True)) == everything[:1]
        assert entries(Span()) == [(200, b"2", 3), (200, b"2", 2), (100, b"1", 1)]
        assert entries(Span(currency="BTC")) == entries(Span(symbol="B")) == []
        assert list(account.snapshot("ledger", is_first=True)) == []
        later = RecordedAccount(record, "main", (), NOON_NS + 9 * S)
        assert [one.at_ms for one in later.fills(Span(oldest_first=True))] == [50, 100, 200, 200]
        assert [one.at_ms for one in later.transactions(Span(since_ms=201))] == [300]


class LateConversation(FMexConversation):
    """A conversation in which the client's first frame is its key."""

    def receive(self, message: bytes, now_ms: int, now_s: float) -> list[Said]:
        if self.followed:
            return super().receive(message, now_ms, now_s)
        self.followed = {message.decode(): set()}
        return [b"welcome"]


def test_a_client_that_logs_in_after_connecting_gets_its_account(
    served_url: str, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FMexStandIn, "conversation", LateConversation)
    monkeypatch.setattr(FMexRequestHandler, "handle", lambda _self, _request: PortalAccess(None, {"speed": "max"}))
    with serving(served_url) as one, client(one) as follower:
        follower.answer()
        follower.socket.send("half/deaf")
        assert follower.receive() == b"welcome"
        follower.say(subscribe(["account", *TOPICS], "1"))
        assert follower.take(200) == [*story.payloads[:100], *story.payloads[200:300]]
        one.wait_finished(timeout_s=PATIENCE_S)
        assert [name for _, name, _ in one.status().clients] == ["half/deaf"]


def test_a_client_that_asks_for_what_does_not_exist_after_connecting_is_disconnected(
    served_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FMexStandIn, "conversation", LateConversation)
    monkeypatch.setattr(FMexRequestHandler, "handle", lambda _self, _request: PortalAccess(None, {"speed": "fast"}))
    with serving(served_url) as one, client(one) as follower:
        follower.answer()
        follower.socket.send("main")
        assert follower.receive() == b"welcome"
        follower.say(subscribe(["account"], "1"))
        with pytest.raises(websocket.WebSocketConnectionClosedException, match="1011"):
            while True:
                follower.receive()


class Desk:
    """The REST interface of the simulated exchange after a number of pushes."""

    def __init__(self, number: int) -> None:
        exchange = Exchange(SEED)
        list(islice(exchange, number))
        self.account = exchange.view()
        self._handler = FMexStandIn().request_handler(Backend(secret_of={"main": SECRET}.get, clock_ms=now_ms))

    def ask(self, target: str) -> bytes:
        headers = sign.credentials("main", SECRET, "GET", f"http://x{target}", now_ms())
        question = self._handler.handle(Request("GET", target, headers, "http://x"))
        assert isinstance(question, AccountQuery)
        return body_of(question.answer(self.account))

    def closed(self) -> list[dict[str, Any]]:
        """The newest closed orders."""
        body = self.ask(f"{rest.CLOSED_ORDERS}?limit=100&range=202002")
        found: list[dict[str, Any]] = json.loads(body)["data"]["results"]
        return found


def test_rest_pages_through_closed_orders_and_gives_single_orders(served_url: str, story: Story) -> None:
    desk = Desk(PUSHES)
    with serving(served_url) as one, client(one).subscribe() as each:
        each.take(PUSHES)
        one.wait_finished(timeout_s=PATIENCE_S)

        def both(target: str) -> tuple[Any, Any]:
            return json.loads(ask(one, at(target))), json.loads(desk.ask(target))

        seen: list[int] = []
        offset: dict[str, Any] = {}
        while True:
            query = urlencode(sorted(({"range": "202002", "symbol": "btcusd_p", "limit": 15} | offset).items()))
            ours, theirs = both(f"{rest.CLOSED_ORDERS}?{query}")
            assert {name: ours["data"][name] for name in ("range", "hasMore", "nextOffsetId")} == {
                name: theirs["data"][name] for name in ("range", "hasMore", "nextOffsetId")
            }
            for mine, its in zip(ours["data"]["results"], theirs["data"]["results"], strict=True):
                assert mine.items() <= its.items()
                assert mine.keys() >= {"id", "status", "quantity", "fee", "created_at"}
                seen.append(mine["id"])
            if not ours["data"]["hasMore"]:
                break
            offset = {"offsetId": ours["data"]["nextOffsetId"]}
        assert len(seen) > 50
        assert seen == sorted(seen, reverse=True)
        assert both(f"{rest.CLOSED_ORDERS}?range=202001")[0]["data"]["results"] == []
        filled = [order for order in desk.closed() if order["status"] == "FULLY_FILLED"]
        for order in filled[:3]:
            mine, its = both(f"{rest.ORDERS}/{order['id']}")
            assert mine["data"].items() <= its["data"].items()
            matches, _ = both(f"{rest.ORDERS}/{order['id']}/matches")
            assert sum(match["quantity"] for match in matches["data"]["results"]) == order["quantity"]
            assert all(match["price"] > 0 for match in matches["data"]["results"])
        for target, status in [
            (f"{rest.ORDERS}/1", 404),
            (f"{rest.CLOSED_ORDERS}?symbol=ethusd_p", 400),
            (f"{rest.CLOSED_ORDERS}?offsetId=1", 400),
        ]:
            with http_error(status):
                both(target)


def test_closed_orders_are_selected_by_creation_time(served_url: str) -> None:
    with Record(served_url) as record:

        def ids(since_ms: int, until_ms: int) -> set[str]:
            return {order.order_id for order in record.closed_orders(Closed(since_ms, until_ms), MAIN)}

        every = list(record.closed_orders(Closed(0, 2**62), MAIN))
        assert {order.status for order in every} <= FINAL_STATUSES
        one = every[len(every) // 2]
        assert one.created_ms is not None
        assert one.order_id in ids(one.created_ms, one.created_ms + 1)
        assert one.order_id not in ids(0, one.created_ms)
        assert one.order_id not in ids(one.created_ms + 1, 2**62)


def test_rest_shows_nothing_of_other_accounts(served_url: str) -> None:
    with serving(served_url) as one:
        with client(one).subscribe() as each:
            each.take(PUSHES)
            one.wait_finished(timeout_s=PATIENCE_S)
        newest = results(one, f"{rest.CLOSED_ORDERS}?limit=1&range=202002")[0]["id"]
        assert json.loads(ask(one, at(f"{rest.ORDERS}/{newest}")))["data"]["id"] == newest
        with http_error(404):
            ask(one, at(f"{rest.ORDERS}/{newest}/"))
        with client(one, "half/deaf").subscribe() as each:
            each.take(200)
            for target in (f"{rest.ORDERS}/{newest}", f"{rest.ORDERS}/{newest}/matches"):
                with http_error(404):
                    ask(one, at(target), "half/deaf")


def test_rest_lists_the_newest_order_first_and_filters_by_symbol(
    tmp_path: Path, sqlite_template: Path, engine: Engine, url: str
) -> None:
    both = Story(SEED, 600, ("btcusd_p", "ethusd_p"))
    scribe = Scribe(tmp_path / "one.db", sqlite_template)
    scribe.write(both, Heard(0, 600, end="stopped"))
    move(scribe.engine, engine)
    scribe.engine.dispose()
    with serving(url) as one, client(one).subscribe(*both.topics) as each:
        each.take(600)
        one.wait_finished(timeout_s=PATIENCE_S)
        by_contract = {
            symbol: results(one, f"{rest.CLOSED_ORDERS}?limit=100&range=202002&symbol={symbol}")
            for symbol in ("btcusd_p", "ethusd_p")
        }
        in_all = results(one, f"{rest.CLOSED_ORDERS}?limit=100&range=202002")
        exactly = json.loads(ask(one, at(f"{rest.CLOSED_ORDERS}?limit={len(in_all)}&range=202002")))["data"]
        still_open = results(one, rest.OPEN_ORDERS)
    for symbol, orders in by_contract.items():
        assert {order["symbol"] for order in orders} == {symbol.upper()}
    ids = [order["id"] for orders in by_contract.values() for order in orders]
    assert [order["id"] for order in in_all] == sorted(ids, reverse=True)
    assert (exactly["results"], exactly["hasMore"], exactly["nextOffsetId"]) == (in_all, False, None)
    ids = [order["id"] for order in still_open]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) > 2


def test_recorded_rest_answers_are_given_again_unchanged(
    tmp_path: Path, sqlite_template: Path, engine: Engine, url: str, story: Story
) -> None:
    scribe = Scribe(tmp_path / "one.db", sqlite_template)
    scribe.write(story, Heard(400, 410, asked=400, end="stopped"))
    move(scribe.engine, engine)
    scribe.engine.dispose()
    answers = dict(story.answers[400])
    with serving(url, until_ns=story.at_ns(400)) as one, client(one).subscribe():
        one.wait_finished(timeout_s=PATIENCE_S)
        # The answers were received just before the first push, and the replay ends between the two.
        assert json.loads(ask(one, rest.accounts)) == json.loads(answers[rest.ACCOUNTS])
        ours, theirs = json.loads(ask(one, rest.open_orders)), json.loads(answers[rest.OPEN_ORDERS])
        assert ours == theirs
        assert ours["data"]["results"][0]["sequenceId"]


def test_before_a_subscription_rest_answers_as_of_the_beginning(served_url: str, story: Story) -> None:
    with serving(served_url) as one:
        assert json.loads(ask(one, rest.accounts))["data"] == {}
    with serving(served_url, since_ns=story.at_ns(400)) as one:
        for target, expected in story.answers[400]:
            if target == rest.OPEN_ORDERS:
                assert told(target, ask(one, rest.open_orders)) == told(target, expected)
                with client(one) as each:
                    each.answer()
                    assert told(target, ask(one, rest.open_orders)) == told(target, expected)


def test_two_clients_of_one_account_with_keys_of_their_own_have_separate_positions(
    served_url: str, story: Story
) -> None:
    with (
        serving(served_url, speed=1.0) as one,
        client(one, "main/early").subscribe() as early,  # at the record's pace: it waits in the pause
        client(one, "main/late", more="&speed=max").subscribe() as late,
    ):
        early.take(700)
        late.take(PUSHES)
        one.wait_finished(timeout_s=PATIENCE_S)
        balances = {key: told(rest.ACCOUNTS, ask(one, rest.accounts, key)) for key in ("main/early", "main/late")}
    assert balances["main/early"] == told(rest.ACCOUNTS, Desk(700).ask(rest.ACCOUNTS))
    assert balances["main/late"] == told(rest.ACCOUNTS, Desk(PUSHES).ask(rest.ACCOUNTS))
    assert balances["main/early"] != balances["main/late"]


def test_a_key_has_the_position_of_its_latest_client(served_url: str) -> None:
    with serving(served_url) as one, client(one).subscribe() as each:
        each.take(PUSHES)
        one.wait_finished(timeout_s=PATIENCE_S)
        assert json.loads(ask(one, rest.accounts))["data"]
        with client(one) as another:
            another.answer()
            assert json.loads(ask(one, rest.accounts))["data"] == {}


def test_rest_is_refused_as_the_exchange_refuses(served_url: str) -> None:
    with serving(served_url) as one:
        with http_error(401) as refused:
            fetch(rest.accounts(one.url, Credentials(key="main", secret="wrong"), now_ms()))
        assert refused["body"]["msg"] == "signature mismatch"
        with http_error(404):
            fetch(RestRequest("GET", f"{one.url}/v9", {}))
        assert abs(FMEX.server_time_ms(fetch(FMEX.server_time_request(one.url))) - now_ms()) < 10_000
        order = urllib3.request("POST", f"{one.url}/v3/contracts/orders", json={"symbol": "BTCUSD_P"}, retries=False)
        assert (order.status, order.json()["status"]) == (403, 403)


def test_derived_prices_of_executions_are_marked_as_estimates(served_url: str) -> None:
    desk = Desk(PUSHES)
    closed = (str(order["id"]) for order in desk.closed())
    partly = next(order_id for order_id in closed if len(desk.account.executions(order_id)) > 1)
    with serving(served_url) as one, client(one).subscribe() as each:
        each.take(PUSHES)
        one.wait_finished(timeout_s=PATIENCE_S)
        body = ask(one, rest.matches, order_id=partly)
    results = json.loads(body)["data"]["results"]
    fills = rest.decode_answer(f"{rest.ORDERS}/{partly}/matches", body).updates
    assert all(isinstance(fill, FillUpdate) for fill in fills)
    assert "price_is_estimate" not in results[0]
    assert [match.get("price_is_estimate", False) for match in results[1:]] == [True] * (len(results) - 1)


# What is refused at the start.


def test_invalid_requests_to_serve_are_refused_at_the_start(served_url: str, story: Story, desk: Any) -> None:
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"accounts": ("nobody",)}, "no account 'nobody' in this record; there are: "),
        ({"since_ns": story.at_ns(PUSHES) + 3600 * S}, "Nothing was received since"),
        ({"since_ns": story.at_ns(2), "until_ns": story.at_ns(1)}, "--since must be earlier than --until"),
    ]
    for options, words in refusals:
        with pytest.raises(ConfigurationError, match=words):
            serving(served_url, **options).start()
    with pytest.raises(Incomplete):
        serving(served_url, require_complete=True).start()
    with pytest.raises(ValueError, match="is not a speed"):
        serving(served_url, speed=-1.0).start()
    one = serving(served_url, require_complete=True, accounts=("main",))
    one.start()
    one.close()


def test_a_replay_that_starts_within_a_session_starts_at_once(served_url: str, story: Story) -> None:
    with serving(served_url, speed=1.0, since_ns=story.before(700)) as one, client(one).subscribe() as each:
        # The session began an hour earlier.
        assert each.take(10) == story.payloads[700:710]


def test_a_start_before_year_1_means_the_beginning(served_url: str, story: Story) -> None:
    with serving(served_url, since_ns=-(10**22)) as one:
        # Of the current month, as of then.
        assert results(one, rest.CLOSED_ORDERS) == []
        with client(one, more="&since=99999999d").subscribe() as each:
            assert each.take(PUSHES) == story.payloads


def test_accounts_with_the_same_name_are_selected_by_venue(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VENUES, "okx", VENUES["fmex"])
    with desk.engine.begin() as connection:
        connection.execute(update(accounts).where(accounts.c.account_id == OTHER).values(name="main", venue="okx"))
    for account_id in (ACCOUNT, OTHER):
        key = account_id, SESSION
        desk.write(
            entries=[
                SessionOpened(*key, RUN, "wss://x", ("account",), NOON_NS),
                Covered(*key, 0, NOON_NS, ("account",), {}),
            ]
        )
    with serving(desk.url, accounts=("okx/main",)) as one:
        assert one.accounts == ["okx/main"]
