//! An organization whose ledger holds a month that is long over, and the program that archives it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use chrono::{DateTime, Datelike as _, Duration, Months, NaiveDate, Utc};
use serde_json::{Value, json};
use server::config::MasterKey;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgPool};
use store::archives::bounds_of;
use tests::client::{Client, items};
use tests::organization::{Organization, connect_external};
use tests::server::{TestServer, program};
use tests::story::until;
use uuid::Uuid;

use crate::rows::insert;

pub const CLAIM: &str = "expense_claims";
/// A record that every old sync tried, and a recent one too.
pub const FOLLOWED: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0042);

pub struct Scene {
    pub server: TestServer,
    pub organization: Organization,
    pub admin: Client,
    pub machine: Client,
    pub integration: Uuid,
    pub superuser: PgPool,
}

impl Scene {
    pub async fn new() -> Self {
        Self::on(TestServer::start().await).await
    }

    pub async fn without_worker() -> Self {
        Self::on(TestServer::without_worker().await).await
    }

    async fn on(server: TestServer) -> Self {
        let organization = server.organization("Forening").await;
        let (admin, machine) = tokio::join!(organization.admin(), organization.machine());
        let integration = connect_external(&admin, json!({ "record_url_template": "https://app.example/{id}" })).await;
        let superuser = server.superuser().await;
        Self { server, organization, admin, machine, integration, superuser }
    }

    /// The first day of the month so many months before the present one.
    pub fn month(&self, ago: u32) -> NaiveDate {
        let today = self.server.clock.now().date_naive();
        today.with_day(1).unwrap().checked_sub_months(Months::new(ago)).unwrap()
    }

    /// Makes the partitions of a month, as its owner made them when it was near.
    pub async fn make_partitions(&self, month: NaiveDate) {
        let (from, to) = bounds_of(month);
        let mut owner = self.superuser.acquire().await.unwrap();
        owner.execute("SET ROLE syncwatch_owner").await.unwrap();
        for parent in ["sync_logs", "sync_attempts", "sync_record_outcomes"] {
            let child = format!("{parent}_{}", month.format("%Y_%m"));
            let made = format!(
                "CREATE TABLE IF NOT EXISTS {child} PARTITION OF {parent} FOR VALUES FROM ('{from}') TO ('{to}')"
            );
            owner.execute(AssertSqlSafe(made)).await.unwrap();
            owner.execute(AssertSqlSafe(format!("ALTER TABLE {child} ENABLE ROW LEVEL SECURITY"))).await.unwrap();
        }
        owner.execute("RESET ROLE").await.unwrap();
    }

    /// Puts syncs into a month, one every seven hours from its beginning on, each with a retry and three records, as they
    /// stand in the database once they are over. Returns their ids, oldest first.
    pub async fn fill(&self, month: NaiveDate, count: u32) -> Vec<Uuid> {
        self.fill_of(&self.organization, self.integration, "accounting_push", month, count).await
    }

    pub async fn fill_of(
        &self,
        organization: &Organization,
        integration: Uuid,
        sync_type: &str,
        month: NaiveDate,
        count: u32,
    ) -> Vec<Uuid> {
        self.make_partitions(month).await;
        let (start, _) = bounds_of(month);
        let mut ids = Vec::new();
        for number in 0..count {
            let at = start + Duration::hours(7 * i64::from(number)) + Duration::milliseconds(123);
            ids.push(self.insert(organization.id, integration, sync_type, at, number).await);
        }
        ids
    }

    /// One sync that is over.
    pub async fn insert(
        &self,
        organization: Uuid,
        integration: Uuid,
        sync_type: &str,
        at: DateTime<Utc>,
        number: u32,
    ) -> Uuid {
        let mut connection = self.superuser.acquire().await.unwrap();
        insert(&mut connection, organization, integration, sync_type, at, number).await
    }

    /// Has everything sealed that is over, as what was in the ledger before there were seals.
    pub async fn enter_for_sealing(&self) {
        sqlx::query(
            "
            INSERT INTO seal_queue (organization_id, sync_id, sync_started_at, attempt_number, backfill)
            SELECT organization_id, sync_id, sync_started_at, attempt_number, true FROM sync_attempts
            ORDER BY sync_started_at, sync_id, attempt_number
            ",
        )
        .execute(&self.superuser)
        .await
        .unwrap();
    }

    /// Has it sealed, and waits until it is.
    pub async fn seal_all(&self) {
        self.enter_for_sealing().await;
        until("everything is sealed", async || {
            let waits: bool =
                sqlx::query_scalar("SELECT EXISTS (SELECT FROM seal_queue)").fetch_one(&self.superuser).await?;
            Ok((!waits).then_some(()))
        })
        .await
        .unwrap();
    }

    /// A connection of the role that archives.
    pub async fn maintenance(&self) -> PgConnection {
        PgConnection::connect(&self.server.database.maintenance_url).await.unwrap()
    }

