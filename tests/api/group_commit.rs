//! Callers who record finished syncs at the same time: they share transactions, and nothing else.

use futures::future::{JoinAll, join_all};
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Transaction};
use tests::client::{Answer, id};
use tests::server::TestServer;
use tests::story::until;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::scene::Scene;

/// A scene in which no end of a sync can be written until the integration's health row is let go.
struct Held {
    scene: Scene,
    superuser: PgPool,
    row: Transaction<'static, Postgres>,
}

impl Held {
    async fn new() -> Self {
        let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
        let superuser = scene.server.superuser().await;
        let mut row = superuser.begin().await.unwrap();
        sqlx::query("SELECT FROM integration_health FOR UPDATE").execute(&mut *row).await.unwrap();
        Self { scene, superuser, row }
    }

    fn record(&self, more: Value) -> JoinHandle<Answer> {
        let request = self.scene.machine.post("/sync-logs/finished").json(&self.scene.finished_body(more));
        tokio::spawn(request.send())
    }

    /// A caller whose transaction waits for the row: those who come now go with the next one, unless they are many.
    async fn under_way(&self) -> JoinHandle<Answer> {
        let first = self.record(json!({}));
        self.blocked(1).await;
        first
    }

    /// Waits until so many transactions wait for a row.
    async fn blocked(&self, wanted: i64) {
        until("transactions wait for the row", async || {
            let waits = "SELECT count(*) FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let number: i64 = sqlx::query_scalar(waits).fetch_one(&self.superuser).await?;
            Ok((number == wanted).then_some(()))
        })
        .await
        .unwrap();
    }

    /// Sends these, and waits until all of them wait for a transaction.
    async fn record_together(&self, bodies: &[Value]) -> JoinAll<JoinHandle<Answer>> {
        let sent: Vec<_> = bodies.iter().map(|more| self.record(more.clone())).collect();
        let waiting = || self.scene.server.running.state.group_commit.waiting(self.scene.organization.id);
        until("everybody waits", async || Ok((waiting() == bodies.len()).then_some(()))).await.unwrap();
        join_all(sent)
    }

    /// Ends the transactions that wait for the row, as a restart of the database does, and waits until they are gone.
    async fn terminate(&self) {
        let terminate = "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity
                         WHERE datname = current_database() AND wait_event_type = 'Lock'";
        sqlx::query(terminate).execute(&self.superuser).await.unwrap();
    }
}

const SYNCS: &str = "SELECT count(*) FROM sync_logs";
/// Of how many transactions they are.
const TRANSACTIONS: &str = "SELECT count(DISTINCT xmin::text) FROM sync_logs";

async fn count(superuser: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(superuser).await.unwrap()
}

async fn answers(sent: JoinAll<JoinHandle<Answer>>) -> Vec<Answer> {
    sent.await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn they_share_a_transaction_and_each_has_its_own_answer() {
    let held = Held::new().await;
    let first = held.under_way().await;
    let mut bodies = vec![json!({ "client_run_id": "nightly" }), json!({ "client_run_id": "nightly" })];
    bodies.push(json!({ "status": "pending" }));
    bodies.push(json!({ "integration_config_id": Uuid::now_v7() }));
    bodies.extend((1..=3).map(|number| json!({ "records_total": 40 + number, "records_processed": 40 + number })));
    let sent = held.record_together(&bodies).await;
    held.row.rollback().await.unwrap();
    first.await.unwrap().expect(201);
    let answers = answers(sent).await;
    let mut statuses = [answers[0].status, answers[1].status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201], "the runner's own name stands for one sync");
    assert_eq!(answers[0].json["id"], answers[1].json["id"]);
    let mut answers = answers.into_iter().skip(2);
    let needed = "error_fields_required_on_failure";
    let broken = [("unknown_value", "/status"), (needed, "/error_code"), (needed, "/error_message")];
    answers.next().unwrap().violations(&broken);
    answers.next().unwrap().violations(&[("integration_config_id_must_exist", "/integration_config_id")]);
    for (number, answer) in (1..=3).zip(answers) {
        let sync = answer.expect(201);
        assert_eq!(sync["records_processed"], 40 + number);
        assert_eq!(held.scene.sync(id(&sync)).await, sync, "what was answered is there");
    }
    assert_eq!((count(&held.superuser, SYNCS).await, count(&held.superuser, TRANSACTIONS).await), (5, 2));
}

#[tokio::test]
async fn many_who_wait_get_a_second_transaction() {
    let held = Held::new().await;
    let first = held.under_way().await;
    let many = join_all((0..8).map(|_| held.record(json!({}))));
    held.blocked(2).await;
    let more = held.record_together(&[json!({}), json!({})]).await;
    held.row.rollback().await.unwrap();
    first.await.unwrap().expect(201);
    for answer in answers(many).await.into_iter().chain(answers(more).await) {
        answer.expect(201);
    }
    assert_eq!((count(&held.superuser, SYNCS).await, count(&held.superuser, TRANSACTIONS).await), (11, 3));
}

#[tokio::test]
async fn one_that_the_database_refuses_spoils_no_other() {
    let held = Held::new().await;
    let first = held.under_way().await;
    // Behind the server's clock and ahead of the database's.
    held.scene.server.clock.advance(chrono::Duration::seconds(60));
    let [good, bad] = [(-300, -290), (-1, 0)]
        .map(|(start, end)| json!({ "started_at": held.scene.at(start), "completed_at": held.scene.at(end) }));
    let sent = held.record_together(&[good.clone(), bad, good]).await;
    held.row.rollback().await.unwrap();
    first.await.unwrap().expect(201);
    let [first, refused, second] = <[Answer; 3]>::try_from(answers(sent).await).ok().unwrap();
    refused.problem(503, "clock_skew");
    assert_ne!(id(&first.expect(201)), id(&second.expect(201)));
    assert_eq!(count(&held.superuser, SYNCS).await, 3);
}

#[tokio::test]
async fn when_the_database_goes_away_everybody_is_told_and_the_next_are_served() {
    let held = Held::new().await;
    let first = held.under_way().await;
    let sent = held.record_together(&[json!({}), json!({}), json!({})]).await;
    held.terminate().await;
    first.await.unwrap().problem(503, "unavailable");
    held.blocked(1).await;
    held.terminate().await;
    for answer in answers(sent).await {
        answer.problem(503, "unavailable");
    }
    assert_eq!(count(&held.superuser, SYNCS).await, 0);
    held.row.rollback().await.unwrap();
    held.scene.finished(json!({})).await;
}
