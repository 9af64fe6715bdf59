"""Replaying at a pace, into callbacks, and on the wire. What is replayed is read in `recorder.read`."""

from recorder.replay.clock import ReplayClock
from recorder.replay.deliver import deliver
from recorder.replay.pace import Pace

__all__ = ["Pace", "ReplayClock", "deliver"]
