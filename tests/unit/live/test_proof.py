"""Up to where a session is believed to have received everything."""

import pytest

from recorder.errors import SessionOver
from recorder.live.proof import DISCREPANCY, KEY_REFUSED, REPLACED, TOKEN, Place, Proof

LAST = Place(100, 9)


@pytest.mark.parametrize("reason", ["closed", TOKEN, DISCREPANCY, REPLACED])
def test_where_pings_prove_coverage_it_is_the_last_answer(reason: str) -> None:
    proof = Proof(1, fails_silently=False)
    proof.pushed(5, 3)
    assert proof.until(reason, LAST, 0) == LAST


@pytest.mark.parametrize(
    ("reason", "pushed", "agreed", "until"),
    [
        ("closed", Place(5, 3), Place(7, 4), Place(7, 4)),
        ("stopped", Place(8, 5), Place(7, 4), Place(8, 5)),
        ("closed", Place(5, 3), None, Place(5, 3)),
        # Something was missed since: what agreed before is no proof that nothing had been.
        (TOKEN, Place(5, 3), Place(7, 4), Place(5, 3)),
        (DISCREPANCY, Place(5, 3), Place(7, 4), Place(5, 3)),
        (TOKEN, None, Place(7, 4), Place(1)),
        # The next connection was covered before.
        (REPLACED, Place(5, 3), None, LAST),
    ],
)
def test_where_connections_fail_silently_it_is_the_last_push_or_the_last_agreement(
    reason: str, pushed: Place | None, agreed: Place | None, until: Place
) -> None:
    proof = Proof(1, fails_silently=True)
    if pushed is not None:
        proof.pushed(*pushed)
    if agreed is not None:
        proof.agreed(agreed)
    assert proof.until(reason, LAST, 0) == until


@pytest.mark.parametrize(
    ("reason", "until"),
    [("stopped", Place(7, 4)), (KEY_REFUSED, Place(7, 4)), (TOKEN, Place(5, 3)), (REPLACED, LAST)],
)
def test_while_the_key_is_in_doubt_nothing_is_proved(reason: str, until: Place) -> None:
    proof = Proof(1, fails_silently=False)
    proof.pushed(5, 3)
    proof.agreed(Place(7, 4))
    proof.doubted()
    # It may have been restored: then others were missed before.
    proof.pushed(20, 6)
    assert proof.until(reason, LAST, 0) == until
    proof.trusted()
    assert proof.until(reason, LAST, 0) == LAST


@pytest.mark.parametrize("fails_silently", [False, True])
@pytest.mark.parametrize("reason", [REPLACED, "closed", "stopped"])
def test_once_the_next_session_is_covered_only_the_answer_to_a_later_heartbeat_is_a_proof(
    reason: str, fails_silently: bool
) -> None:
    proof = Proof(1, fails_silently=fails_silently)
    proof.pushed(5, 3)
    proof.hand_over(Place(7, 4), 3)
    # It may have been sent before the next session was covered, and been read only now.
    proof.pushed(100, 9)
    assert not proof.handed_over(2)
    assert proof.until(reason, LAST, 2) == Place(7, 4)
    assert proof.handed_over(3)
    assert proof.until(reason, LAST, 3) == LAST


def test_missing_pushes_end_the_session() -> None:
    proof = Proof(1, fails_silently=True)
    proof.check()
    proof.refuted("balance USDT: REST says 5, and no push did")
    with pytest.raises(SessionOver, match="discrepancy: balance USDT: REST says 5"):
        proof.check()
