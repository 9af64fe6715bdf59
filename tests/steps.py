"""Takes a venue's questions through a round, with answers that a test gives."""

from collections.abc import Callable, Generator
from decimal import Decimal

from recorder.venues.rest import (
    Answer,
    Completed,
    Credentials,
    MakeRequest,
    OrderKey,
    Question,
    Questions,
    RestRequest,
    Step,
    target_of,
)

#: Answers the request of a question; None: it has no answer.
Answering = Callable[[str], Answer | None]

URL = "https://exchange.example"


def nothing(target: str) -> Answer:
    """An answer that lists nothing."""
    return Answer(0, target, ())


def steps(questions: Questions, credentials: Credentials, now_ms: int, answering: Answering = nothing) -> list[Step]:
    """All steps of a round."""
    taken: list[Step] = []
    try:
        step = next(questions)
        while True:
            taken.append(step)
            answer = answering(_target(step, credentials, now_ms)) if isinstance(step, Question) else None
            step = questions.send(answer)
    except StopIteration:
        return taken


def past(taken: list[Step]) -> list[Completed]:
    """The periods of a backfill that are complete and not asked about again, because nothing can be added to them."""
    return [step for step in taken if isinstance(step, Completed) and not step.subject.endswith(", so far")]


def targets(taken: list[Step], credentials: Credentials, now_ms: int) -> list[str]:
    """What the questions among these steps ask for."""
    return [_target(step, credentials, now_ms) for step in taken if isinstance(step, Question)]


def outcome(
    asking: Generator[MakeRequest, bytes, tuple[str, ...]],
    credentials: Credentials,
    answering: Callable[[RestRequest], bytes],
) -> tuple[str, ...]:
    """The result of requests whose answers are not recorded."""
    try:
        make = next(asking)
        while True:
            make = asking.send(answering(make(URL, credentials, 0)))
    except StopIteration as end:
        found: tuple[str, ...] = end.value
        return found


def _target(step: Question, credentials: Credentials, now_ms: int) -> str:
    return target_of(step.request(URL, credentials, now_ms), URL)


def unfinished(*order_ids: str, symbol: str | None = None, market: str | None = None) -> dict[OrderKey, Decimal]:
    """Orders that were not final and not filled, for `Known.unfinished`."""
    return {OrderKey(market, symbol, order_id): Decimal(0) for order_id in order_ids}
