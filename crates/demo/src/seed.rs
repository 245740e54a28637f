//! Fills an organization through the API: three integrations, their history, and syncs that really run.
//!
//! It looks before it writes: what an earlier run made is found and left alone, corrections made since included. Only
//! the peers' addresses are brought up to date, since their ports may change between starts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::client::{Api, Call, SignIn};
use crate::clock;
use crate::source_app::records::Records;

mod claims;
mod enrolments;
mod history;
mod members;
mod plan;
mod state;

use plan::{Peers, Plan, Round};
use state::State;

/// How long a sync may take.
const SYNC_DEADLINE: Duration = Duration::from_mins(2);
/// Between two looks at a sync.
const POLL: Duration = Duration::from_millis(200);

/// What the seeding needs to know.
#[derive(clap::Args)]
pub struct Arguments {
    /// Syncwatch's address, for example <http://127.0.0.1:8080>
    #[arg(long)]
    server: String,
    /// The accounting service's address, as it printed it
    #[arg(long)]
    accounting: String,
    /// The source app's address, as it printed it
    #[arg(long)]
    source_app_base: String,
    /// Directory for `records.json` (the source app's data) and `seed.json` (what was done)
    #[arg(long)]
    state_dir: PathBuf,
    /// The organization's administrator
    #[arg(long)]
    admin_email: String,
    /// The administrator's password
    #[arg(long, env = "SYNCWATCH_DEMO_ADMIN_PASSWORD", hide_env_values = true)]
    admin_password: String,
    /// JSON file with a machine's `client_id` and `client_secret` (scope records:write); with it records are staged as
    /// an organization's own app would stage them, not as the administrator
    #[arg(long)]
    key_file: Option<PathBuf>,
    /// The bearer token of the accounting service
    #[arg(
        long,
        env = "SYNCWATCH_DEMO_ACCOUNTING_TOKEN",
        default_value = crate::accounting::DEFAULT_TOKEN,
        hide_env_values = true
    )]
    accounting_token: String,
}

/// Seeds, and prints one line of JSON with the integrations.
pub fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(seed(arguments))?;
    println!("{summary}");
    Ok(())
}

async fn seed(arguments: &Arguments) -> Result<Value> {
    std::fs::create_dir_all(&arguments.state_dir)
        .with_context(|| format!("{} cannot be made", arguments.state_dir.display()))?;
    let person = SignIn::Person { email: arguments.admin_email.clone(), password: arguments.admin_password.clone() };
    let admin = Api::new(&arguments.server, person)?;
    let machine = match &arguments.key_file {
        Some(file) => Some(Api::new(&arguments.server, SignIn::from_key_file(file)?)?),
        None => None,
    };
    let mut seeder = Seeder {
        admin,
        machine,
        records_file: arguments.state_dir.join("records.json"),
        state: State::load(&arguments.state_dir.join("seed.json"), clock::now().date_naive())?,
    };
    let peers = Peers {
        accounting: arguments.accounting.trim_end_matches('/').to_owned(),
        token: arguments.accounting_token.clone(),
        source_app: arguments.source_app_base.trim_end_matches('/').to_owned(),
    };
    if !seeder.knows_any().await? {
        // The directory may be older than the database.
        seeder.state.begin_anew(clock::now().date_naive())?;
    }
    let plans = plan::all(seeder.state.anchor());
    let mut fresh = false;
    for plan in &plans {
        eprintln!("{}: looking", plan.name);
        let integration = seeder.integration(plan, &peers).await?;
        seeder.records(plan, integration)?;
        seeder.history(plan, integration).await?;
        fresh |= seeder.rounds(plan, integration).await?;
    }
    seeder.summary(&plans, fresh).await
}

struct Seeder {
    admin: Api,
    /// Stages records, where there is a key.
    machine: Option<Api>,
    records_file: PathBuf,
    state: State,
}

impl Seeder {
    /// Whether the organization has any integration of the demonstration.
    async fn knows_any(&self) -> Result<bool> {
        let known = self.integrations().await?;
        let names = plan::all(self.state.anchor()).map(|plan| plan.name);
        Ok(known.iter().filter_map(|item| item.get("name").and_then(Value::as_str)).any(|name| names.contains(&name)))
    }

