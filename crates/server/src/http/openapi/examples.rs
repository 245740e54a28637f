//! An example for every answer that its handler's annotation gives none: one story, seen through each operation.

use serde_json::{Value, json};

use super::operations_mut;

const INTEGRATION: &str = "0198c0de-0000-7000-8000-000000000001";
const RECORD: &str = "0198c0de-0000-7000-8000-000000000002";
const SYNC: &str = "019aa03f-4f40-7000-8000-000000000003";
const INCIDENT: &str = "019aa03f-6350-7000-8000-000000000004";
const ORGANIZATION: &str = "0198c0de-0000-7000-8000-000000000005";
const BEGAN: &str = "2026-11-20T13:03:06Z";
const ENDED: &str = "2026-11-20T13:03:11.120Z";
const WORDS: &str = "Invalid cost center code: 9999";
const FINGERPRINT: &str = "8d4f1a0b6c2e7f3955aa10b4c6d8e2f07b913ac5d4e6f80921b3c5d7e9f1a2b3";

/// Gives each successful JSON answer without an example the one of its schema.
pub(super) fn add(document: &mut Value) {
    for operation in operations_mut(document) {
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        let successes = responses.into_iter().flatten().filter(|(status, _)| status.starts_with('2'));
        for (_, response) in successes {
            let content = response.pointer_mut("/content/application~1json").and_then(Value::as_object_mut);
            let Some(content) = content.filter(|it| !it.contains_key("example") && !it.contains_key("examples")) else {
                continue;
            };
            let reference = content.get("schema").and_then(|schema| schema["$ref"].as_str()).unwrap_or_default();
            if let Some(example) = of_schema(reference.trim_start_matches("#/components/schemas/")) {
                content.insert("example".to_owned(), example);
            }
        }
    }
}

/// The example of a schema by its name.
fn of_schema(name: &str) -> Option<Value> {
    Some(match name {
        "TokenResponse" => json!({ "access_token": "eyJ…", "token_type": "Bearer", "expires_in": 600 }),
        "Me" => me(),
        "Integration" => integration(),
        "Page_IntegrationSummary" => page(&integration_summary()),
        "ConnectionTest" => json!({
            "ok": true, "code": "OK", "message": "The system answered the health check (200).", "http_status_code": 200,
            "duration_ms": 84,
        }),
        "Trends" => trends(),
        "StagedRecord" => json!({
            "state": "staged", "payload_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "label": "Claim 1043", "amount": "1250.00", "currency": "NOK", "external_reference_id": null,
        }),
        "Sync" => sync(),
        "Page_Sync" => page(&sync()),
        "ImportResponse" => json!({ "items": [{ "index": 0, "status": 201, "id": SYNC }] }),
        "Page_Attempt" => page(&attempt()),
        "StartedAttempt" => json!({
            "attempt": 1, "whole": false,
            "records": [{ "source_record_type": "reimbursement_approvals", "source_record_id": RECORD }],
        }),
        "RecordOutcomeItem" => record(),
        "Page_RecordOutcomeItem" => page(&record()),
        "AppendedRecords" => json!({ "accepted": 1, "unchanged": 0, "already_active": [] }),
        "ErrorGroups" => json!({ "items": [{
            "code": "INVALID_VALUE", "field": "/cost_center", "field_name": "costCenter", "message": WORDS,
            "class": "value", "fingerprint": FINGERPRINT, "count": 9, "sample": record(),
        }] }),
        "RetryPreview" => json!({
            "records": 12, "changed": 9, "unchanged": 3, "asked": 0, "unknown": 0, "handled": 0, "delivered_since": 0,
            "active": 0, "gone": 0,
        }),
        "RecordJourney" => journey(),
        "Incident" => incident(),
        "Page_Incident" => page(&incident()),
        "MappingTrial" => json!({
            "nodes": [{
                "account": { "code": "7140" }, "amount": "1250.00", "postedDate": "2026-11-20",
                "text": "Course in Bergen", "currency": "NOK",
            }],
            "errors": [],
        }),
        "LineageReceipt" => json!({ "sync_id": SYNC, "status": "in_progress", "changed": true }),
        "NotificationPage" => notifications(),
        _ => return None,
    })
}

