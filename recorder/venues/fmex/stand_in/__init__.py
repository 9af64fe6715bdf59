"""FMex's server side, for the simulator and for a served record."""

from recorder.venues.fmex.stand_in.conversation import FMexConversation
from recorder.venues.fmex.stand_in.rest import FMexRequestHandler


class FMexStandIn:
    """Implements `recorder.venues.stand_in.StandIn`."""

    request_handler = FMexRequestHandler
    conversation = FMexConversation
