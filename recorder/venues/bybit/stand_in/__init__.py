"""Bybit's server side, for the simulator and for a served record."""

from recorder.venues.bybit.answers import INSTRUMENTS, TIME
from recorder.venues.bybit.stand_in import face
from recorder.venues.bybit.stand_in.conversation import BybitConversation
from recorder.venues.bybit.stand_in.rest import BybitRequestHandler
from recorder.venues.stand_in import StandIn


class BybitStandIn(StandIn):
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols = face.DEFAULT_SYMBOLS
    public_paths = frozenset([TIME, INSTRUMENTS])
    dated_symbols = staticmethod(face.dated_symbols)
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.BybitFace
    request_handler = BybitRequestHandler
    conversation = BybitConversation
