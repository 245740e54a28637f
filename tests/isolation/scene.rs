//! Two organizations in one database, the second with something of everything.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use server::audit::{Signer, make_checkpoint};
use server::worker::seal::seal_all;
use sqlx::PgPool;
use tests::client::{Client, id, items};
use tests::database::dump;
use tests::organization::{Organization, connect_external, merge};
use tests::server::TestServer;
use uuid::Uuid;

pub const CLAIM: &str = "expense_claims";

/// What the second organization has.
pub struct Theirs {
    pub organization: Organization,
    pub integration: Uuid,
    /// Failed, with a failed record.
    pub failed: Uuid,
    pub record: Uuid,
    pub running: Uuid,
    /// Waits to be claimed.
    pub queued: Uuid,
    pub incident: Uuid,
    pub notification: Uuid,
    pub staged: Uuid,
    pub key: Uuid,
}

pub struct Scene {
    pub server: TestServer,
    pub ours: Organization,
    pub admin: Client,
    pub machine: Client,
    pub integration: Uuid,
    pub theirs: Theirs,
    pub superuser: PgPool,
}

impl Scene {
    pub async fn new() -> Self {
        let server = TestServer::without_worker().await;
        let ours = server.organization("Ours").await;
        let (admin, machine) = (ours.admin().await, ours.machine().await);
        let integration = connect_external(&admin, json!({})).await;
        let theirs = theirs(&server).await;
        let superuser = server.superuser().await;
        Self { server, ours, admin, machine, integration, theirs, superuser }
    }

    /// Everything the second organization has.
    pub async fn their_rows(&self) -> BTreeMap<String, Vec<String>> {
        dump(&self.superuser, Some(self.theirs.organization.id)).await
    }
}

/// Of a month long ago, a file in the archive.
async fn archived(server: &TestServer, organization: Uuid) {
    let superuser = server.superuser().await;
    sqlx::query("INSERT INTO archived_months (month, detached_at) VALUES ('2020-01-01', now())")
        .execute(&superuser)
        .await
        .unwrap();
    sqlx::query(
        "
        INSERT INTO archives (
            organization_id, month, table_name, state, location, bytes, sha256, schema_version, rows, checksum,
            retention_class, archived_at
        )
        VALUES ($1, '2020-01-01', 'sync_logs', 'detached', 'x', 1, repeat('0', 64), 1, 0, '0', 'operational', now())
        ",
    )
    .bind(organization)
    .execute(&superuser)
    .await
    .unwrap();
}

/// A system that somebody has sent to.
async fn sent_to(server: &TestServer, organization: Uuid) {
    sqlx::query("INSERT INTO external_systems (organization_id, id, updated_at) VALUES ($1, gen_random_uuid(), now())")
        .bind(organization)
        .execute(&server.superuser().await)
        .await
        .unwrap();
}

async fn theirs(server: &TestServer) -> Theirs {
    let organization = server.organization("Theirs").await;
    let admin = organization.admin().await;
    let (key, _) = organization.key(&["syncs:write"]).await;
    let integration = connect_external(
        &admin,
        json!({ "failure_threshold": 1, "schedule": null, "retry_webhook_url": "https://runner.example/hooks" }),
    )
    .await;
    let post = async |path: String, body: Value| admin.post(&path).once().json(&body).send().await;
    let start = async |more: Value| {
        let mut body = json!({
            "integration_config_id": integration, "connector_type": "xledger", "sync_type": "accounting_push",
            "triggered_by": "automatic",
        });
        merge(&mut body, more);
        id(&post("/sync-logs".to_owned(), body).await.expect(201))
    };
    let job = json!({ "lineage_job": { "namespace": "cron", "name": integration } });
    let settings = admin.patch(&format!("/integrations/{integration}")).header("If-Match", "\"1\"");
    settings.json(&job).send().await.expect(200);
    let staged = Uuid::now_v7();
    let path = format!("/integrations/{integration}/records/{CLAIM}/{staged}");
    admin.put(&path).json(&json!({ "payload": { "cost_center": "1000" } })).send().await.expect(201);
    let failed = start(json!({ "client_run_id": "nightly" })).await;
    let record = Uuid::now_v7();
    let report = json!({ "attempt": 0, "records": [{
        "source_record_type": CLAIM, "source_record_id": record, "outcome": "failed",
        "errors": [{ "code": "INVALID_VALUE", "message": "Invalid cost center code: 9999" }],
    }] });
    post(format!("/sync-logs/{failed}/records"), report).await.expect(200);
    post(format!("/sync-logs/{failed}/succeed"), json!({ "attempt": 0 })).await.expect(200);
    // Its runner is to be told of a retry.
    let retried = start(json!({})).await;
    let failure = json!({ "attempt": 0, "error_code": "TIMEOUT", "error_message": "Xledger did not answer" });
    post(format!("/sync-logs/{retried}/fail"), failure).await.expect(200);
    post(format!("/sync-logs/{retried}/retries"), Value::Null).await.expect(202);
    let running = start(json!({ "source_record_type": CLAIM, "source_record_id": Uuid::now_v7() })).await;
    let queued = start(json!({ "queued": true })).await;
    let state = &server.running.state;
    seal_all(state).await.unwrap();
    let signer = Signer::load(&state.db, &state.vault).await.unwrap();
    make_checkpoint(&state.db, &signer, organization.id, state.clock.now()).await.unwrap();
    archived(server, organization.id).await;
    sent_to(server, organization.id).await;
    let incidents = admin.get("/incidents").send().await.expect(200);
    let notifications = admin.get("/notifications").send().await.expect(200);
    Theirs {
        organization,
        integration,
        failed,
        record,
        running,
        queued,
        incident: id(&items(&incidents)[0]),
        notification: id(&items(&notifications)[0]),
        staged,
        key,
    }
}
