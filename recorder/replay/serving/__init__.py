"""Serves a record as its exchange: a portal that speaks the venue's protocol and pushes the recorded frames again.

    from recorder.replay.serving import Serving, ServingOptions

    with Serving("sqlite:///recorder.db", ServingOptions(speed=None)) as serving:
        run_my_bot(serving.url, key="main", secret=serving.options.secret)

It loads an event loop and a web server, so import it only to serve.
"""

from recorder.replay.serving.portal import ServingOptions
from recorder.replay.serving.serving import Serving

__all__ = ["Serving", "ServingOptions"]
