"""Signing, and the course of a connection."""

import json
from typing import Any

import pytest

from recorder.errors import Refused, SessionOver
from recorder.model import Acknowledged, Asked, LoggedIn, RefusedCommand
from recorder.venues.base import Command
from recorder.venues.deribit import sign
from recorder.venues.deribit.portal import CHANGES, LOGIN, PORTFOLIO, SUBSCRIBE, TOPICS, DeribitSession
from recorder.venues.rest import Credentials

KEY, SECRET = "Ab3dE6gH", "AMANDASECRECT"
NOW_MS = 1576074319000
ONCE = "1iqt2wls"


def test_the_known_answers() -> None:
    login = sign.login(KEY, SECRET, NOW_MS, ONCE)
    assert login["signature"] == "56590594f97921b09b18f166befe0d1319b198bbcdad7ca73382de2f88fe9aa1"
    target = "/api/v2/private/get_account_summary?currency=BTC"
    assert sign.authorization(KEY, SECRET, "GET", target, NOW_MS, ONCE) == (
        f"deri-hmac-sha256 id={KEY},ts={NOW_MS},nonce={ONCE},"
        "sig=9bfbc51a2bc372d72cc396cf1a213dc78d42eb74cb7dc272351833ad0de276ab"
    )


def test_a_nonce_is_never_used_twice() -> None:
    assert len({sign.nonce() for _ in range(1_000)}) == 1_000


def session() -> DeribitSession:
    return DeribitSession(TOPICS, Credentials(key=KEY, secret=SECRET))


def sent(commands: list[Command]) -> list[tuple[str, dict[str, Any]]]:
    told = [json.loads(command.sent) for command in commands]
    assert all(one["jsonrpc"] == "2.0" and one["id"] for one in told)
    return [(one["method"], one["params"]) for one in told]


def logged_in(expires_s: int | None = 31_536_000) -> DeribitSession:
    it = session()
    it.opening(NOW_MS)
    it.receive(LoggedIn(LOGIN, expires_s), NOW_MS)
    return it


def test_it_asks_for_heartbeats_and_logs_in_for_reading_only() -> None:
    heartbeat, login = session().opening(NOW_MS)
    assert sent([heartbeat]) == [("public/set_heartbeat", {"interval": 30})]
    ((method, params),) = sent([login])
    assert method == "public/auth"
    right = sign.signature(SECRET, str(NOW_MS), params["nonce"], "")
    assert params == {
        "grant_type": "client_signature",
        "client_id": KEY,
        "timestamp": NOW_MS,
        "nonce": params["nonce"],
        "data": "",
        "signature": right,
        "scope": "account:read trade:read wallet:read",
    }
    recorded = json.loads(login.recorded)
    assert recorded["params"] == params | {"client_id": "***", "signature": "***"}
    assert KEY.encode() not in login.recorded and SECRET.encode() not in login.sent


def test_it_subscribes_to_everything_in_one_command() -> None:
    it = session()
    it.opening(NOW_MS)
    commands = it.receive(LoggedIn(LOGIN, 900), NOW_MS)
    assert sent(commands) == [("private/subscribe", {"channels": list(TOPICS)})]
    assert not it.settled
    assert it.receive(Acknowledged(TOPICS, SUBSCRIBE), NOW_MS) == []
    assert it.settled and it.acknowledged == set(TOPICS) and it.refused == {}


def test_a_channel_that_the_answer_leaves_out_was_refused() -> None:
    it = logged_in()
    it.receive(Acknowledged((CHANGES, PORTFOLIO.upper(), "user.lock"), SUBSCRIBE), NOW_MS)
    assert it.settled
    assert it.refused == {"platform_state": "the exchange left it out of its answer"}
    assert it.acknowledged == {CHANGES, PORTFOLIO, "user.lock"}


def test_answers_to_other_commands_acknowledge_nothing() -> None:
    it = logged_in()
    for control in (Acknowledged((), "set-heartbeat"), Acknowledged((), "test"), Acknowledged(TOPICS, "other")):
        assert it.receive(control, NOW_MS) == []
    assert not it.acknowledged and not it.refused


def test_a_refused_subscription_names_its_reason() -> None:
    it = logged_in()
    it.receive(RefusedCommand(SUBSCRIBE, -32602, "Invalid params: channels"), NOW_MS)
    assert it.refused == dict.fromkeys(TOPICS, "Invalid params: channels")


