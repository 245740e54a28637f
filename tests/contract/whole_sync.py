"""Drives a sync from its start to the retry that heals it, with a client generated from openapi/openapi.json."""

import os
from uuid import UUID, uuid4

from syncwatch_client import AuthenticatedClient, Client, models
from syncwatch_client.api.auth import get_me, issue_token, login
from syncwatch_client.api.integrations import create_integration, get_integration, list_integrations
from syncwatch_client.api.source_records import get_record_journey
from syncwatch_client.api.sync_logs import (
    append_record_outcomes,
    fail_sync,
    get_sync,
    list_attempts,
    list_error_groups,
    list_record_outcomes,
    list_syncs,
    preview_retry,
    report_progress,
    request_retry,
    start_attempt,
    start_sync,
    succeed_sync,
)

URL = os.environ["SYNCWATCH_URL"]
CLAIMS = "expense_claims"


def done(answer, status=200):
    """The body of an answer with this status; any other status ends the script."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.content!r}"
    return answer.parsed


def signed_in(token):
    return AuthenticatedClient(base_url=URL, token=token.access_token, raise_on_unexpected_status=True)


def outcome(record, word):
    report = models.RecordReport(
        source_record_type=CLAIMS, source_record_id=record, outcome=models.RecordOutcome(word), label="Claim 1043",
        amount="1250.00", currency="NOK",
    )
    if word == "failed":
        complaint = "Invalid cost center code: 9999"
        report.errors = [models.RecordError(code="INVALID_VALUE", message=complaint, field="/cost_center")]
    return report


anyone = Client(base_url=URL, raise_on_unexpected_status=True)
person = models.LoginRequest(email=os.environ["SYNCWATCH_EMAIL"], password=os.environ["SYNCWATCH_PASSWORD"])
admin = signed_in(done(login.sync_detailed(client=anyone, body=person)))
key = models.ClientCredentialsForm(
    grant_type="client_credentials", client_id=UUID(os.environ["SYNCWATCH_CLIENT_ID"]),
    client_secret=os.environ["SYNCWATCH_CLIENT_SECRET"],
)
runner = signed_in(done(issue_token.sync_detailed(client=anyone, body=key)))
assert done(get_me.sync_detailed(client=runner)).role == "runner"

settings = models.NewIntegration(
    name="Xledger by a generated client", connector_type=models.ConnectorType.XLEDGER,
    sync_type=models.SyncType.ACCOUNTING_PUSH, runner=models.Runner.EXTERNAL,
)
made = done(create_integration.sync_detailed(client=admin, body=settings), 201)
known = done(list_integrations.sync_detailed(client=runner)).items
integration = next(item for item in known if item.name == made.name)
assert integration.id == made.id and integration.health.light == models.Light.GREY

records = [uuid4() for _ in range(5)]
good, bad = records[:3], records[3:]
begin = models.StartSync(
    integration_config_id=integration.id, connector_type=integration.connector_type,
    sync_type=integration.sync_type, triggered_by=models.TriggeredBy.AUTOMATIC, records_total=len(records),
    client_run_id="nightly-2026-11-20",
)
sync = done(start_sync.sync_detailed(client=runner, body=begin, idempotency_key=str(uuid4())), 201)
assert sync.status == models.SyncStatus.IN_PROGRESS and sync.attempt == 0
assert done(start_sync.sync_detailed(client=runner, body=begin)).id == sync.id, "the same run is the same sync"

reports = [outcome(record, "succeeded") for record in good] + [outcome(record, "failed") for record in bad]
taken = done(
    append_record_outcomes.sync_detailed(sync.id, client=runner, body=models.AppendRecords(attempt=0, records=reports))
)
assert taken.accepted == len(records)
progress = models.ReportProgress(attempt=0, records_total=len(records), records_done=len(records))
assert done(report_progress.sync_detailed(sync.id, client=runner, body=progress)).progress.records_done == len(records)
failure = models.FailSync(attempt=0, error_code="PARTIAL_FAILURE", error_message="2 of 5 vouchers were rejected")
sync = done(fail_sync.sync_detailed(sync.id, client=runner, body=failure))
assert (sync.status, sync.records_processed, sync.records_failed) == (models.SyncStatus.FAILED, 3, 2)
group = done(list_error_groups.sync_detailed(sync.id, client=admin)).items[0]
assert group.count == 2 and group.field == "/cost_center"
assert done(get_integration.sync_detailed(integration.id, client=admin)).health.light == models.Light.RED

assert done(preview_retry.sync_detailed(sync.id, client=admin)).records == 2
sync = done(request_retry.sync_detailed(sync.id, client=admin, idempotency_key=str(uuid4())), 202)
assert sync.status == models.SyncStatus.PENDING
attempt = done(
    start_attempt.sync_detailed(sync.id, client=runner, body=models.StartAttempt(lease_seconds=300)), 201
)
assert attempt.attempt == 1 and {record.source_record_id for record in attempt.records} == set(bad)
reports = [outcome(record.source_record_id, "succeeded") for record in attempt.records]
body = models.AppendRecords(attempt=attempt.attempt, records=reports)
assert done(append_record_outcomes.sync_detailed(sync.id, client=runner, body=body)).accepted == 2
end = models.SucceedSync(attempt=attempt.attempt)
sync = done(succeed_sync.sync_detailed(sync.id, client=runner, body=end))
assert (sync.status, sync.records_processed, sync.records_failed) == (models.SyncStatus.RETRIED_SUCCESS, 5, 0)

page = done(list_syncs.sync_detailed(client=runner, integration_config_id=integration.id, status="retried_success"))
assert [item.id for item in page.items] == [sync.id]
assert done(get_sync.sync_detailed(sync.id, client=runner)).retry_count == 1
assert [item.attempt for item in done(list_attempts.sync_detailed(sync.id, client=runner)).items] == [0, 1]
delivered = done(list_record_outcomes.sync_detailed(sync.id, client=runner, outcome="succeeded", limit=200)).items
assert {item.source_record_id for item in delivered} == set(records)
steps = done(get_record_journey.sync_detailed(CLAIMS, bad[0], client=runner)).items
assert [step.outcome for step in steps] == [models.RecordOutcome.SUCCEEDED, models.RecordOutcome.FAILED]
assert done(get_integration.sync_detailed(integration.id, client=admin)).health.light == models.Light.GREEN

missing = get_sync.sync_detailed(uuid4(), client=runner)
assert missing.status_code == 404 and missing.parsed.code == models.ErrorCode.NOT_FOUND
print("a whole sync, with a generated client")
