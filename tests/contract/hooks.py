"""What schemathesis needs to know of this API besides its description.

Random ids exist nowhere, and random moments lie in the future: left alone, most requests would end at the door. Most
good requests are therefore given ids that exist and members that agree with each other; the rest are sent as they were
made. Bad requests keep what makes them bad. At the end, the statuses of every operation are written down.
"""

import atexit
import json
import os
import re
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import schemathesis

SCENE = json.loads(Path(os.environ["SYNCWATCH_CONTRACT_SCENE"]).read_text())
# One of so many good requests is sent as it was made.
UNTOUCHED = 8

TURN = Counter()
STATUSES = defaultdict(Counter)
# Ids that the server itself has named, for telling a link's id from a random one.
KNOWN = {identifier for pool in SCENE["pools"].values() for identifier in pool}

# Their answers hold no ids of things to ask about.
TOLD_APART = {"login", "refresh", "issueToken", "getMe", "updateMe", "streamEvents"}

# Rules between values, or between values and what is stored, which no schema can state.
RULES = {
    "completed_at_must_follow_started_at",
    "connector_type_must_match_integration_config",
    "duplicate",
    "error_fields_required_on_failure",
    "integration_config_id_must_exist",
    "source_record_type_required_when_id_present",
    "started_at_not_in_future",
    "started_at_out_of_range",
    "triggered_by_user_id_required_for_manual",
    "unknown_reference",
}
# Further refusals of requests that keep to the schema: operation, pointer, and why the schema cannot say it.
REFUSALS = [
    (r".*", r"(/items/\d+)?(/records/\d+)?/currency", "an amount needs its currency"),
    (r".*", r"(/items/\d+)?/records/\d+/errors", "a failed record needs an error"),
    (r"triggerSync", r"/source_record_id", "a type needs its id"),
    (r"resolveRecord", r"/reference", "a record that has arrived needs its reference"),
    (r"login", r"/organization_id", "a member of several organizations names one"),
    (r"(create|update)Integration", r"/(settings|credentials)(/.*)?", "each connector has settings of its own"),
    (r"testIntegration", r"/credentials(/.*)?", "each connector has credentials of its own"),
    (r"(create|update)Integration", r"/schedule/(cron|time_zone)", "a calendar is no regular expression"),
    (r"(create|update)Integration", r"/(connector_type|runner|retry_webhook_url)", "depends on the connector and the runner"),
    (r"(create|update)Integration", r"/lineage_job(/.*)?", "only external runners have one; lengths are in bytes"),
    (r"tryMapping", r"(?s)/mapping(/.*)?", "a mapping has a language of its own"),
    (r"verifyAudit", r"\?after", "a chain has so many seals and no more"),
    (r"getTrends", r"\?(from|to)", "a period begins before it ends, and has at most 750 buckets"),
    (r"listRecordOutcomes", r"\?source_record_id", "a type needs its id, and an id its type"),
]
# Codes of whole requests that are refused for what is stored, not for how they look.
STATES = {"invalid_cursor", "unknown_lineage_job", "idempotency_mismatch", "precondition_failed"}


def operation_id(case):
    return case.operation.definition.raw["operationId"]


def is_good(case):
    return case.meta is None or case.meta.generation.mode.is_positive


def path_is_good(case):
    """Whether the path keeps to the schema, and what is wrong, if anything is, is wrong with another part."""
    if is_good(case):
        return True
    parts = {kind.value: info.mode.is_positive for kind, info in case.meta.components.items()}
    return parts.pop("path", False) and not all(parts.values())


def pick(kind, turn):
    pool = SCENE["pools"][kind]
    return pool[turn % len(pool)]