@pytest.mark.parametrize("code", [10028, 10040, 10041, 11051, 13028])
def test_after_a_refusal_that_passes_the_next_connection_tries_again(code: int) -> None:
    it = logged_in()
    with pytest.raises(SessionOver, match="later"):
        it.receive(RefusedCommand(SUBSCRIBE, code, "later"), NOW_MS)
    assert not it.settled and not it.refused
    fresh = session()
    fresh.opening(NOW_MS)
    with pytest.raises(SessionOver, match="later"):
        fresh.receive(RefusedCommand(LOGIN, code, "later"), NOW_MS)


@pytest.mark.parametrize("code", [10000, 13009])
def test_a_login_that_does_not_count_is_repeated_once(code: int) -> None:
    it = logged_in()
    ((method, _),) = sent(it.receive(RefusedCommand(SUBSCRIBE, code, "unauthorized"), NOW_MS))
    assert method == "public/auth"
    ((method, params),) = sent(it.receive(LoggedIn(LOGIN, 900), NOW_MS))
    assert (method, params["channels"]) == ("private/subscribe", list(TOPICS))
    assert it.receive(RefusedCommand(SUBSCRIBE, code, "unauthorized"), NOW_MS) == []
    assert it.refused == dict.fromkeys(TOPICS, "unauthorized")


@pytest.mark.parametrize(
    "refusal",
    [
        RefusedCommand(LOGIN, 13004, "invalid_credentials"),
        RefusedCommand(LOGIN, 13021, "forbidden"),
        RefusedCommand(None, -32600, "Invalid Request"),
    ],
)
def test_a_refused_login_says_what_to_check(refusal: RefusedCommand) -> None:
    it = session()
    it.opening(NOW_MS)
    with pytest.raises(Refused, match=f"{refusal.message}.*check key and secret"):
        it.receive(refusal, NOW_MS)


def test_a_question_of_the_server_is_answered_at_once() -> None:
    assert sent(logged_in().receive(Asked(), NOW_MS + 30_000)) == [("public/test", {})]


def test_a_login_is_renewed_before_it_ends() -> None:
    it = logged_in(900)
    it.receive(Acknowledged(TOPICS, SUBSCRIBE), NOW_MS)
    assert len(it.receive(Asked(), NOW_MS + 719_999)) == 1
    later_ms = NOW_MS + 720_000
    test, login = sent(it.receive(Asked(), later_ms))
    assert (test[0], login[0], login[1]["timestamp"]) == ("public/test", "public/auth", later_ms)
    # Once, until it is answered; and what is subscribed to stays so.
    assert len(it.receive(Asked(), later_ms + 30_000)) == 1
    assert it.receive(LoggedIn(LOGIN, 900), later_ms + 30_000) == []
    assert len(it.receive(Asked(), later_ms + 60_000)) == 1
    assert len(it.receive(Asked(), later_ms + 750_000)) == 2


def test_a_renewal_that_is_put_off_is_tried_again_and_a_refused_one_ends_it() -> None:
    it = logged_in(900)
    it.receive(Asked(), NOW_MS + 720_000)
    assert it.receive(RefusedCommand(LOGIN, 10028, "too_many_requests"), NOW_MS + 720_500) == []
    assert len(it.receive(Asked(), NOW_MS + 750_000)) == 2
    with pytest.raises(Refused, match="invalid_credentials"):
        it.receive(RefusedCommand(LOGIN, 13004, "invalid_credentials"), NOW_MS + 750_500)


def test_a_login_without_an_end_is_not_renewed() -> None:
    assert len(logged_in(None).receive(Asked(), NOW_MS + 10**12)) == 1


def test_our_signs_of_life_have_ids_of_their_own() -> None:
    it = logged_in()
    told = [json.loads(it.heartbeat(NOW_MS).sent) for _ in range(2)]
    assert [one["id"] for one in told] == ["beat-1", "beat-2"]
    assert {one["method"] for one in told} == {"public/test"}
    # A refused one refuses no channel.
    assert it.receive(RefusedCommand("beat-1", 10028, "too_many_requests"), NOW_MS) == []
    assert not it.refused