    /// What the program's comparison of seals and ledger says, and whether all fits.
    pub async fn audit(&self) -> (bool, String) {
        let MasterKey::Given(key) = &self.server.config.master_key else { panic!("tests give their key") };
        let mut command = Command::new(program().unwrap());
        command
            .args(["audit", "verify", "--organization", "Forening"])
            .env("DATABASE_URL", &self.server.database.app_url)
            .env("SYNCWATCH_MIGRATE_DATABASE_URL", &self.server.database.superuser_url)
            .env("SYNCWATCH_MASTER_KEY", key.expose())
            .env("SYNCWATCH_DATA_DIR", &self.server.config.data_dir);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), text)
    }

    /// Where the archive lies.
    pub fn directory(&self) -> PathBuf {
        self.server.config.data_dir.join("archive")
    }

    /// The program as an operator runs it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program().unwrap());
        command
            .arg("archive")
            .args(arguments)
            .current_dir(&self.server.config.data_dir)
            .env("DATABASE_URL", &self.server.database.app_url)
            .env("SYNCWATCH_MAINTENANCE_DATABASE_URL", &self.server.database.maintenance_url)
            .env("SYNCWATCH_DATA_DIR", &self.server.config.data_dir)
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
    }

    /// Runs it to its good end, and returns its last word.
    pub async fn archive(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Whether a month's partitions are in the database.
    pub async fn has_partitions(&self, month: NaiveDate) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND right(relname, 7) = $1 ORDER BY 1",
        )
        .bind(month.format("%Y_%m").to_string())
        .fetch_all(&self.superuser)
        .await
        .unwrap()
    }

    /// The states of everything in the archive, by table.
    pub async fn states(&self) -> Vec<(String, String)> {
        sqlx::query_as("SELECT table_name, state FROM archives ORDER BY organization_id, month, table_name")
            .fetch_all(&self.superuser)
            .await
            .unwrap()
    }

    /// Every file in the archive, by its name within it.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.directory()];
        while let Some(directory) = open.pop() {
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push(path.strip_prefix(self.directory()).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }

    pub async fn get(&self, path: &str) -> Value {
        self.admin.get(path).send().await.expect(200)
    }

    /// A whole list, walked to its end by pages of that size, and back again.
    pub async fn walk(&self, path: &str, limit: usize) -> Vec<Value> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let first = self.get(&format!("{path}{separator}limit={limit}")).await;
        let mut pages = vec![items(&first).to_vec()];
        let mut page = first;
        while let Some(next) = page["next_cursor"].as_str() {
            page = self.get(&format!("{path}{separator}limit={limit}&cursor={next}")).await;
            pages.push(items(&page).to_vec());
        }
        let forwards = pages.concat();
        let mut back = vec![pages.pop().unwrap_or_default()];
        while let Some(previous) = page["prev_cursor"].as_str() {
            page = self.get(&format!("{path}{separator}limit={limit}&cursor={previous}")).await;
            back.push(items(&page).to_vec());
        }
        back.reverse();
        assert_eq!(back.concat(), forwards, "the way back");
        forwards
    }

    /// Everything the API says about syncs, without what is allowed to change: that they lie in the archive, and can
    /// therefore not be retried.
    pub async fn everything(&self, syncs: &[Uuid]) -> Value {
        let mut all = json!({
            "list": self.walk("/sync-logs", 7).await,
            "failed": self.walk("/sync-logs?status=failed,retried_failed", 3).await,
            "of_integration": self.walk(&format!("/sync-logs?integration_config_id={}", self.integration), 50).await,
            "file": self.admin.get("/sync-logs/export").send().await.text().replace(",true\r\n", ",false\r\n"),
            "journey": self.get(&format!("/source-records/{CLAIM}/{FOLLOWED}/journey")).await,
        });
        for sync in syncs {
            let path = format!("/sync-logs/{sync}");
            all[sync.to_string()] = json!({
                "sync": self.machine.get(&path).send().await.expect(200),
                "attempts": self.get(&format!("{path}/attempts")).await,
                "records": self.walk(&format!("{path}/records"), 2).await,
                "failed": self.walk(&format!("{path}/records?outcome=failed"), 50).await,
                "groups": self.get(&format!("{path}/error-groups")).await,
                "file": self.admin.get(&format!("{path}/records/export")).send().await.text(),
            });
        }
        without_place(&mut all);
        all
    }
}

/// Takes `archived` and `retryable` out of everything.
fn without_place(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("archived");
            members.remove("retryable");
            members.values_mut().for_each(without_place);
        }
        Value::Array(items) => items.iter_mut().for_each(without_place),
        _ => {}
    }
}

/// The month's name in files and tables.
pub fn name(month: NaiveDate) -> String {
    format!("{:04}-{:02}", month.year(), month.month())
}