def moment(**ago):
    return (datetime.now(timezone.utc) - timedelta(**ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Which ids an operation is asked about, where it is not any sync.
POOLS = {
    "acknowledgeIncident": "incident",
    "readNotification": "notification",
    "triggerSync": "managed",
    "testIntegration": "managed",
    "startAttempt": "waiting",
    "requestRetry": "failed",
    "listErrorGroups": "failed",
    "previewRetry": "failed",
    "reportProgress": "running",
    "appendRecordOutcomes": "running",
    "succeedSync": "running",
    "failSync": "running",
}


def prime_path(case, operation, turn):
    path = case.path_parameters
    if "source_record_id" in path:
        sync, integration, kind, record = SCENE["records"][turn % len(SCENE["records"])]
        path.update(source_record_type=kind, source_record_id=record)
        if operation == "stageRecord":
            # A new record as often as a known one.
            path["source_record_id"] = str(uuid4()) if turn % 2 else record
        if "id" in path:
            path["id"] = sync if "/sync-logs/" in case.operation.path else integration
        return
    if "id" not in path or path["id"] in KNOWN:
        return
    integrations = "/integrations/" in case.operation.path
    path["id"] = pick(POOLS.get(operation, "integration" if integrations else "sync"), turn)


def prime_start(body, turn):
    if body.get("integration_config_id") not in KNOWN:
        body["integration_config_id"] = pick("integration", turn)
    body["connector_type"] = SCENE["connector_type"]
    if SCENE["role"] == "machine" and body.get("triggered_by") == "manual":
        body["triggered_by"] = "automatic"
    if body.get("started_at") is not None:
        body["started_at"] = moment(hours=3 + turn % 200)
    if body.get("source_record_id") is not None and body.get("source_record_type") is None:
        body["source_record_type"] = "expense_claims"


def prime_records(body):
    seen = set()
    for record in body.get("records", []):
        if record["source_record_id"] in seen:
            record["source_record_id"] = str(uuid4())
        seen.add(record["source_record_id"])
        if record["outcome"] == "failed" and not record.get("errors"):
            record["errors"] = [{"code": "INVALID_VALUE", "message": "Invalid cost center code: 9999"}]
        prime_money(record)


def prime_money(body):
    if body.get("amount") is not None and body.get("currency") is None:
        body["currency"] = "NOK"


def prime_finished(body, turn):
    prime_start(body, turn)
    body["started_at"] = moment(hours=3 + turn % 200)
    body["completed_at"] = moment(hours=2)
    if body["status"] == "failed":
        for member in ("error_code", "error_message"):
            if not (body.get(member) or "").strip():
                body[member] = "TIMEOUT"
    else:
        body.pop("error_code", None)
        body.pop("error_message", None)
    prime_records(body)


def prime_integration(body, turn):
    body.pop("credentials", None)
    if "runner" in body:
        managed = turn % 3 == 0
        body.update(runner="managed", connector_type="generic_http") if managed else body.update(runner="external")
        body["settings"] = {"url": SCENE["closed_address"]} if managed else {}
        if managed:
            body.pop("retry_webhook_url", None)
    else:
        body.pop("settings", None)
        body.pop("retry_webhook_url", None)
    if body.get("schedule") is not None:
        body["schedule"] = {"cron": "0 6 * * 1-5", "time_zone": "Europe/Oslo"}


def prime_event(body, turn):
    body["job"] = SCENE["lineage_job"]
    body["eventTime"] = moment(hours=3 + turn % 200)
    if turn % 4:
        body["run"]["runId"] = str(uuid4())


def prime_body(body, operation, turn):
    if operation == "startSync":
        prime_start(body, turn)
    elif operation == "recordFinishedSync":
        prime_finished(body, turn)
    elif operation == "importSyncs":
        for place, item in enumerate(body["items"]):
            prime_finished(item, turn + place)
    elif operation == "appendRecordOutcomes":
        body["attempt"] = 0 if "attempt" not in body or turn % 4 else body["attempt"]
        prime_records(body)
    elif operation in ("succeedSync", "failSync", "reportProgress"):
        body["attempt"] = 0 if turn % 4 else body["attempt"]
    elif operation in ("createIntegration", "updateIntegration"):
        prime_integration(body, turn)
    elif operation == "acceptLineageEvent":
        prime_event(body, turn)
    elif operation == "tryMapping":
        body["mapping"] = {"entity": "claims", "fields": {"amount": {"from": "/amount", "as": "money"}}}
    elif operation == "stageRecord":
        prime_money(body)
    elif operation == "resolveRecord":
        body["resolution"] = "handled_manually"
    elif operation in ("triggerSync", "testIntegration"):
        body.clear()
    elif operation == "login" and turn % 4 == 0:
        body.clear()
        body.update(SCENE["login"])
    elif operation == "issueToken" and turn % 4 == 0:
        body.clear()
        body.update(SCENE["key"], grant_type="client_credentials")


def prime_query(query, operation):
    # A cursor is what an earlier answer gave.
    query.pop("cursor", None)
    if operation == "getTrends":
        for member, days in (("from", 20), ("to", 1)):
            if member in query:
                query[member] = moment(days=days)
    if operation == "listRecordOutcomes" and ("source_record_id" in query) != ("source_record_type" in query):
        query.pop("source_record_id", None)
        query.pop("source_record_type", None)


@schemathesis.hook
def filter_headers(context, headers):
    # White space around a value is no part of it (RFC 9110): nobody can tell that it was there.
    return all(value == value.strip() for value in (headers or {}).values() if isinstance(value, str))


@schemathesis.hook
def before_call(context, case, kwargs):
    operation = operation_id(case)
    turn = TURN[operation]
    TURN[operation] += 1
    if turn % UNTOUCHED == UNTOUCHED - 1:
        return
    if case.path_parameters and path_is_good(case):
        prime_path(case, operation, turn)
    if not is_good(case):
        return
    if isinstance(case.body, dict):
        prime_body(case.body, operation, turn)
    if case.query:
        prime_query(case.query, operation)
    if operation == "updateIntegration" and case.headers and "If-Match" in case.headers and turn % 2:
        case.headers["If-Match"] = "*"


@schemathesis.hook
def after_call(context, case, response):
    STATUSES[operation_id(case)][str(response.status_code)] += 1
    is_json = response.headers.get("content-type", [""])[0].startswith("application/json")
    if response.status_code in (200, 201, 202) and is_json and operation_id(case) not in TOLD_APART:
        remember(response.json())


def remember(body):
    KNOWN.update(thing["id"] for thing in body.get("items", [body]) if "id" in thing)


@schemathesis.check
def good_requests_are_refused_for_a_stated_reason_alone(ctx, response, case):
    """Stands behind `positive_data_acceptance`, which cannot tell one refusal from another."""
    if response.status_code not in (400, 412, 422) or not is_good(case):
        return
    problem = response.json()
    if problem["code"] in STATES:
        return
    operation = operation_id(case)
    for error in problem.get("errors", []) or [{"code": problem["code"], "pointer": ""}]:
        is_stated = error["code"] in RULES or any(
            re.fullmatch(operations, operation) and re.fullmatch(pointers, error["pointer"])
            for operations, pointers, _ in REFUSALS
        )
        assert is_stated, f"the description allows this request, and the server refuses it: {error}"


@atexit.register
def write_statuses():
    Path(os.environ["SYNCWATCH_CONTRACT_STATUSES"]).write_text(json.dumps(STATUSES, indent=2, sort_keys=True))
