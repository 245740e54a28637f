//! What a case is played on: an integration with its records, the external system, and the two administrators.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tests::story::{Caller, Claim, Reply, id_of};
use uuid::Uuid;

use crate::cluster;
use crate::plan::{Plan, RECORDS};
use crate::proxy::Proxy;
use crate::system::Outside;

/// What is under way: attempts that wait or run, and the records they hold.
const UNDER_WAY: &str = "SELECT (SELECT count(*) FROM active_syncs) + (SELECT count(*) FROM sync_claims)";
/// How long after the last sign of life nothing may be under way any more.
const FREED_WITHIN: Duration = Duration::from_mins(1);
/// How long the database may be away, or the worker busy.
const PATIENCE: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(100);
/// When a system's word that it does not have a record is believed: what it settles within, and two requests' time.
const SETTLED: Duration = Duration::from_secs(8);

/// The stage.
pub struct Stage<'a> {
    /// What is to happen.
    pub plan: &'a Plan,
    /// Those who press Retry.
    pub administrators: [Caller; 2],
    /// The external system, with its log.
    pub outside: Outside,
    /// The way to it.
    pub proxy: Proxy,
    /// The integration.
    pub integration: Uuid,
    /// Its records as they were staged first.
    pub claims: Vec<Claim>,
    sync: Cell<Option<Uuid>>,
    repaired: RefCell<BTreeSet<usize>>,
    database: String,
}

impl<'a> Stage<'a> {
    /// Makes the integration, and stages its records. `database` is a superuser's address.
    pub async fn set(
        plan: &'a Plan,
        administrators: [Caller; 2],
        outside: Outside,
        proxy: Proxy,
        database: String,
    ) -> anyhow::Result<Self> {
        let [admin, _] = &administrators;
        let integration = admin.connect(outside.settings(plan, &proxy), Outside::more(plan)).await?;
        let claims: Vec<Claim> = (0..RECORDS)
            .map(|index| if plan.bad.contains(&index) { Claim::bad(index + 1) } else { Claim::good(index + 1) })
            .collect();
        // A machine that is busy with other cases may keep the database from answering in time.
        for claim in &claims {
            patiently(|| admin.stage(integration, claim)).await?.ok()?;
        }
        let (sync, repaired) = (Cell::default(), RefCell::default());
        Ok(Self { plan, administrators, outside, proxy, integration, claims, sync, repaired, database })
    }

    /// The administrator who does what only one does.
    pub fn admin(&self) -> &Caller {
        &self.administrators[0]
    }

    /// Starts the sync of everything that the case is about.
    pub async fn begin(&self) -> anyhow::Result<()> {
        self.sync.set(Some(self.admin().trigger(self.integration).await?));
        Ok(())
    }

    /// That sync.
    pub fn sync(&self) -> anyhow::Result<Uuid> {
        self.sync.get().context("the sync has not begun")
    }

    /// The sync, once whoever started it knows its number: it may be under way before.
    async fn begun(&self) -> anyhow::Result<Uuid> {
        let deadline = Instant::now() + PATIENCE;
        while self.sync.get().is_none() && Instant::now() < deadline {
            tokio::time::sleep(AGAIN).await;
        }
        self.sync()
    }

    /// Whether the system takes a record as it now stands.
    pub fn is_good(&self, index: usize) -> bool {
        !self.plan.bad.contains(&index) || self.repaired.borrow().contains(&index)
    }

