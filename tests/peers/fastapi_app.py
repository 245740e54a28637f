"""A bookkeeping API on FastAPI, for the tests: `python fastapi_app.py --port 0`.

POST /claims                 one expense claim: 201 {"reference": …, "claim_number": …}
POST /claims/batch           {"items": [claim, …]}: 201 {"results": [{"reference": …}, …]}, or 422 for all
POST /claims/batch-array     the same with a bare array
POST /claims/batch-results   {"items": [claim, …]}: 207, each claim judged by itself
GET  /claims?record={id}     200 {"items": [{"record_id": …, "claim_number": …, "reference": …}]}: what was booked of a claim
GET  /claims/{id}            the first of them, or 404
PUT  /claims/{id}            403: what is booked stays as it is
GET  /health                 200
GET  /_log                   every booking
POST /_behaviour             see peer_books.Behaviour

Validation answers are FastAPI's own. With PEER_TOKEN set, everything but /_log and /_behaviour needs it as a bearer
token.
"""

import argparse
import asyncio
import os
import socket
from decimal import Decimal
from typing import Annotated
from uuid import UUID

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from peer_books import (
    ACCOUNTS,
    CLOSED_PERIODS,
    COST_CENTERS,
    CURRENCIES,
    Behaviour,
    Books,
    body_hash,
)

books = Books()
behaviour = Behaviour()


def known_cost_center(code: str) -> str:
    if code not in COST_CENTERS:
        raise PydanticCustomError("invalid_cost_center", "Invalid cost center code: {code}", {"code": code})
    return code


def known_account(code: str) -> str:
    if code not in ACCOUNTS:
        raise PydanticCustomError("invalid_account", "Unknown account: {code}", {"code": code})
    return code


def known_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise PydanticCustomError("invalid_currency", "Unknown currency: {code}", {"code": code})
    return code


def open_period(period: str) -> str:
    if period in CLOSED_PERIODS:
        raise PydanticCustomError("period_closed", "Accounting period {period} is closed", {"period": period})
    return period


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    account: Annotated[str, AfterValidator(known_account)]
    amount: Annotated[Decimal, Field(decimal_places=2)]