    /// Finds the integration by its name or creates it.
    async fn integration(&self, plan: &Plan, peers: &Peers) -> Result<Uuid> {
        let known = self.integrations().await?;
        let named = |item: &&Value| item.get("name").and_then(Value::as_str) == Some(plan.name);
        if let Some(found) = known.iter().find(named) {
            let id = uuid_of(found, "id")?;
            self.update_addresses(plan, peers, id).await?;
            return Ok(id);
        }
        eprintln!("{}: creating the integration", plan.name);
        let body = plan.creation(peers);
        let created = self.admin.call(Call::new(Method::POST, "/integrations").body(&body)).await?;
        uuid_of(&created.body, "id")
    }

    /// Points an integration of an earlier run to where the peers are now.
    async fn update_addresses(&self, plan: &Plan, peers: &Peers, id: Uuid) -> Result<()> {
        let path = format!("/integrations/{id}");
        let found = self.admin.call(Call::get(&path)).await?;
        let wanted = plan.creation(peers);
        let differs = |pointer| found.body.pointer(pointer) != wanted.pointer(pointer);
        if !differs("/settings/url") && !differs("/settings/health_url") && !differs("/record_url_template") {
            return Ok(());
        }
        eprintln!("{}: the peers have moved, updating their addresses", plan.name);
        let mut settings = found.body.get("settings").cloned().unwrap_or_else(|| json!({}));
        for member in ["url", "health_url"] {
            settings[member] = wanted["settings"][member].clone();
        }
        let changes = json!({
            "settings": settings,
            "credentials": wanted["credentials"],
            "record_url_template": wanted["record_url_template"],
        });
        self.admin.call(Call::new(Method::PATCH, &path).body(&changes).if_match(found.etag.as_deref())).await?;
        Ok(())
    }

    async fn integrations(&self) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let query = cursor.take().map(|cursor| ("cursor", cursor)).into_iter().collect();
            let mut page = self.admin.call(Call::get("/integrations").query(query)).await?.body;
            let Some(Value::Array(found)) = page.get_mut("items").map(Value::take) else {
                bail!("GET /integrations: the answer has no items");
            };
            items.extend(found);
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    /// Gives the source app its records, unless it has them already: people may have corrected some.
    fn records(&self, plan: &Plan, integration: Uuid) -> Result<()> {
        let mut kept = Records::read(&self.records_file)?;
        if kept.collections.iter().any(|collection| collection.integration_id == integration) {
            return Ok(());
        }
        kept.collections.retain(|collection| collection.path != plan.path);
        kept.collections.push(plan.collection(integration));
        kept.write(&self.records_file)
    }

    /// Imports six weeks that went before.
    async fn history(&mut self, plan: &Plan, integration: Uuid) -> Result<()> {
        if self.state.imported(integration) || self.has_history(integration).await? {
            return Ok(());
        }
        let items = history::items(plan, integration, self.state.anchor());
        eprintln!("{}: importing {} syncs", plan.name, items.len());
        let (body, key) = (json!({ "items": items }), format!("demonstration-history-{integration}"));
        let import = Call::new(Method::POST, "/sync-logs/import").body(&body).idempotency_key(&key);
        let answer = self.admin.call(import).await?;
        let results = answer.body.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let refused: Vec<_> = results
            .iter()
            .filter(|item| !matches!(item.get("status").and_then(Value::as_u64), Some(200..=299)))
            .collect();
        if results.len() != items.len() || !refused.is_empty() {
            let shown: Vec<_> = refused.iter().take(3).map(ToString::to_string).collect();
            bail!(
                "POST /sync-logs/import: {} items sent, {} results, {} refused\n  {}",
                items.len(),
                results.len(),
                refused.len(),
                shown.join("\n  ")
            );
        }
        self.state.note_import(integration)
    }

