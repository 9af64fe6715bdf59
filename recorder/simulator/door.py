"""The simulated exchange's door: what is wrong with the exchange just now, and otherwise the door of FMex."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus

from recorder.simulator.conditions import Conditions
from recorder.simulator.exchange import Told
from recorder.simulator.telling import SimulatedTelling
from recorder.venues.fmex.rest import SERVER_TIME
from recorder.venues.stand_in import Declined, Question, StandIn
from recorder.wire.http import HttpRequest, HttpResponse
from recorder.wire.server import Client, decide, decline


class SimulatedDoor:
    """Decides on requests.

    Args:
        stand_in: FMex's own side.
        secrets: each key's secret.
        told: what REST answers, by key.
        clock_ms: the server's clock.
        conditions: what is wrong just now.
    """

    def __init__(
        self,
        stand_in: StandIn,
        secrets: Mapping[str, str],
        told: Mapping[str, Told],
        clock_ms: Callable[[], int],
        conditions: Conditions,
    ) -> None:
        self._door = stand_in.door(secrets.get, clock_ms)
        self._told = told
        self._conditions = conditions
        self._open = asyncio.Event()

    def obey(self) -> None:
        """Take note of changed conditions: a deaf exchange lets requests wait."""
        if self._conditions.deaf:
            self._open.clear()
        else:
            self._open.set()

    def open(self) -> None:
        """Let waiting requests through, whatever the conditions."""
        self._open.set()

    async def request(self, client: Client, request: HttpRequest) -> HttpResponse | None:
        """Answer one request; None to go on to the push portal."""
        await self._open.wait()
        status = self._conditions.refuse_status
        # Whoever asks for the time is not asked for a key, so a key that is refused does not matter there.
        if status and not (status == HTTPStatus.UNAUTHORIZED and request.target.partition("?")[0] == SERVER_TIME):
            phrase = HTTPStatus(status).phrase.lower()
            return decline(self._door, Declined(status, phrase, self._conditions.retry_after_s))
        return await decide(self._door, client, request, self._answer)

    def refuse(self, status: int, message: str) -> bytes:
        """The body that goes with an error."""
        return self._door.refusal(Declined(status, message))

    async def _answer(self, question: Question) -> bytes:
        return question.answer(SimulatedTelling(self._told[question.key]))
