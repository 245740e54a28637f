//! One organization with an administrator, a machine, and an integration whose syncs the machine runs.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tests::client::{Answer, Client, id};
use tests::organization::{Organization, connect_external, merge};
use tests::server::TestServer;
use uuid::Uuid;

/// The type of the records that tests report.
pub const CLAIM: &str = "expense_claims";

pub struct Scene {
    pub server: TestServer,
    pub organization: Organization,
    pub admin: Client,
    pub machine: Client,
    pub integration: Uuid,
}

impl Scene {
    pub async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// With further or other members of the integration.
    pub async fn with(more: Value) -> Self {
        Self::on(TestServer::start().await, more).await
    }

    pub async fn on(server: TestServer, more: Value) -> Self {
        let organization = server.organization("Forening").await;
        let (admin, machine) = tokio::join!(organization.admin(), organization.machine());
        let integration = connect_external(&admin, more).await;
        Self { server, organization, admin, machine, integration }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.server.clock.now()
    }

    /// A moment so many seconds from now.
    pub fn at(&self, seconds: i64) -> String {
        moment(self.now() + chrono::Duration::seconds(seconds))
    }

    /// The body of `startSync`, with further or other members.
    pub fn start_body(&self, more: Value) -> Value {
        let mut body = json!({
            "integration_config_id": self.integration, "connector_type": "xledger", "sync_type": "accounting_push",
            "triggered_by": "automatic",
        });
        merge(&mut body, more);
        body
    }

    /// The body of `recordFinishedSync`: a success of 40 records, with further or other members.
    pub fn finished_body(&self, more: Value) -> Value {
        let now = self.now();
        let ago = |seconds| moment(now - chrono::Duration::seconds(seconds));
        let mut body = self.start_body(json!({
            "started_at": ago(60), "completed_at": ago(50), "status": "success", "records_total": 40,
            "records_processed": 40, "records_failed": 0,
        }));
        merge(&mut body, more);
        body
    }

    /// The members of a failure, for `finished_body`.
    pub fn failure() -> Value {
        json!({
            "status": "failed", "records_processed": 28, "records_failed": 12, "error_code": "PARTIAL_FAILURE",
            "error_message": "12 of 40 vouchers were rejected",
        })
    }

    pub async fn start(&self, more: Value) -> Uuid {
        id(&self.machine.post("/sync-logs").json(&self.start_body(more)).send().await.expect(201))
    }

    pub async fn finished(&self, more: Value) -> Value {
        self.machine.post("/sync-logs/finished").json(&self.finished_body(more)).send().await.expect(201)
    }

    pub async fn append(&self, sync: Uuid, attempt: u16, records: &[Value]) -> Answer {
        let body = json!({ "attempt": attempt, "records": records });
        self.machine.post(&format!("/sync-logs/{sync}/records")).json(&body).send().await
    }

    pub async fn succeed(&self, sync: Uuid, attempt: u16) -> Answer {
        self.machine.post(&format!("/sync-logs/{sync}/succeed")).json(&json!({ "attempt": attempt })).send().await
    }

    pub async fn fail(&self, sync: Uuid, attempt: u16) -> Answer {
        let body = json!({ "attempt": attempt, "error_code": "TIMEOUT", "error_message": "Xledger did not answer" });
        self.machine.post(&format!("/sync-logs/{sync}/fail")).json(&body).send().await
    }

    pub async fn retry(&self, sync: Uuid) -> Answer {
        self.admin.post(&format!("/sync-logs/{sync}/retries")).once().send().await
    }

    pub async fn claim(&self, sync: Uuid) -> Answer {
        self.machine.post(&format!("/sync-logs/{sync}/attempts")).send().await
    }

    pub async fn sync(&self, sync: Uuid) -> Value {
        self.admin.get(&format!("/sync-logs/{sync}")).send().await.expect(200)
    }

    pub async fn integration(&self) -> Value {
        self.admin.get(&format!("/integrations/{}", self.integration)).send().await.expect(200)
    }

    /// A sync of which one record arrived and one failed.
    pub async fn half_failed(&self) -> (Uuid, Uuid, Uuid) {
        let sync = self.start(json!({ "records_total": 2 })).await;
        let (good, bad) = (Uuid::now_v7(), Uuid::now_v7());
        self.append(sync, 0, &[record(good, "succeeded"), record(bad, "failed")]).await.expect(200);
        self.succeed(sync, 0).await.expect(200);
        (sync, good, bad)
    }
}

/// An outcome as a runner reports it.
pub fn record(id: Uuid, outcome: &str) -> Value {
    let mut record = json!({
        "source_record_type": CLAIM, "source_record_id": id, "outcome": outcome, "label": "Claim 1043",
        "amount": "1250.00", "currency": "NOK",
    });
    if outcome == "failed" {
        merge(&mut record, json!({ "http_status_code": 422, "errors": [error("Invalid cost center code: 9999")] }));
    }
    record
}

/// An error of a record.
pub fn error(message: &str) -> Value {
    json!({ "code": "INVALID_VALUE", "message": message, "field": "/cost_center", "field_name": "costCenter" })
}

/// As the API writes moments.
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Asserts that an object has these members and no other.
#[track_caller]
pub fn assert_members(object: &Value, members: &[&str]) {
    let found: BTreeSet<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    let expected: BTreeSet<&str> = members.iter().copied().collect();
    assert_eq!(found, expected);
}

/// Asserts that an object has at least these members with these values.
#[track_caller]
pub fn assert_has(object: &Value, expected: &Value) {
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&object[name], value, "{name} in {object}");
    }
}