fn page(item: &Value) -> Value {
    json!({ "items": [item], "next_cursor": null, "prev_cursor": null })
}

fn me() -> Value {
    let organization = json!({ "id": ORGANIZATION, "name": "Foreningen" });
    json!({
        "id": "0198c0de-0000-7000-8000-000000000006", "name": "Kari Nordmann", "email": "kari@example.org",
        "role": "org_admin", "language": "nb", "email_on_incident": true, "organization": organization,
        "organizations": [organization],
    })
}

fn integration_summary() -> Value {
    json!({
        "id": INTEGRATION, "name": "Xledger", "connector_type": "xledger", "sync_type": "accounting_push",
        "runner": "external", "paused": false,
        "health": {
            "light": "red", "since": ENDED, "reasons": [{ "code": "last_sync_failed" }], "next_expected_at": null,
        },
        "last_sync": {
            "id": SYNC, "status": "failed", "started_at": BEGAN, "completed_at": ENDED, "records_total": 40,
            "records_processed": 28, "records_failed": 12, "duration_ms": 5120,
        },
        "consecutive_failures": 2,
        "undelivered": { "records": 12, "amounts": [{ "currency": "NOK", "amount": "84200.00" }] },
        "recent": [{
            "id": SYNC, "started_at": BEGAN, "completed_at": ENDED, "status": "failed", "records_total": 40,
            "records_processed": 28, "records_failed": 12, "duration_ms": 5120, "warnings": 0,
            "counts_mismatch": false,
        }],
        "active_sync_id": null,
    })
}

fn integration() -> Value {
    let mut integration = integration_summary();
    let settings = json!({
        "settings": {}, "has_credentials": false, "schedule": { "cron": "0 6 * * 1-5", "time_zone": "Europe/Oslo" },
        "freshness_hours": 48, "business_days_only": false, "failure_threshold": 2, "partial_failure": "error",
        "allow_updates": false, "record_url_template": "https://app.example/claims/{id}", "retry_webhook_url": null,
        "retry_webhook_disabled_at": null, "lineage_job": null,
        "created_at": "2026-01-05T08:00:00Z", "updated_at": "2026-03-02T09:30:00Z", "open_incident_id": INCIDENT,
    });
    if let (Some(all), Value::Object(settings)) = (integration.as_object_mut(), settings) {
        all.extend(settings);
    }
    integration
}

fn trends() -> Value {
    json!({ "bucket": "day", "items": [{
        "start": "2026-11-20T00:00:00Z", "syncs": 1, "failed_syncs": 1, "records_processed": 28, "records_failed": 12,
        "p50_duration_ms": 5120, "p95_duration_ms": 5120, "gap": false,
    }] })
}

fn sync() -> Value {
    json!({
        "id": SYNC, "integration_config_id": INTEGRATION, "organization_id": ORGANIZATION,
        "connector_type": "xledger", "sync_type": "accounting_push", "status": "failed", "records_processed": 28,
        "records_failed": 12, "records_total": 40, "error_code": "PARTIAL_FAILURE",
        "error_message": "12 of 40 vouchers were rejected", "retry_count": 0, "triggered_by": "automatic",
        "triggered_by_user_id": null, "source_record_id": null, "source_record_type": null,
        "external_reference_id": null, "request_payload_hash": null, "http_status_code": 422, "duration_ms": 5120,
        "started_at": BEGAN, "completed_at": ENDED, "metadata": null, "warnings": [], "backfill": false,
        "client_run_id": "nightly-2026-11-20", "attempt": 0, "retryable": true,
    })
}

fn attempt() -> Value {
    json!({
        "attempt": 0, "status": "failed", "started_at": BEGAN, "completed_at": ENDED, "duration_ms": 5120,
        "records_total": 40, "records_processed": 28, "records_failed": 12, "records_skipped": 0,
        "records_unknown": 0, "records_not_attempted": 0, "error_code": "PARTIAL_FAILURE",
        "error_message": "12 of 40 vouchers were rejected", "http_status_code": 422, "triggered_by_user_id": null,
    })
}

