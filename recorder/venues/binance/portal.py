"""The client's side of Binance's private sockets. Pure.

A listen key, obtained over REST with the API key alone, is in the address; there is no login, no subscription, no
acknowledgement and no greeting. A wrong or dead key is not refused: the socket opens and stays silent. An account has
one listen key, which every program of the account shares: it is never deleted here, and others may delete it.
Source: developers.binance.com, "USDⓈ-M Futures", "User Data Streams" (Connect, Start/Keepalive User Data Stream) and
"Important WebSocket Change Notice".
"""

from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec

from recorder.errors import Refused, SessionOver
from recorder.model import Control, Notice
from recorder.venues.base import Command, PushSession, Stream
from recorder.venues.binance import answers, sign
from recorder.venues.binance.words import COIN_M, KEY_EXPIRED, USD_M, product_of
from recorder.venues.rest import Credentials, Login, MakeRequest, RestRequest, Token, Unrecorded

#: Product → path of its socket. In USD-M, private events are pushed on this path only.
PATHS = {USD_M: "/private/ws", COIN_M: "/ws"}

_COMMON = ("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ALGO_UPDATE", "MARGIN_CALL", "ACCOUNT_CONFIG_UPDATE")
_MORE = ("STRATEGY_UPDATE", "GRID_UPDATE")
#: Product → its topics: the names of events.
TOPICS = {
    USD_M: (*_COMMON, "TRADE_LITE", *_MORE, "CONDITIONAL_ORDER_TRIGGER_REJECT"),
    COIN_M: (*_COMMON, *_MORE),
}
#: Topic → what else it is called in the list of events to push, by one of the exchange's pages.
_ALIASES = {"ALGO_UPDATE": "ALGO_ORDER_UPDATE"}
_ALWAYS = ("listenKeyExpired",)

#: A listen key lives for an hour after it was last asked for.
RENEW_S = 900.0


class BinanceSession(PushSession):
    """The protocol of a private socket: nothing is sent, and every topic counts as pushed once it is open."""

    def opening(self, now_ms: int) -> list[Command]:
        """Nothing: what is pushed was chosen by the address."""
        self.acknowledge(self.topics)
        return []

    def receive(self, control: Control, now_ms: int) -> list[Command]:
        """Take a control frame.

        Raises:
            SessionOver: the listen key is no longer valid. The socket stays open, and silent.
        """
        if isinstance(control, Notice) and control.message == KEY_EXPIRED:
            raise SessionOver("token", KEY_EXPIRED)
        return super().receive(control, now_ms)


def stream_of(login: Login) -> Stream:
    """The one socket of an account."""
    product = product_of(login.environment)
    return Stream(login.stream_url + PATHS[product], TOPICS[product])


def address(stream: Stream, token: Token) -> str:
    """The address to connect to, with the listen key."""
    if not stream.url.endswith(PATHS[USD_M]):
        return f"{stream.url}/{token.text}"
    return f"{stream.url}?{urlencode({'listenKey': token.text})}&events={'/'.join(_events(stream.topics))}"


def _events(topics: Sequence[str]) -> list[str]:
    aliases = [_ALIASES[topic] for topic in topics if topic in _ALIASES]
    return [*topics, *aliases, *_ALWAYS]


class _ListenKey(msgspec.Struct, rename="camel"):
    listen_key: str = ""


_read = msgspec.json.Decoder(_ListenKey).decode


def listen_key(method: str, environment: str) -> MakeRequest:
    """A request about the listen key, which needs the API key and no signature."""
    path = answers.path_of(answers.LISTEN_KEY, product_of(environment))

    def make(url: str, credentials: Credentials, _now_ms: int) -> RestRequest:
        return RestRequest(method, url + path, {sign.KEY: credentials["key"]})

    return make


def token(login: Login) -> Unrecorded[Token]:
    """Obtain the account's listen key: the one that it has, if it has one."""
    found = _read((yield listen_key("POST", login.environment))).listen_key
    if not found:
        raise ValueError("the answer has no listen key")
    return Token(found, RENEW_S)


def renew(login: Login, old: Token) -> Unrecorded[Token]:
    """Keep the listen key alive.

    Raises:
        Refused: it is not the account's listen key any more: nothing is pushed to this connection.
    """
    found = _read((yield listen_key("PUT", login.environment))).listen_key
    if found not in {"", old.text}:
        raise Refused("The account has another listen key now: another program has ended the one that was used.")
    return old
