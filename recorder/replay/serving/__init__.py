"""A record on the wire: a portal that speaks its venue's protocol and pushes the recorded frames again.

    from recorder.replay.serving import Serving, ServingOptions

    with Serving("sqlite:///recorder.db", ServingOptions(speed=None)) as serving:
        run_my_bot(serving.url, key="main", secret=serving.options.secret)

It brings an event loop and a web server along, so only what serves imports it.
"""

from recorder.replay.serving.options import ServingOptions
from recorder.replay.serving.serving import Serving

__all__ = ["Serving", "ServingOptions"]