    /// Waits until nothing is under way, in the ledger and to the system; it has a minute from the last sign of life.
    pub async fn quiet(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let under_way = cluster::number(&self.database, UNDER_WAY).await;
            if self.proxy.is_idle() && matches!(under_way, Ok(0)) {
                return Ok(());
            }
            let since = self.proxy.last_sign().max(began).elapsed();
            ensure!(since < FREED_WITHIN, "attempts and claims under way after a minute of silence: {under_way:?}");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits until everything is sealed.
    pub async fn sealed(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while cluster::number(&self.database, "SELECT count(*) FROM seal_queue").await? > 0 {
            ensure!(Instant::now() < deadline, "changes are not sealed");
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    /// Corrects records as the plan says, of those that are not known to have arrived.
    pub async fn correct(&self, open: &BTreeSet<usize>) -> anyhow::Result<()> {
        for index in self.plan.corrected.intersection(open) {
            let claim = self.claims[*index].clone().with("member", "Ola N.").with("cost_center", "1000");
            let reply = patiently(|| self.admin().stage(self.integration, &claim)).await?;
            match (reply.status, reply.code()) {
                (200 | 201, _) => drop(self.repaired.borrow_mut().insert(*index)),
                (409, "already_delivered") => {}
                _ => anyhow::bail!("a correction met {}: {}", reply.status, reply.body),
            }
        }
        Ok(())
    }

    /// Waits until the system's word is believed about every record of unknown fate: no request is on its way any more.
    pub async fn settle(&self) {
        // Nothing happens meanwhile; time passes.
        tokio::time::sleep(SETTLED).await;
    }

    /// Decides about records of unknown fate as a person does who has looked into the system.
    pub async fn decide(&self, unknown: &[Uuid]) -> anyhow::Result<()> {
        let log = self.outside.books.log().await?;
        for id in unknown {
            let decision = match log.reference_of(*id) {
                Some(reference) => {
                    json!({ "resolution": "delivered", "reason": "seen in the books", "reference": reference })
                }
                None => json!({ "resolution": "send_again", "reason": "not in the books" }),
            };
            let sync = self.sync()?;
            let reply = patiently(|| self.admin().resolve(sync, *id, &decision)).await?;
            // An answer may have come late.
            ensure!(matches!(reply.status, 200 | 409), "a decision met {}: {}", reply.status, reply.body);
        }
        Ok(())
    }

    /// Where a person presses Retry: at every sync that failed, since one beside the first may have taken what was left of
    /// it; at the first one where none is seen to have failed.
    async fn to_retry(&self) -> anyhow::Result<Vec<Uuid>> {
        let begun = self.begun().await?;
        // While the database is away nobody sees a list.
        let listed = self.admin().syncs(self.integration).await.unwrap_or_default();
        let failed = |sync: &&Value| matches!(sync["status"].as_str(), Some("failed" | "retried_failed"));
        let failed: Vec<Uuid> = listed.iter().filter(failed).map(id_of).collect::<anyhow::Result<_>>()?;
        Ok(if failed.is_empty() { vec![begun] } else { failed })
    }

    /// Both administrators press Retry at once, and a sync of everything may be asked for beside them. Returns whether
    /// anything came of it.
    pub async fn press(&self, sync_beside: bool) -> anyhow::Result<bool> {
        let [first, second] = &self.administrators;
        let failed = self.to_retry().await?;
        let path = format!("/integrations/{}/syncs", self.integration);
        let beside = async {
            if !sync_beside {
                return Ok(None);
            }
            patiently(|| first.request(Method::POST, &path, None)).await.map(Some)
        };
        let retries = async {
            let mut replies = Vec::new();
            for sync in &failed {
                let (one, other) =
                    tokio::try_join!(patiently(|| first.retry(*sync)), patiently(|| second.retry(*sync)))?;
                replies.extend([one, other]);
            }
            Ok(replies)
        };
        let (mut replies, beside) = tokio::try_join!(retries, beside)?;
        replies.extend(beside);
        let mut began = false;
        for reply in replies {
            match (reply.status, reply.code()) {
                (200..300, _) => began = true,
                (409, "already_active" | "nothing_to_retry") => {}
                _ => anyhow::bail!("a retry or sync that was asked for met {}: {}", reply.status, reply.body),
            }
        }
        Ok(began)
    }
}

/// Asks again while the database is away, which is answered by 503 and by nothing else.
async fn patiently(ask: impl AsyncFn() -> anyhow::Result<Reply>) -> anyhow::Result<Reply> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reply = ask().await?;
        if reply.status != 503 {
            return Ok(reply);
        }
        ensure!(Instant::now() < deadline, "the database is away for too long: {}", reply.body);
        tokio::time::sleep(AGAIN).await;
    }
}
