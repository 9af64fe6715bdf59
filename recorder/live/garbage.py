"""Runs Python's cyclic garbage collector rarely while recording.

What is recorded contains no reference cycles, but its tuples are objects that the collector scans again and again while
they wait to be written, which costs about a fifth of the throughput. Cycles still arise elsewhere, for example from
exceptions when a connection is lost, so the collector is not switched off.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

#: The collector runs by itself once this many more container objects exist than after its last run. A full queue
#: holds 200,000 for each account: at most four for each frame.
OBJECTS = 500_000
#: It also runs this often, seconds, because a few objects can hold much memory, such as buffers.
EVERY_S = 60.0


@contextmanager
def rare_collection(objects: int = OBJECTS, every_s: float = EVERY_S) -> Iterator[None]:
    """Collect rarely until the context is left. This applies to the whole process.

    Everything that exists on entering, such as imported modules, is not scanned at all. Garbage is bounded by `objects`
    objects and by what arises in `every_s`.

    Args:
        objects: how many new container objects start a collection.
        every_s: seconds between two full collections.
    """
    thresholds = gc.get_threshold()
    done = Event()
    timer = Thread(target=_collect_every, args=(every_s, done), name="garbage", daemon=True)
    gc.collect()
    gc.freeze()
    gc.set_threshold(objects, *thresholds[1:])
    timer.start()
    try:
        yield
    finally:
        done.set()
        timer.join()
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _collect_every(every_s: float, done: Event) -> None:
    while not done.wait(every_s):
        gc.collect()
