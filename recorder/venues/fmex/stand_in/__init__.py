"""FMex's server side, for the simulator and for a served record."""

from recorder.venues.fmex.rest import SERVER_TIME
from recorder.venues.fmex.stand_in import face
from recorder.venues.fmex.stand_in.conversation import FMexConversation
from recorder.venues.fmex.stand_in.rest import FMexRequestHandler
from recorder.venues.stand_in import StandIn


class FMexStandIn(StandIn):
    """Implements `recorder.venues.stand_in.StandIn`."""

    default_symbols = ("btcusd_p",)
    public_paths = frozenset([SERVER_TIME])
    terms = staticmethod(face.terms)
    funds = staticmethod(face.funds)
    face = face.FMexFace
    request_handler = FMexRequestHandler
    conversation = FMexConversation
