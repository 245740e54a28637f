//! What must hold, by the ledger's word and the external system's own log.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tests::peers::BooksLog;
use tests::story::{counts, id_of};
use uuid::Uuid;

use crate::plan::RECORDS;
use crate::stage::Stage;

/// How long what is shown may lag behind what came late: answers that were waiting for the database.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);
const AGAIN: Duration = Duration::from_millis(200);
/// Complaints that are told; the others are like them.
const TOLD: usize = 10;

/// Where each record stands, as the sync's page shows it.
pub struct Shown(HashMap<Uuid, Record>);

struct Record {
    outcome: String,
    state: String,
}

impl Record {
    fn is_counted_as_delivered(&self) -> bool {
        matches!(self.outcome.as_str(), "succeeded" | "warning")
    }
}

impl Shown {
    fn of(outcomes: &[Value]) -> anyhow::Result<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let record = |outcome: &Value| {
            let id: Uuid = text(&outcome["source_record_id"]).parse()?;
            anyhow::Ok((id, Record { outcome: text(&outcome["outcome"]), state: text(&outcome["state"]) }))
        };
        Ok(Self(outcomes.iter().map(record).collect::<anyhow::Result<_>>()?))
    }

    fn state(&self, id: Uuid) -> &str {
        self.0.get(&id).map_or("not shown", |record| &record.state)
    }

    /// Whether a record is said to have arrived.
    pub fn is_delivered(&self, stage: &Stage<'_>, index: usize) -> bool {
        self.state(stage.claims[index].id) == "delivered"
    }

    /// Records of unknown fate.
    pub fn unknown(&self) -> Vec<Uuid> {
        self.0.iter().filter(|(_, record)| record.state == "unknown").map(|(id, _)| *id).collect()
    }

    /// Records that are still to arrive, or still to be refused.
    pub fn open<'a>(&'a self, stage: &'a Stage<'_>) -> impl Iterator<Item = usize> + use<'a> {
        stage.claims.iter().enumerate().filter_map(|(index, claim)| {
            let settled = match self.state(claim.id) {
                "delivered" => true,
                "failed" | "unknown" => !stage.is_good(index),
                _ => false,
            };
            (!settled).then_some(index)
        })
    }

    fn number(&self, wanted: impl Fn(&Record) -> bool) -> usize {
        self.0.values().filter(|record| wanted(record)).count()
    }
}

/// While the case goes on and nothing is under way: each record is in the books once and shown as delivered, or it is shown
/// as something else, and what is certain is true.
pub async fn between(stage: &Stage<'_>) -> anyhow::Result<Shown> {
    settled(async || {
        let mut found = Vec::new();
        let (_, shown) = look(stage, &mut found).await?;
        Ok((found, shown))
    })
    .await
}

/// At the end: everything has arrived once, but for what the system refuses; nothing is left of the plan.
pub async fn at_the_end(stage: &Stage<'_>) -> anyhow::Result<()> {
    settled(async || {
        let mut found = Vec::new();
        let (log, shown) = look(stage, &mut found).await?;
        for (index, claim) in stage.claims.iter().enumerate() {
            let (standing, times, good) = (shown.state(claim.id), log.times(claim.id), stage.is_good(index));
            let right = match standing {
                "delivered" => good && times == 1,
                "failed" | "unknown" => !good && times == 0,
                _ => false,
            };
            if !right {
                found.push(format!("record {index} (good: {good}) ends {standing}, booked {times} times"));
            }
        }
        let delivered = shown.number(|record| record.state == "delivered");
        if (log.accepted, log.duplicates) != (delivered, 0) {
            found.push(format!("{delivered} are delivered, booked {}, {} again", log.accepted, log.duplicates));
        }
        let undelivered = stage.admin().integration(stage.integration).await?["undelivered"]["records"].clone();
        if undelivered != RECORDS - delivered {
            found.push(format!("{delivered} of {RECORDS} are delivered, and {undelivered} are said not to be"));
        }
        Ok((found, ()))
    })
    .await?;
    let left = stage.proxy.left();
    ensure!(left.is_empty(), "{} requests came, too few for {left:?}", stage.proxy.requests());
    stage.sealed().await
}

/// Looks again until there is nothing to complain of: what is read page by page may change meanwhile.
async fn settled<T>(mut look: impl AsyncFnMut() -> anyhow::Result<(Vec<String>, T)>) -> anyhow::Result<T> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        let looked = look().await;
        if let Ok((found, value)) = looked {
            if found.is_empty() {
                return Ok(value);
            }
            if Instant::now() > deadline {
                bail!("{} complaints:\n  {}", found.len(), found[..found.len().min(TOLD)].join("\n  "));
            }
        } else if Instant::now() > deadline {
            return looked.map(|(_, value)| value);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What always holds.
async fn look(stage: &Stage<'_>, found: &mut Vec<String>) -> anyhow::Result<(BooksLog, Shown)> {
    let log = stage.outside.books.log().await?;
    let sync = stage.sync()?;
    let shown = Shown::of(&stage.admin().outcomes(sync).await?)?;
    for (index, claim) in stage.claims.iter().enumerate() {
        let times = log.times(claim.id);
        let Some(record) = shown.0.get(&claim.id) else {
            found.push(format!("record {index} is not shown"));
            continue;
        };
        let wrong = match record.state.as_str() {
            _ if times > 1 => true,
            "delivered" => times == 0,
            "unknown" => false,
            "failed" | "staged" => times == 1,
            _ => true,
        };
        if wrong || (record.is_counted_as_delivered() && times == 0) {
            let Record { outcome, state } = record;
            found.push(format!("record {index} is booked {times} times and shown as {state}, in the sync {outcome}"));
        }
    }
    for listed in stage.admin().syncs(stage.integration).await? {
        let id = id_of(&listed)?;
        let shown = Shown::of(&stage.admin().outcomes(id).await?)?;
        found.extend(miscounted(stage, id, &shown).await.with_context(|| format!("the counts of sync {id}"))?);
    }
    Ok((log, shown))
}

/// Counts of a sync and of its attempts that are not those of its records.
async fn miscounted(stage: &Stage<'_>, id: Uuid, shown: &Shown) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let sync = stage.admin().sync(id).await?;
    let numbers = [
        shown.0.len(),
        shown.number(Record::is_counted_as_delivered),
        shown.number(|record| record.outcome == "failed"),
    ];
    let [total, delivered, failed] = numbers.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    if counts(&sync) != (total, delivered, failed) {
        found.push(format!("sync {id} says {:?}, its records {:?}", counts(&sync), (total, delivered, failed)));
    }
    for attempt in stage.admin().attempts(id).await? {
        let number = |name: &str| attempt[format!("records_{name}")].as_i64();
        let parts = ["processed", "failed", "skipped", "unknown", "not_attempted"];
        let sum = parts.iter().map(|name| number(name)).sum::<Option<i64>>();
        if number("total").is_none() || number("total") != sum {
            found.push(format!("the counts of an attempt of sync {id} do not add up: {attempt}"));
        }
    }
    Ok(found)
}
