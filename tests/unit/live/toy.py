"""A made-up venue, and its own side: what living exchanges need, and FMex does not.

It is connected to with a token, which it gives over REST and which has to be renewed. It greets in plain words, wants a
login, acknowledges commands by their ids, refuses in prose, asks for signs of life, and has two streams.
"""

import json
import threading
from collections.abc import Callable, Mapping
from itertools import count

from recorder.clock import Clock
from recorder.errors import Refused, Undecodable
from recorder.live.settings import Account
from recorder.model import (
    CONTROL,
    DECODED,
    Acknowledged,
    Asked,
    Control,
    Decoded,
    FillUpdate,
    Heartbeat,
    Hello,
    LoggedIn,
    Notice,
    OrderUpdate,
    RefusedCommand,
    Update,
)
from recorder.venues.base import Command, Environment, PushSession, Stream, Venue, json_command
from recorder.venues.fmex.accounting import FMexAccounting
from recorder.venues.fmex.stand_in import FMexStandIn
from recorder.venues.rest import (
    Credentials,
    Known,
    Login,
    MakeRequest,
    Purpose,
    Question,
    Questions,
    RestLimit,
    RestRequest,
    Token,
    Unrecorded,
)
from tests.unit.live.peer import CLOSE, PING, PONG, Line, Peer, accept, frame, refuse

#: Its answer to a login names a secret.
SESSION = "a-secret-of-the-session"
LOGGED_IN = b'{"logged":"in","session":"a-secret-of-the-session"}'
KEY, SECRET = "the-key-of-a-toy", "the/secret+of a toy"


class ToySession(PushSession):
    """Login, then a command for each topic."""

    def __init__(self, stream: Stream, credentials: Credentials, heartbeat: bytes | None) -> None:
        super().__init__(stream.topics)
        self._credentials = credentials
        self._heartbeat = heartbeat
        self._ids = count(1)
        self._asked: dict[str, str] = {}  # command id → topic

    def opening(self, _now_ms: int) -> list[Command]:
        """The login."""
        sent = {"id": "login", "key": self._credentials["key"], "sign": self._credentials["secret"]}
        return [json_command(sent, key="***", sign="***")]

    def receive(self, control: Control, _now_ms: int) -> list[Command]:
        """Take what the exchange said."""
        match control:
            case LoggedIn():
                self._asked = {str(next(self._ids)): topic for topic in self.topics}
                return [json_command({"id": command_id, "want": topic}) for command_id, topic in self._asked.items()]
            case Acknowledged(_, command_id):
                self.acknowledge([self._asked.get(command_id or "", "")])
            case RefusedCommand(command_id, _, message):
                if command_id not in self._asked:
                    raise Refused(f"The exchange refused the login: {message}; check key and secret.")
                self.refuse([self._asked[command_id]], message)
            case Asked(token):
                return [json_command({"here": token})]
        return []

    def heartbeat(self, _now_ms: int) -> Command | None:
        """Bare text, or a ping of the WebSocket protocol."""
        return None if self._heartbeat is None else Command(self._heartbeat)


