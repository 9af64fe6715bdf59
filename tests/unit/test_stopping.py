"""Signals become a request, whichever thread the kernel gives them to."""

import signal
import threading
from collections.abc import Iterator

import pytest

from recorder.cli.stopping import STOPPING, Signals
from recorder.live.wake import Wake

PATIENCE_S = 10.0


@pytest.fixture
def wake() -> Iterator[Wake]:
    before = {number: signal.getsignal(number) for number in STOPPING}
    wake = Wake()
    yield wake
    wake.close()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_that_another_thread_gets_wakes_the_main_one(wake: Wake, number: signal.Signals) -> None:
    signals = Signals()
    signals.wakes(wake)
    asleep = threading.Event()

    def get_it() -> None:
        asleep.wait(PATIENCE_S)
        signal.pthread_kill(threading.get_ident(), number)

    thread = threading.Thread(target=get_it)
    thread.start()
    # Set just before it sleeps: in the time until then the signal would be noticed anyway, and nothing tested.
    timer = threading.Timer(0.2, asleep.set)
    timer.start()
    assert wake.wait(PATIENCE_S)
    thread.join()
    timer.join()
    assert signals.received == number.name


def test_a_closed_wake_is_no_longer_set_by_signals(wake: Wake) -> None:
    Signals().wakes(wake)
    wake.close()
    assert signal.set_wakeup_fd(-1) == -1
