"""The bookkeeping behind the FastAPI and the Django peer: what was accepted, and how to misbehave on demand.

Both peers keep the same promises. A claim is booked when its answer is a success; every booking is appended to the
file named by PEER_LOG, one JSON document a line, and is shown by GET /_log. A request with an Idempotency-Key that was
answered before gets the same answer and books nothing. A claim whose id was booked before, and which comes again
without a key that says so, is booked again: that is the double delivery the tests look for.
"""

import hashlib
import json
import os
import threading
import time
import uuid
from datetime import datetime, timezone

COST_CENTERS = {"1000", "1010", "2000", "2010", "3000"}
ACCOUNTS = {"5000", "5100", "6700", "7140", "7320"}
CURRENCIES = {"NOK", "SEK", "DKK", "EUR", "GBP", "USD"}
CLOSED_PERIODS = {"2025-12", "2026-01"}


def body_hash(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


class Books:
    """Every booking of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: list[dict] = []
        self._booked_ids: set[str] = set()
        self._keys: dict[str, dict] = {}
        self._path = os.environ.get("PEER_LOG")

    def book(self, claims: list[dict], key: str | None, digest: str) -> list[str]:
        """Books claims and returns their references."""
        references = []
        with self._lock:
            for claim in claims:
                record_id = str(claim.get("id") or claim["claim_number"])
                row = {
                    "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                    "idempotency_key": key,
                    "record_id": record_id,
                    "claim_number": claim["claim_number"],
                    "amount": str(claim["amount"]),
                    "body_hash": digest,
                    "reference": f"V-{len(self._rows) + 1:06d}",
                    "duplicate": record_id in self._booked_ids,
                }
                self._booked_ids.add(record_id)
                self._rows.append(row)
                references.append(row["reference"])
                if self._path:
                    with open(self._path, "a", encoding="utf-8") as log:
                        log.write(json.dumps(row) + "\n")
        return references

    def found(self, record_id: str) -> list[dict]:
        """The bookings of one record."""
        with self._lock:
            rows = [row for row in self._rows if row["record_id"] == record_id]
        return [{name: row[name] for name in ("record_id", "claim_number", "reference")} for row in rows]

    def log(self) -> dict:
        with self._lock:
            return {
                "accepted": len(self._rows),
                "duplicates": sum(row["duplicate"] for row in self._rows),
                "records": list(self._rows),
            }

    def reserve(self, key: str | None, digest: str) -> dict | None:
        """What a key's earlier request became: None if the key is new (and now taken) or absent."""
        if key is None:
            return None
        with self._lock:
            known = self._keys.get(key)
            if known is None:
                self._keys[key] = {"state": "in_progress", "digest": digest}
                return None
            if known["digest"] != digest:
                return {"state": "other_payload"}
            return dict(known)

    def settle(self, key: str | None, digest: str, status: int, body: bytes, content_type: str) -> None:
        """Keeps a success under its key; anything else frees the key, so that a corrected claim can come."""
        if key is None:
            return
        with self._lock:
            if 200 <= status < 300:
                self._keys[key] = {
                    "state": "done", "digest": digest, "status": status, "body": body, "content_type": content_type,
                }
            else:
                self._keys.pop(key, None)


class Behaviour:
    """How claim requests are to be treated, set by POST /_behaviour.

    delay_ms      wait before the request is worked on
    delay_after_ms  wait after it was worked on, before the answer leaves
    hold_after    after so many requests, the others wait, before they are worked on, for the next POST /_behaviour
    status        answer this status instead of working on the request
    book_first    with status: work on the request, then answer the status all the same
    retry_after   with status: the Retry-After header
    reset_after   after so many requests, reset the connection in place of an answer
    reset_before  with reset_after: reset before the request is worked on, so that nothing is booked
    times         how many requests the fault applies to; without it, until the next POST /_behaviour
    """

    MEMBERS = {
        "delay_ms", "delay_after_ms", "hold_after", "status", "book_first", "retry_after", "reset_after", "reset_before",
        "times",
    }

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict = {}
        self._set_anew = threading.Event()

    def set(self, wanted: dict) -> dict:
        unknown = set(wanted) - self.MEMBERS
        if unknown:
            return {"error": f"unknown: {', '.join(sorted(unknown))}"}
        with self._lock:
            self._now = {name: value for name, value in wanted.items() if value is not None}
            self._set_anew.set()
            self._set_anew = threading.Event()
            return dict(self._now)

    def next(self) -> dict:
        """What to do with the request that has just come."""
        with self._lock:
            now = self._now
            plan = {"delay_ms": now.get("delay_ms", 0), "delay_after_ms": now.get("delay_after_ms", 0), "hold": None}
            if not now:
                return plan
            if now.get("hold_after", 0) > 0:
                now["hold_after"] -= 1
            elif "hold_after" in now:
                plan["hold"] = self._set_anew
            if now.get("reset_after", 0) > 0:
                now["reset_after"] -= 1
                return plan
            plan.update({name: now[name] for name in ("status", "book_first", "retry_after") if name in now})
            plan["reset"] = "reset_after" in now
            plan["reset_before"] = bool(now.get("reset_before"))
            if "times" in now:
                now["times"] -= 1
                if now["times"] <= 0:
                    self._now = {}
            return plan


def new_id() -> str:
    return str(uuid.uuid4())


def sleep_ms(milliseconds: float) -> None:
    if milliseconds:
        time.sleep(milliseconds / 1000)