class Toy(Venue):
    """Implements `recorder.venues.base.Venue`, which documents the members.

    Args:
        heartbeat: what a heartbeat sends; None: a ping of the WebSocket protocol.
        heartbeat_s: seconds between two.
    """

    name = "toy"
    environments: Mapping[str, Environment] = {"production": Environment("https://toy.example", "wss://toy.example")}
    clock_tolerance_ms = 10_000
    rest_limits = (RestLimit(1000, 1.0),)
    accounting = FMexAccounting()
    stand_in = FMexStandIn()

    def __init__(self, heartbeat: bytes | None = b"ping", heartbeat_s: float = 1000.0) -> None:
        self.heartbeat = heartbeat
        self.heartbeat_s = heartbeat_s
        self.token = _new_token
        self.renew = _renewed_token

    def streams(self, login: Login) -> tuple[Stream, ...]:
        """One for orders, one for money."""
        return (
            Stream(f"{login.stream_url}/orders", ("orders", "status"), "orders"),
            Stream(f"{login.stream_url}/money", ("fills",), "money"),
        )

    def check(self, _login: Login) -> Unrecorded[tuple[str, ...]]:
        """Which rights the key has."""
        may = json.loads((yield rest_request("GET", "/rights")))["may"]
        if "read" not in may:
            raise Refused("The key may not read; give it that right.")
        return tuple(f"the key may {right}; a key that can only read is enough" for right in may if right != "read")

    def connection_url(self, stream: Stream, _login: Login, token: Token | None, _now_ms: int) -> str:
        """With the token."""
        assert token is not None
        return f"{stream.url}?token={token.text}"

    def push_session(self, stream: Stream, login: Login, _token: Token | None) -> ToySession:
        """The protocol of a stream."""
        return ToySession(stream, login.credentials, self.heartbeat)

    def server_time_request(self, url: str) -> RestRequest:
        """Of every answer."""
        return RestRequest("GET", f"{url}/time", {})

    def server_time_ms(self, answer: bytes) -> int:
        """Milliseconds since 1970."""
        return int(json.loads(answer)["now"])

    def decode(self, payload: bytes) -> Decoded:
        """Decode a frame."""
        if payload in {b"", b"pong"}:
            return Decoded(None, DECODED, updates=(Heartbeat(),) if payload else ())
        if payload.startswith(b"welcome"):
            return Decoded(None, CONTROL, control=Hello())
        read = json.loads(payload)
        if "topic" in read:
            return Decoded(read["topic"], DECODED, updates=_updates(**read))
        secrets = (read["session"],) if "session" in read else ()
        return Decoded(None, CONTROL, control=_control(read), secrets=secrets)

    def decode_answer(self, target: str, payload: bytes) -> Decoded:
        """A snapshot says only that there is nothing."""
        return Decoded(target, DECODED if json.loads(payload) == [] else CONTROL)

    def questions(self, purpose: Purpose, _known: Known) -> Questions:
        """Open orders."""
        if purpose in {Purpose.SNAPSHOT, Purpose.RECONCILE}:
            yield Question("open orders", rest_request("GET", "/open"))
        return None


def _updates(topic: str, id: str = "", at: int | None = None, status: str = "new") -> tuple[Update, ...]:
    if topic == "orders":
        return (OrderUpdate(at, 0, 0, None, "BTC", id, side="buy", price="1", quantity="1", status=status),)
    if topic == "fills":
        fill = FillUpdate(trade_id=id, order_id="1", symbol="BTC", side="buy", price="1", quantity="1", kind="trade")
        return (fill._replace(fee="0", fee_currency="BTC", executed_ms=at),)
    return ()


def _control(read: dict[str, str]) -> Control:
    match read:
        case {"logged": "in"}:
            return LoggedIn("login")
        case {"id": command_id, "no": message}:
            return RefusedCommand(command_id, None, message)
        case {"id": command_id}:
            return Acknowledged((), command_id)
        case {"ask": token}:
            return Asked(token)
        case {"say": message, **more}:
            return Notice(message, bool(more))
    raise Undecodable(f"nobody knows {read}")


def _new_token(_login: Login) -> Unrecorded[Token]:
    return _token((yield rest_request("POST", "/token")))


def _renewed_token(_login: Login, token: Token) -> Unrecorded[Token]:
    return _token((yield rest_request("PUT", f"/token/{token.text}")))


def rest_request(method: str, path: str) -> MakeRequest:
    return lambda url, credentials, _now_ms: RestRequest(method, f"{url}{path}", {"X-Key": credentials["secret"]})


def _token(body: bytes) -> Token:
    read = json.loads(body)
    return Token(read["token"], read["renew_s"])


