"""Binance spot's server side, for the simulator and for a served record."""

from recorder.venues.binance_spot.answers import INSTRUMENTS, TIME
from recorder.venues.binance_spot.stand_in import face
from recorder.venues.binance_spot.stand_in.conversation import BinanceSpotConversation
from recorder.venues.binance_spot.stand_in.rest import BinanceSpotRequestHandler
from recorder.venues.stand_in import StandIn


class BinanceSpotStandIn(StandIn):
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols = face.DEFAULT_SYMBOLS
    public_paths = frozenset([TIME, INSTRUMENTS])
    #: One command subscribes to all events of an account.
    refuses_topics = False
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.BinanceSpotFace
    request_handler = BinanceSpotRequestHandler
    conversation = BinanceSpotConversation
