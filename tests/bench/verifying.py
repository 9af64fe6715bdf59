"""How fast a record is verified, over a bare cursor that hashes each payload once with SHA-256."""

import sqlite3
import time
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from recorder.audit.verify.verification import Verification, Wanted


def verify_round(url: str, quick: bool, _folder: Path) -> tuple[float, float]:
    """Frames a second: verified, and read and hashed by a bare cursor."""
    limit = _bare_cursor(url.removeprefix("sqlite:///"))
    began_s = time.perf_counter()
    verification = Verification(url, Wanted(quick=quick))
    found = list(verification)
    took_s = time.perf_counter() - began_s
    assert not found, found
    return verification.verified.frames / took_s, limit


def _bare_cursor(file: str) -> float:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        began_s = time.perf_counter()
        frames = 0
        for (payload,) in database.execute("SELECT payload FROM frames ORDER BY account_id, session_id, seq"):
            sha256(payload).digest()
            frames += 1
        return frames / (time.perf_counter() - began_s)