class Claim(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: UUID | None = None
    claim_number: Annotated[str, Field(min_length=1, max_length=40)]
    member: Annotated[str, Field(min_length=1, max_length=120)]
    cost_center: Annotated[str, AfterValidator(known_cost_center)]
    amount: Annotated[Decimal, Field(gt=0, decimal_places=2)]
    currency: Annotated[str, AfterValidator(known_currency)]
    period: Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$"), AfterValidator(open_period)]
    lines: Annotated[list[Line], Field(max_length=200)] = []


class Batch(BaseModel):
    model_config = ConfigDict(extra="forbid")
    items: Annotated[list[Claim], Field(min_length=1, max_length=1000)]


class LooseBatch(BaseModel):
    items: Annotated[list[dict], Field(min_length=1, max_length=1000)]


app = FastAPI(title="Books")


async def booked(request: Request, claims: list[Claim]) -> list[dict]:
    rows = [claim.model_dump(mode="json") for claim in claims]
    key = request.headers.get("idempotency-key")
    references = books.book(rows, key, body_hash(await request.body()))
    return [
        {"reference": reference, "claim_number": row["claim_number"]}
        for reference, row in zip(references, rows, strict=True)
    ]


@app.post("/claims", status_code=201)
async def post_claim(claim: Claim, request: Request) -> dict:
    return (await booked(request, [claim]))[0]


@app.post("/claims/batch", status_code=201)
async def post_batch(batch: Batch, request: Request) -> dict:
    return {"results": await booked(request, batch.items)}


@app.post("/claims/batch-array", status_code=201)
async def post_array(claims: list[Claim], request: Request) -> dict:
    return {"results": await booked(request, claims)}


@app.post("/claims/batch-results")
async def post_each(batch: LooseBatch, request: Request) -> JSONResponse:
    results = []
    for item in batch.items:
        try:
            claim = Claim.model_validate(item)
        except ValidationError as refused:
            errors = refused.errors(include_url=False, include_context=False, include_input=False)
            results.append({"status": 422, "error": {"detail": errors}})
        else:
            results.append({"status": 201, "id": (await booked(request, [claim]))[0]["reference"]})
    return JSONResponse({"results": results}, status_code=207)


@app.get("/claims")
async def look_up_claims(record: UUID) -> dict:
    return {"items": books.found(str(record))}


@app.get("/claims/{record}")
async def look_up_claim(record: UUID) -> dict:
    rows = books.found(str(record))
    if not rows:
        raise HTTPException(404, "No such claim")
    return rows[0]


@app.put("/claims/{record}")
async def rewrite_claim(record: UUID) -> dict:
    raise HTTPException(403, "Not enough permissions")


@app.get("/health")
async def health() -> dict:
    return {"status": "ok"}


@app.get("/_log")
async def log() -> dict:
    return books.log()


@app.post("/_behaviour")
async def behave(request: Request) -> dict:
    return behaviour.set(await request.json())


class Faults:
    """Around the application: idempotency keys, and the faults that were asked for."""

    def __init__(self, inner) -> None:
        self.inner = inner
        self.token = os.environ.get("PEER_TOKEN")

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_"):
            await self.inner(scope, receive, send)
            return
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            await JSONResponse({"detail": "Not authenticated"}, 401)(scope, receive, send)
            return
        if not (scope["method"] == "POST" and scope["path"].startswith("/claims")):
            await self.inner(scope, receive, send)
            return
        await self.claims(scope, receive, send, headers.get("idempotency-key"))

    async def claims(self, scope, receive, send, key: str | None) -> None:
        plan = behaviour.next()
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if plan["hold"]:
            await asyncio.to_thread(plan["hold"].wait)
        await asyncio.sleep(plan["delay_ms"] / 1000)
        # uvicorn's request cycle owns the connection; cutting it is what a crashed server looks like.
        transport = receive.__self__.transport
        if plan.get("reset") and plan["reset_before"]:
            transport.abort()
            return
        failing = plan.get("status") is not None
        if failing and not plan.get("book_first"):
            await self.failure(plan)(scope, receive, send)
            return
        digest = body_hash(body)
        known = books.reserve(key, digest)
        if known is None:
            status, content_type, answer = await self.run(scope, body)
            books.settle(key, digest, status, answer, content_type)
        elif known["state"] == "done":
            status, content_type, answer = known["status"], known["content_type"], known["body"]
        elif known["state"] == "in_progress":
            status, content_type, answer = 409, "application/json", b'{"detail":"A request with this key is under way"}'
        else:
            status, content_type, answer = 422, "application/json", b'{"detail":"This key came with another payload"}'
        await asyncio.sleep(plan["delay_after_ms"] / 1000)
        if plan.get("reset"):
            transport.abort()
            return
        if failing:
            await self.failure(plan)(scope, receive, send)
            return
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def run(self, scope, body: bytes) -> tuple[int, str, bytes]:
        """The application's answer to a body that has been read already."""
        answer = {"status": 500, "type": "application/json", "body": b""}
        given = False

        async def again():
            nonlocal given
            if given:
                await asyncio.sleep(3600)
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message):
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
                headers = {name.decode().lower(): value.decode() for name, value in message.get("headers", [])}
                answer["type"] = headers.get("content-type", "application/json")
            elif message["type"] == "http.response.body":
                answer["body"] += message.get("body", b"")

        await self.inner(scope, again, keep)
        return answer["status"], answer["type"], answer["body"]

    @staticmethod
    def failure(plan: dict) -> JSONResponse:
        headers = {"Retry-After": str(plan["retry_after"])} if "retry_after" in plan else None
        return JSONResponse({"detail": "Failing on demand"}, plan["status"], headers)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    port = parser.parse_args().port
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(128)
    # The listener takes connections from here on, so whoever reads this line may connect.
    print(f"ready http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(Faults(app), log_level="warning", access_log=False, lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
