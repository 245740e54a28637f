//! An organization with something of everything that operations ask about.

use serde_json::{Value, json};
use tests::client::{Client, id, items};
use tests::organization::{ALL_SCOPES, Organization, PASSWORD, connect_external, external_integration, merge};
use tests::server::TestServer;
use uuid::Uuid;

/// The type of the records.
const CLAIM: &str = "expense_claims";
/// Syncs of each kind, so that generated requests use none of them up too soon.
const EACH: usize = 30;
/// Nobody listens on the discard port.
const CLOSED: &str = "http://127.0.0.1:9/vouchers";

/// Who sends the generated requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A person who administers the organization.
    Admin,
    /// A machine with every scope.
    Machine,
}

impl Caller {
    /// The word that the requests' hooks go by.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Machine => "machine",
        }
    }

    /// The security scheme of the description that stands for it.
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Admin => "person",
            Self::Machine => "machine",
        }
    }
}

/// What the hooks are told, and the caller's token.
pub struct Scene {
    pub told: Value,
    pub token: String,
}

impl Scene {
    pub async fn of(server: &TestServer, caller: Caller) -> Self {
        let organization = server.organization("Contract").await;
        let (admin, machine) = (organization.admin().await, organization.machine().await);
        let told = told(&organization, &admin, &machine, caller).await;
        let token = match caller {
            Caller::Admin => admin.token().to_owned(),
            Caller::Machine => machine.token().to_owned(),
        };
        Self { told, token }
    }
}

async fn told(organization: &Organization, admin: &Client, machine: &Client, caller: Caller) -> Value {
    let integration = connect_external(admin, json!({ "failure_threshold": 1, "schedule": null })).await;
    let lineage_job = json!({ "namespace": "cron", "name": "payroll.nightly" });
    connect_external(admin, json!({ "lineage_job": lineage_job })).await;
    let managed = external_integration(json!({
        "connector_type": "generic_http", "runner": "managed", "settings": { "url": CLOSED },
    }));
    let managed = id(&admin.post("/integrations").json(&managed).send().await.expect(201));
    let (mut failed, mut running, mut waiting, mut records) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..EACH {
        let (sync, record) = fail(machine, integration).await;
        failed.push(sync);
        let path = format!("/integrations/{integration}/records/{CLAIM}/{record}");
        admin.put(&path).json(&json!({ "payload": { "cost_center": "1000" } })).send().await.expect(200);
        records.push(json!([sync, integration, CLAIM, record]));
        running.push(start(machine, integration, json!({ "lease_seconds": 86_400 })).await);
        waiting.push(start(machine, integration, json!({ "queued": true })).await);
    }
    let list =
        async |path: &str| -> Vec<Uuid> { items(&admin.get(path).send().await.expect(200)).iter().map(id).collect() };
    let (key, secret) = organization.key(ALL_SCOPES).await;
    let syncs = [failed.as_slice(), running.as_slice()].concat();
    json!({
        "role": caller.word(),
        "connector_type": "xledger",
        "closed_address": CLOSED,
        "lineage_job": lineage_job,
        "pools": {
            "integration": [integration], "managed": [managed], "failed": failed, "running": running,
            "waiting": waiting, "sync": syncs,
            "incident": list("/incidents").await, "notification": list("/notifications").await,
        },
        "records": records,
        "login": { "email": organization.address("org_admin"), "password": PASSWORD },
        "key": { "client_id": key, "client_secret": secret },
    })
}

async fn start(machine: &Client, integration: Uuid, more: Value) -> Uuid {
    let mut body = json!({
        "integration_config_id": integration, "connector_type": "xledger", "sync_type": "accounting_push",
        "triggered_by": "automatic",
    });
    merge(&mut body, more);
    id(&machine.post("/sync-logs").json(&body).send().await.expect(201))
}

/// A sync that failed, and its one record.
async fn fail(machine: &Client, integration: Uuid) -> (Uuid, Uuid) {
    let (sync, record) = (start(machine, integration, json!({})).await, Uuid::now_v7());
    let report = json!({ "attempt": 0, "records": [{
        "source_record_type": CLAIM, "source_record_id": record, "outcome": "failed",
        "errors": [{ "code": "INVALID_VALUE", "message": "Invalid cost center code: 9999" }],
    }] });
    machine.post(&format!("/sync-logs/{sync}/records")).json(&report).send().await.expect(200);
    machine.post(&format!("/sync-logs/{sync}/succeed")).json(&json!({ "attempt": 0 })).send().await.expect(200);
    (sync, record)
}
