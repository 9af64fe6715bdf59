"""Requests whose answers are not recorded, because they may contain secrets: rights of credentials, and tokens."""

from typing import TypeVar

from recorder.clock import Clock
from recorder.errors import UNREADABLE, Refused, Unavailable, Undecodable, Unreachable, VenueError
from recorder.live.http import OK, HttpClient, answer_text, secrets_of, venue_error, without_secrets
from recorder.live.settings import Account
from recorder.venues.rest import Unrecorded, Verdict

T = TypeVar("T")


def check_rights(account: Account, client: HttpClient, clock: Clock) -> tuple[str, ...]:
    """Ask what the credentials of an account may do.

    Returns:
        The venue's warnings for the user, such as that the key can trade.

    Raises:
        Refused: the account cannot be recorded with them.
        Unreachable: the exchange cannot be reached at its address.
    """
    try:
        return ask(account, client, clock, account.venue.check(account.login))
    except Unavailable as error:
        return (f"what the credentials may do is not known ({error})",)


def ask(account: Account, client: HttpClient, clock: Clock, asked: Unrecorded[T]) -> T:
    """Send requests until they have a result.

    Args:
        account: the account they are signed for.
        client: sends them; of this thread.
        clock: dates them.
        asked: the requests.

    Raises:
        Refused, Unavailable, Unreachable: one sentence says what to do, without secrets.
    """
    hidden = account.credentials.secrets
    shown = account.url
    try:
        make = next(asked)
        while True:
            request = make(account.url, account.credentials, clock.wall_ms())
            hidden = secrets_of(account.credentials, request)
            shown = request.url.partition("?")[0]
            got = client.fetch(request)
            verdict = account.venue.classify(got.status, got.body)
            if verdict is Verdict.GONE:
                raise Refused(f"{shown} does not accept the request: {answer_text(got, hidden)}.")
            if verdict is Verdict.FOREIGN and got.status == OK:
                raise Undecodable("it is none of the exchange's answers, and may contain secrets all the same")
            if verdict is not Verdict.ANSWER:
                raise venue_error(account.venue, shown, got, hidden, clock.wall_ms())
            make = asked.send(got.body)
    except StopIteration as done:
        result: T = done.value
        return result
    except UNREADABLE:
        # The reason may quote the answer.
        shown = without_secrets(shown, hidden)
        raise Unreachable(f"{shown} does not answer as this venue does; check the address.") from None
    except VenueError as error:
        text = without_secrets(str(error), hidden)
        raise type(error)(text, retry_after_s=error.retry_after_s) from None
