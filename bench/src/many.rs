//! Many integrations that sync at once on one worker, some of them with systems that never answer: what it holds in
//! memory, and how long a sync waits until it may begin.

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::client::Client;
use crate::figure::Figure;
use crate::installation::Installation;
use crate::memory;
use crate::peer::{Manner, Peer};
use crate::records;

const ORGANIZATIONS: usize = 10;
/// Integrations of each; the first one's system never answers.
const INTEGRATIONS: usize = 5;
/// Requests at once of each.
const CONCURRENCY: usize = 4;
/// How long the systems that answer take over a record.
const SERVICE_MS: u64 = 10;
/// How long an answer is waited for: longer than all others need to the end.
const TIMEOUT_MS: u32 = 60_000;
/// Records of each that are sent beforehand.
const WARM_UP: usize = 20;
/// Most seconds that a sync may wait for a free slot.
const LONGEST_WAIT: f64 = 1.0;
/// From when a sync was asked for until a worker took it.
const WAITED: &str = "
    SELECT extract(epoch FROM max(attempt.started_at - sync.started_at))::float8, count(*)
    FROM sync_logs AS sync
    JOIN sync_attempts AS attempt ON attempt.organization_id = sync.organization_id
        AND attempt.sync_started_at = sync.started_at AND attempt.sync_id = sync.id AND attempt.attempt_number = 0
    WHERE sync.id = ANY ($1)
";

/// An integration.
struct Side {
    client: Client,
    integration: Uuid,
    answers: bool,
}

/// Lets all sync at once, and waits for those whose systems answer.
pub async fn measure(installation: &Installation, quick: bool) -> Result<Vec<Figure>> {
    // What answers and what does not are two systems: one that hangs is left alone by everybody.
    let (peer, silent) = (Peer::start().await?, Peer::start().await?);
    let figures = with_peers(installation, &peer, &silent, if quick { 20 } else { 200 }).await;
    peer.stop().await?;
    silent.stop().await?;
    figures
}

async fn with_peers(installation: &Installation, peer: &Peer, silent: &Peer, number: usize) -> Result<Vec<Figure>> {
    let sides = connect(installation, peer, silent).await?;
    let all = sides.len();
    // Those that hang are there before the others.
    let (silent, answering): (Vec<&Side>, Vec<&Side>) = sides.iter().partition(|side| !side.answers);
    let mut owner = installation.owner().await?;
    // A connection's first statements take their time, whatever they are for.
    sync_all(&answering, peer, WARM_UP).await?;
    let alone = longest_wait(&mut owner, &sync_all(&answering, peer, number).await?).await?;
    let server = installation.pid()?;
    memory::forget_peak(server)?;
    for side in &silent {
        records::stage(&side.client, side.integration, number).await?;
    }
    let mut syncs = start(&silent).await?;
    syncs.extend(sync_all(&answering, peer, number).await?);
    for (side, sync) in silent.iter().zip(&syncs) {
        let hangs = side.client.get(&format!("/api/v1/sync-logs/{sync}")).await?.expect(200)?.json()?;
        ensure!(hangs["status"] == "in_progress", "a system that never answers held nobody: {hangs}");
    }
    let usage = memory::usage(server)?;
    let waited = longest_wait(&mut owner, &syncs).await?;

    let hang = format!("{} of them hang", silent.len());
    let memory = Figure {
        name: format!("server's memory with {all} integrations syncing at once, without PostgreSQL"),
        measured: format!("{} MB at most, {hang}", usage.peak / 1_000_000),
        baseline: String::new(),
        ratio: None,
        samples: format!("{all} × {number} records"),
        bound: format!("≤ {} MB", memory::BOUND / 1_000_000),
        holds: usage.peak <= memory::BOUND,
    };
    let wait = Figure {
        name: format!("longest wait of those {all} for a slot, in {ORGANIZATIONS} organizations"),
        measured: format!("{waited:.2} s, {hang}"),
        baseline: format!("{alone:.2} s of {} where none hangs", answering.len()),
        ratio: Some(waited / alone.max(f64::EPSILON)),
        samples: format!("{all} syncs"),
        bound: format!("≤ {LONGEST_WAIT} s"),
        holds: waited <= LONGEST_WAIT,
    };
    Ok(vec![memory.tell(), wait.tell()])
}

/// Lets all sync so many records each, all at once, to the end.
async fn sync_all(sides: &[&Side], peer: &Peer, number: usize) -> Result<Vec<Uuid>> {
    for side in sides {
        records::stage(&side.client, side.integration, number).await?;
    }
    peer.reset(Manner { accepting: true, service_ms: SERVICE_MS }).await?;
    let syncs = start(sides).await?;
    for (side, sync) in sides.iter().zip(&syncs) {
        let ended = records::ended(&side.client, *sync).await?;
        ensure!(ended["status"] == "success" && ended["records_processed"] == number, "not all arrived: {ended}");
    }
    let log = peer.log().await?;
    ensure!((log.accepted, log.twice) == (sides.len() * number, 0), "the peer's own log says otherwise: {log:?}");
    Ok(syncs)
}

/// The longest that one of them waited for a worker, in seconds.
async fn longest_wait(owner: &mut PgConnection, syncs: &[Uuid]) -> Result<f64> {
    let (waited, begun): (f64, i64) = sqlx::query_as(WAITED).bind(syncs).fetch_one(owner).await?;
    ensure!(usize::try_from(begun)? == syncs.len(), "{begun} of {} syncs have begun", syncs.len());
    Ok(waited)
}

/// Makes the integrations, with nothing to send yet.
async fn connect(installation: &Installation, peer: &Peer, silent: &Peer) -> Result<Vec<Side>> {
    let mut sides = Vec::with_capacity(ORGANIZATIONS * INTEGRATIONS);
    for organization in 0..ORGANIZATIONS {
        let client = installation.organization(&format!("Many {organization}")).await?;
        let client = client.administrator(installation).await?;
        for place in 0..INTEGRATIONS {
            let answers = place > 0;
            let url = if answers { &peer.records_url } else { &silent.silent_url };
            let name = format!("System {place}");
            let integration = records::connect(&client, &name, url, CONCURRENCY, TIMEOUT_MS).await?;
            sides.push(Side { client: client.clone(), integration, answers });
        }
    }
    Ok(sides)
}

/// Starts a sync of each, all at once; in their order.
async fn start(sides: &[&Side]) -> Result<Vec<Uuid>> {
    let number = sides.len().max(1);
    stream::iter(sides).map(|side| records::sync(&side.client, side.integration)).buffered(number).try_collect().await
}