fn errors() -> Value {
    json!([{
        "code": "INVALID_VALUE", "message": WORDS, "field": "/cost_center", "field_name": "costCenter", "class": "value",
        "fingerprint": FINGERPRINT,
    }])
}

fn record() -> Value {
    json!({
        "source_record_type": "reimbursement_approvals", "source_record_id": RECORD, "label": "Claim 1043",
        "amount": "1250.00", "currency": "NOK", "outcome": "failed", "attempt": 0, "errors": errors(),
        "http_status_code": 422, "external_reference_id": null, "request_payload_hash": null, "updated_at": ENDED,
        "state": "failed", "changed_since_failure": false, "resolution": null,
        "record_url": format!("https://app.example/claims/{RECORD}"),
    })
}

fn journey() -> Value {
    json!({
        "source_record_type": "reimbursement_approvals", "source_record_id": RECORD, "label": "Claim 1043",
        "items": [{
            "sync_id": SYNC, "integration_config_id": INTEGRATION, "integration_name": "Xledger", "attempt": 0,
            "outcome": "failed", "errors": errors(), "http_status_code": 422, "external_reference_id": null,
            "updated_at": ENDED,
        }],
    })
}

fn incident() -> Value {
    json!({
        "id": INCIDENT, "integration_config_id": INTEGRATION, "integration_name": "Xledger",
        "kind": "consecutive_failures", "opened_at": ENDED, "resolved_at": null, "acknowledged_at": null,
        "acknowledged_by": null, "sync_id": SYNC, "error_message": WORDS,
    })
}

fn notifications() -> Value {
    json!({
        "items": [{
            "id": "019aa03f-6350-7000-8000-000000000007", "kind": "incident_opened",
            "incident_kind": "consecutive_failures", "incident_id": INCIDENT, "integration_config_id": INTEGRATION,
            "integration_name": "Xledger", "sync_id": SYNC, "error_message": WORDS, "consecutive_failures": 2,
            "created_at": ENDED, "read_at": null,
        }],
        "next_cursor": null, "prev_cursor": null, "unread": 1,
    })
}

#[cfg(test)]
mod tests {
    use api_types::Page;
    use api_types::attempts::{Attempt, StartedAttempt};
    use api_types::auth::{Me, TokenResponse};
    use api_types::incidents::Incident;
    use api_types::integrations::{ConnectionTest, Integration, IntegrationSummary};
    use api_types::mapping_trials::MappingTrial;
    use api_types::notifications::NotificationPage;
    use api_types::records::{AppendedRecords, ErrorGroups, RecordJourney, RecordOutcomeItem, RetryPreview};
    use api_types::source_records::StagedRecord;
    use api_types::sync_logs::{ImportResponse, Sync};
    use api_types::trends::Trends;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;

    /// The example is what the type itself would write.
    fn fits<T: Serialize + DeserializeOwned>(name: &str) {
        let example = of_schema(name).unwrap();
        let typed: T = serde_json::from_value(example.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(typed).unwrap(), example, "{name}");
    }

    #[test]
    fn examples_are_what_the_types_write() {
        fits::<TokenResponse>("TokenResponse");
        fits::<Me>("Me");
        fits::<Integration>("Integration");
        fits::<Page<IntegrationSummary>>("Page_IntegrationSummary");
        fits::<ConnectionTest>("ConnectionTest");
        fits::<Trends>("Trends");
        fits::<StagedRecord>("StagedRecord");
        fits::<Sync>("Sync");
        fits::<Page<Sync>>("Page_Sync");
        fits::<ImportResponse>("ImportResponse");
        fits::<Page<Attempt>>("Page_Attempt");
        fits::<StartedAttempt>("StartedAttempt");
        fits::<RecordOutcomeItem>("RecordOutcomeItem");
        fits::<Page<RecordOutcomeItem>>("Page_RecordOutcomeItem");
        fits::<AppendedRecords>("AppendedRecords");
        fits::<ErrorGroups>("ErrorGroups");
        fits::<RetryPreview>("RetryPreview");
        fits::<RecordJourney>("RecordJourney");
        fits::<Incident>("Incident");
        fits::<Page<Incident>>("Page_Incident");
        fits::<MappingTrial>("MappingTrial");
        fits::<NotificationPage>("NotificationPage");
    }
}
