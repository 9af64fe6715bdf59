"""Which credentials an account was recorded with, so that two accounts under one name are noticed.

The database identifies an account by venue and name, and two traders may both call theirs `main`. So each run notes a
fingerprint of its credential in the sealed event log. The rule for an account, in one database or in two that are to be
brought together: all of its fingerprints but one must have been accepted (`recorder db accept-key`). The first needs no
acceptance; another may be a new key of the same trader, or the key of somebody else.

A fingerprint is an HMAC under the credential's own secret. So two records of one credential have the same fingerprint,
and whoever reads a record can neither guess the key from a list of ids nor learn anything about the secret.
"""

import hmac
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from recorder.errors import AnotherAccount
from recorder.store.schema import accounts, credentials

#: Hexadecimal digits of a fingerprint.
DIGITS = 16


class KnownCredential(NamedTuple):
    """What a database knows of a fingerprint."""

    #: When a run first used it, or a user accepted it, ns since 1970.
    added_ns: int
    accepted: bool


#: Fingerprint → what is known of it.
KnownCredentials = Mapping[str, KnownCredential]


def fingerprint(venue: str, login: str, *secrets: str) -> str:
    """Compute the fingerprint of a credential.

    Args:
        venue: the venue's name.
        login: what identifies the credential at the venue: the id of an API key, or the address of an account that has
            no keys.
        secrets: those that belong to it, such as a secret and a passphrase; none where there is none.
    """
    secret = "\0".join(secrets)
    return hmac.new(secret.encode(), f"recorder credential\0{venue}\0{login}".encode(), "sha256").hexdigest()[:DIGITS]


def known_credentials(connection: Connection, account_id: int) -> dict[str, KnownCredential]:
    """Return what a database knows of an account's credentials."""
    c = credentials.c
    query = select(c.fingerprint, c.added_ns, c.accepted).where(c.account_id == account_id)
    return {found: KnownCredential(added_ns, bool(accepted)) for found, added_ns, accepted in connection.execute(query)}


def conflict(account: str, *known: KnownCredentials) -> str | None:
    """Apply the rule for an account.

    Args:
        account: for people, `name` or `venue/name`.
        known: what each database, or a run, says of its credentials.

    Returns:
        None if all belong to one account; otherwise a sentence that says what to do.
    """
    everywhere: dict[str, KnownCredential] = {}
    for each in known:
        for key, (added_ns, accepted) in each.items():
            other = everywhere.get(key, KnownCredential(added_ns, accepted))
            everywhere[key] = KnownCredential(min(added_ns, other.added_ns), accepted or other.accepted)
    not_accepted = [key for key in everywhere if not everywhere[key].accepted]
    if len(not_accepted) < 2:
        return None
    first, second = sorted(not_accepted, key=lambda key: (everywhere[key].added_ns, key))[:2]
    return (
        f"Account {account} was recorded with two API keys (fingerprints {first} and {second}), which may be keys of "
        "two different accounts: if both belong to the same exchange account, type "
        f"`recorder db accept-key {account} {second}`; otherwise give one of the accounts another name and keep the "
        "records apart."
    )


def require_one_account(
    source: Connection, target: Connection, used: Mapping[int, Collection[str]] | None = None
) -> None:
    """Check that what a file holds under an account's name may be added to another database.

    Args:
        source: connection to the file.
        target: connection to the database that it is sent to or merged into.
        used: account → the fingerprints to be added; None: all of the file's.

    Raises:
        AnotherAccount: the account may be another one in the target.
    """
    labels = {row.account_id: f"{row.venue}/{row.name}" for row in source.execute(select(accounts))}
    for account_id in labels if used is None else used:
        mine, theirs = known_credentials(source, account_id), known_credentials(target, account_id)
        if used is not None:
            mine = {key: known for key, known in mine.items() if key in theirs or key in used[account_id]}
        told = conflict(labels[account_id], mine, theirs)
        if told is not None:
            raise AnotherAccount(told)
