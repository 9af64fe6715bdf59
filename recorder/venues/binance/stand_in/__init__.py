"""Binance's server side, for the simulator and for a served record."""

from recorder.venues.binance.answers import INSTRUMENTS, TIME, path_of
from recorder.venues.binance.stand_in import face
from recorder.venues.binance.stand_in.conversation import BinanceConversation
from recorder.venues.binance.stand_in.rest import BinanceRequestHandler
from recorder.venues.binance.words import COIN_M
from recorder.venues.stand_in import StandIn


class BinanceStandIn(StandIn):
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols = face.DEFAULT_SYMBOLS
    #: The address chooses what is pushed, and nothing is said about it.
    refuses_topics = False
    public_paths = frozenset([TIME, INSTRUMENTS, path_of(TIME, COIN_M), path_of(INSTRUMENTS, COIN_M)])
    dated_symbols = staticmethod(face.dated_symbols)
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.BinanceFace
    request_handler = BinanceRequestHandler
    conversation = BinanceConversation