class ToyExchange(Peer):
    """Its own side: REST by itself; each connection by the test's hand, or by itself.

    Args:
        by_hand: whether the test holds the conversations.
        renew_s: after which a token is to be renewed.

    Attributes:
        answers: `METHOD /path` → the bytes to answer instead, the next ones first.
        asked: every REST request, in order.
        issued: the tokens.
        lines: the newest connection of each stream, if it holds the conversations.
        pongs: whether it then answers heartbeats.
    """

    def __init__(self, *, by_hand: bool = True, renew_s: float = 1000.0) -> None:
        super().__init__(self._say)
        self.answers: dict[str, list[Callable[[bytes], bytes]]] = {}
        self.asked: list[str] = []
        self.issued: list[str] = []
        self.lines: dict[str, Line] = {}
        self.pongs = True
        self._by_hand = by_hand
        self._renew_s = renew_s

    def account(self, venue: Toy | None = None) -> Account:
        """An account there."""
        credentials = Credentials(key=KEY, secret=SECRET)
        return Account(name="main", venue=venue or Toy(), url=self.url, credentials=credentials, symbols=())

    def logged_in(self) -> Line:
        """The next connection, greeted and logged in; by hand."""
        line = self.line()
        line.send(frame(b"welcome to the toy"), frame(b""))
        assert json.loads(line.receive_text()) == {"id": "login", "key": KEY, "sign": SECRET}
        line.send(frame(LOGGED_IN))
        return line

    def covered(self) -> Line:
        """The next connection to the orders, with all topics acknowledged; by hand."""
        line = self.logged_in()
        for command_id, topic in (("1", "orders"), ("2", "status")):
            assert json.loads(line.receive_text()) == {"id": command_id, "want": topic}
        line.send(frame(b'{"id":"2"}'), frame(b'{"id":"1"}'))
        return line

    def _say(self, request: bytes) -> bytes:
        asked = b" ".join(request.split(b" ", 2)[:2]).decode()
        if asked.startswith("GET /orders?token=") or asked.startswith("GET /money?token="):
            queue = self.answers.get(asked.partition("?")[0], [])
            return (queue.pop(0) if queue else accept)(request)
        self.asked.append(asked)
        if queue := self.answers.get(asked, []):
            return queue.pop(0)(request)
        if asked == "POST /token":
            self.issued.append(f"token-{len(self.issued) + 1}-of-the-toy")
        known: dict[str, object] = {
            "GET /time": {"now": Clock().wall_ms()},
            "GET /rights": {"may": ["read", "trade"]},
            "GET /open": [],
            "POST /token": {"token": "".join(self.issued[-1:]), "renew_s": self._renew_s},
        }
        found = {"token": asked.removeprefix("PUT /token/"), "renew_s": self._renew_s}
        return refuse("200 OK", body=json.dumps(known.get(asked, found)).encode())(request)

    def opened(self, line: Line) -> None:
        """Hold the conversation on a connection, in a thread of its own."""
        if not self._by_hand:
            threading.Thread(target=self._converse, args=(line,), daemon=True).start()

    def _converse(self, line: Line) -> None:
        line.send(*map(frame, (b"welcome to the toy", b"")))
        try:
            while True:
                opcode, payload = line.receive()
                if b'"want":"status"' in payload or b'"want":"fills"' in payload:
                    self.lines[line.request.split(b"?")[0].rpartition(b"/")[2].decode()] = line
                if opcode == PING:
                    line.send(frame(payload, PONG))
                elif opcode == CLOSE:
                    return
                elif payload != b"ping" or self.pongs:
                    line.send(frame(self._told(payload)))
        except (OSError, EOFError):
            return  # the client has gone

    def _told(self, payload: bytes) -> bytes:
        if payload == b"ping":
            return b"pong"
        read = json.loads(payload)
        if read.get("id") == "login":
            return LOGGED_IN
        return json.dumps({"id": read["id"]}).encode() if "id" in read else b""
