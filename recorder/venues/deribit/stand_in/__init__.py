"""Deribit's server side, for the simulator and for a served record."""

from recorder.venues.deribit.answers import AUTH, INSTRUMENT, INSTRUMENTS, TIME
from recorder.venues.deribit.stand_in import face
from recorder.venues.deribit.stand_in.conversation import DeribitConversation
from recorder.venues.deribit.stand_in.rest import CURRENCIES, DeribitRequestHandler
from recorder.venues.stand_in import StandIn


class DeribitStandIn(StandIn):
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols = face.DEFAULT_SYMBOLS
    public_paths = frozenset([TIME, INSTRUMENT, INSTRUMENTS, AUTH, CURRENCIES])
    dated_symbols = staticmethod(face.dated_symbols)
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.DeribitFace
    request_handler = DeribitRequestHandler
    conversation = DeribitConversation
