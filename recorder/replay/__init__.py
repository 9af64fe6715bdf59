"""Replay a record at a pace, into callbacks, or to clients. The events come from `recorder.read.replay`."""

from recorder.replay.clock import ReplayClock, ReplayPace, deliver

__all__ = ["ReplayClock", "ReplayPace", "deliver"]