    /// Whether the ledger has syncs that are older than any that this seeding runs.
    async fn has_history(&self, integration: Uuid) -> Result<bool> {
        let before = self.state.anchor() - chrono::Days::new(3);
        let query = vec![
            ("integration_config_id", integration.to_string()),
            ("to", format!("{before}T00:00:00Z")),
            ("limit", "1".to_owned()),
        ];
        let page = self.admin.call(Call::get("/sync-logs").query(query)).await?.body;
        Ok(page.get("items").and_then(Value::as_array).is_some_and(|items| !items.is_empty()))
    }

    /// Runs the syncs that have not been run yet; whether there were any.
    async fn rounds(&self, plan: &Plan, integration: Uuid) -> Result<bool> {
        let query = vec![
            ("integration_config_id", integration.to_string()),
            ("triggered_by", "manual".to_owned()),
            ("limit", "200".to_owned()),
        ];
        let page = self.admin.call(Call::get("/sync-logs").query(query)).await?.body;
        let run = page.get("items").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for sync in run.iter().filter(|sync| !is_terminal(sync)) {
            self.finished(uuid_of(sync, "id")?).await?;
        }
        for (number, round) in plan.rounds.iter().enumerate().skip(run.len()) {
            let total = round.records.len();
            eprintln!("{}: sync {} of {}, staging {total} records", plan.name, number + 1, plan.rounds.len());
            self.stage(plan, integration, round).await?;
            let sync = self.triggered(integration).await?;
            let sync = self.finished(sync).await?;
            round.expected.check(plan.name, &sync)?;
        }
        Ok(run.len() < plan.rounds.len())
    }

    async fn stage(&self, plan: &Plan, integration: Uuid, round: &Round) -> Result<()> {
        let api = self.machine.as_ref().unwrap_or(&self.admin);
        for record in &round.records {
            let path = format!("/integrations/{integration}/records/{}/{}", plan.record_type, record.id);
            let body = record.staging_body();
            api.call(Call::new(Method::PUT, &path).body(&body)).await?;
        }
        Ok(())
    }

    /// Starts a sync of everything that is due, or joins the one that is under way.
    async fn triggered(&self, integration: Uuid) -> Result<Uuid> {
        let (path, body) = (format!("/integrations/{integration}/syncs"), json!({}));
        match self.admin.call(Call::new(Method::POST, &path).body(&body)).await {
            Ok(answer) => uuid_of(&answer.body, "id"),
            Err(refusal) if refusal.code() == Some("already_active") => {
                let active = refusal.member("sync_id").and_then(|id| id.parse().ok());
                active.ok_or_else(|| refusal.into())
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn finished(&self, sync: Uuid) -> Result<Value> {
        let (path, started) = (format!("/sync-logs/{sync}"), Instant::now());
        loop {
            let found = self.admin.call(Call::get(&path)).await?.body;
            if is_terminal(&found) {
                return Ok(found);
            }
            if started.elapsed() > SYNC_DEADLINE {
                bail!("the sync {sync} did not end within {} s; is a worker running? {found}", SYNC_DEADLINE.as_secs());
            }
            sleep(POLL).await;
        }
    }

    /// The integrations and their lights; on a first run the lights must be the planned ones.
    async fn summary(&self, plans: &[Plan], fresh: bool) -> Result<Value> {
        let mut shown = Vec::new();
        let known = self.integrations().await?;
        for plan in plans {
            let named = |item: &&Value| item.get("name").and_then(Value::as_str) == Some(plan.name);
            let item = known.iter().find(named).with_context(|| format!("{} has vanished", plan.name))?;
            let light = item.pointer("/health/light").and_then(Value::as_str).unwrap_or("none");
            if fresh && light != plan.light {
                bail!("{} should be {}, and is {light}: {item}", plan.name, plan.light);
            }
            shown.push(json!({ "id": item.get("id"), "name": plan.name, "light": light, "path": plan.path }));
        }
        Ok(json!({ "integrations": shown, "first_run": fresh }))
    }
}

fn is_terminal(sync: &Value) -> bool {
    let status = sync.get("status").and_then(Value::as_str);
    matches!(status, Some("success" | "failed" | "retried_success" | "retried_failed"))
}

fn uuid_of(body: &Value, member: &str) -> Result<Uuid> {
    let text = body.get(member).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).with_context(|| format!("no {member} in {body}"))
}

#[cfg(test)]
mod tests;
