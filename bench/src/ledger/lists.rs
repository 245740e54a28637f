//! Lists of syncs: the latest ones, one that finds nothing, pages far down, and every filter.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chrono::TimeDelta;

use super::reports::rows;
use super::{Rounds, Side};
use crate::client::Client;
use crate::figure::{Figure, median, quantile};
use crate::load::rate;
use crate::moment::ago;
use crate::pgbench::{self, Load};
use crate::reporting::{CLIENTS, WARM_UP};
use crate::statements;

/// Least share of pgbench's rate.
const LATEST_BOUND: f64 = 0.4;
/// Least share of the small ledger's rate.
const FLAT: f64 = 0.9;
/// Most times the first page's 99th percentile.
const PAGES_BOUND: f64 = 1.2;
/// Most milliseconds, 99th percentile.
const FILTER_BOUND: f64 = 20.0;
/// The page that is far down, in pages of 50.
const FAR: usize = 10_000;
/// The longest pages, to get there.
const STRIDE: usize = 200;
/// The server's connections: each of them plans a statement when it first runs it, which happens once in its life.
const CONNECTIONS: usize = 20;
/// Longest time for one filter.
const PATIENCE: Duration = Duration::from_secs(10);

/// The latest 50 with every column, beside the same SELECT under the same policy by pgbench.
pub(super) async fn latest(side: &Side<'_>, pgbench: &Path, rounds: Rounds) -> Result<Figure> {
    let large = &side.ledger.large;
    let client = side.client().await?;
    let path = "/api/v1/sync-logs?limit=50";
    let read = async { client.get(path).await?.expect(200).map(drop) };
    let select = statements::select_of(side.server, "sync_logs", read).await?;
    ensure!(select.matches('$').count() == 2, "the list's statement takes other parameters than expected: {select}");
    let select = select.replace("$1", &format!("'{}'", large.id)).replace("$2", "51");
    let script = format!("BEGIN;\nSELECT set_config('app.org_id', '{}', true);\n{};\nROLLBACK;\n", large.id, select);
    let (mut through_http, mut by_pgbench) = (Vec::new(), Vec::new());
    lists(&client, path, WARM_UP).await?;
    for _ in 0..rounds.number {
        through_http.push(lists(&client, path, rounds.seconds).await?);
        let load = Load { clients: CLIENTS, seconds: rounds.seconds, organization: None, generic: false };
        by_pgbench.push(pgbench::run(pgbench, &side.server.app_url, &script, load).await?);
    }
    let (rate, baseline) = (median(&through_http), median(&by_pgbench));
    let figure = Figure {
        name: format!("listSyncs, latest 50 of {}, {CLIENTS} clients, {}", large.rows, rows(side)),
        measured: format!("{rate:.0}/s through HTTP"),
        baseline: format!("{baseline:.0}/s by pgbench, the same SELECT and policy"),
        ratio: Some(rate / baseline),
        samples: rounds.samples(),
        bound: format!("≥ {LATEST_BOUND}"),
        holds: rate / baseline >= LATEST_BOUND,
    };
    Ok(figure.tell())
}

/// Failed syncs of an organization that has none, with few and with many syncs.
pub(super) async fn nothing(large: &Side<'_>, small: &Side<'_>, rounds: Rounds) -> Result<Figure> {
    let path = "/api/v1/sync-logs?status=failed";
    let mut rates = [Vec::new(), Vec::new()];
    let clients = [large.client().await?, small.client().await?];
    for client in &clients {
        let none = client.get(path).await?.expect(200)?.json()?;
        ensure!(none["items"].as_array().is_some_and(Vec::is_empty), "something failed in the large organization");
        lists(client, path, WARM_UP).await?;
    }
    for round in 0..rounds.number {
        for place in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            rates[place].push(lists(&clients[place], path, rounds.seconds).await?);
        }
    }
    let (rate, before) = (median(&rates[0]), median(&rates[1]));
    let figure = Figure {
        name: format!("listSyncs, failed only, of an organization with none, {} beside {}", rows(large), rows(small)),
        measured: format!("{rate:.0}/s among {} of its own", large.ledger.large.rows),
        baseline: format!("{before:.0}/s among {}", small.ledger.large.rows),
        ratio: Some(rate / before),
        samples: rounds.samples(),
        bound: format!("≥ {FLAT}"),
        holds: rate / before >= FLAT,
    };
    Ok(figure.tell())
}

async fn lists(client: &Client, path: &str, seconds: usize) -> Result<f64> {
    let (client, path) = (client.clone(), path.to_owned());
    rate(CLIENTS, seconds, move |_| {
        let (client, path) = (client.clone(), path.clone());
        async move { client.get(&path).await?.expect(200).map(drop) }
    })
    .await
}

/// The first page beside one far down, by one caller.
pub(super) async fn pages(side: &Side<'_>, quick: bool) -> Result<Figure> {
    let client = side.client().await?;
    let (rounds, reads) = if quick { (1, 100) } else { (5, 300) };
    let far = if quick { FAR / 50 } else { FAR };
    let mut next = String::new();
    // Cursors belong to the filters, not to the length of a page.
    for _ in 0..far * 50 / STRIDE {
        let page = client.get(&format!("/api/v1/sync-logs?limit={STRIDE}{next}")).await?.expect(200)?.json()?;
        let cursor = page["next_cursor"].as_str().context("the organization has too few syncs")?;
        next = format!("&cursor={cursor}");
    }
    let paths = ["/api/v1/sync-logs?limit=50".to_owned(), format!("/api/v1/sync-logs?limit=50{next}")];
    let (mut ratios, mut tails) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 0..=rounds {
        let mut times = [Vec::new(), Vec::new()];
        for read in 0..2 * reads {
            let place = read % 2;
            times[place].push(time(&client, &paths[place]).await?);
        }
        // The first round warms up.
        if round > 0 {
            let tail = times.map(|times| quantile(&times, 0.99));
            ratios.push(tail[1] / tail[0]);
            tails[0].push(tail[0]);
            tails[1].push(tail[1]);
        }
    }
    let ratio = median(&ratios);
    let figure = Figure {
        name: format!("listSyncs, page {far} beside page 1, p99, {}", rows(side)),
        measured: format!("{:.1} ms", median(&tails[1])),
        baseline: format!("{:.1} ms", median(&tails[0])),
        ratio: Some(ratio),
        samples: format!("{rounds} × {reads} reads of each"),
        bound: format!("≤ {PAGES_BOUND}"),
        holds: ratio <= PAGES_BOUND,
    };
    Ok(figure.tell())
}

async fn time(client: &Client, path: &str) -> Result<f64> {
    let begun = Instant::now();
    client.get(path).await?.expect(200)?;
    Ok(begun.elapsed().as_secs_f64() * 1000.0)
}

/// Every filter by itself, with a value that is there and one that is not, in the large organization; and those for
/// failures in an ordinary one too.
pub(super) async fn filters(side: &Side<'_>, quick: bool) -> Result<Vec<Figure>> {
    let reads = if quick { 50 } else { 300 };
    let client = side.client().await?;
    let integration = side.ledger.large.integrations[7];
    let record =
        client.get("/api/v1/sync-logs?source_record_type=expense_claims&limit=1").await?.expect(200)?.json()?;
    let record = record["items"][0]["source_record_id"].as_str().context("no sync is about a record")?.to_owned();
    let queries = [
        format!("integration_config_id={integration}"),
        format!("integration_config_id={integration}&status=failed"),
        "status=success".to_owned(),
        "status=failed,retried_failed".to_owned(),
        "status=pending,in_progress".to_owned(),
        "status=retried_success".to_owned(),
        "connector_type=xledger".to_owned(),
        "connector_type=dynamics365".to_owned(),
        "sync_type=roster_sync".to_owned(),
        "sync_type=portal_event".to_owned(),
        "triggered_by=webhook".to_owned(),
        "triggered_by=manual".to_owned(),
        "source_record_type=expense_claims".to_owned(),
        "source_record_type=members".to_owned(),
        format!("source_record_type=expense_claims&source_record_id={record}"),
        format!("source_record_id={}", uuid::Uuid::new_v4()),
        format!("from={}&to={}", ago(TimeDelta::days(210)), ago(TimeDelta::days(180))),
        format!("to={}", ago(TimeDelta::days(360))),
        "retryable=true".to_owned(),
        "retryable=false".to_owned(),
    ];
    let mut slowest: Vec<(f64, String, usize)> = Vec::new();
    for query in &queries {
        let (tail, number) = tail(&client, query, reads).await?;
        slowest.push((tail, query.clone(), number));
    }
    let ordinary = side.client_of(&side.ledger.ordinary).await?;
    for query in ["status=failed", "retryable=true", "integration_config_id="] {
        let query = if query.ends_with('=') {
            format!("{query}{}&status=failed", side.ledger.ordinary.integrations[0])
        } else {
            query.to_owned()
        };
        let (tail, number) = tail(&ordinary, &query, reads).await?;
        slowest.push((tail, format!("{query} (ordinary organization)"), number));
    }
    slowest.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (tail, query, number) in &slowest {
        println!("  {tail:8.1} ms p99 of {number:3} reads: {query}");
    }
    let over = slowest.iter().filter(|(tail, ..)| *tail >= FILTER_BOUND).count();
    let (tail, query, _) = slowest.first().context("there are filters")?;
    let samples = slowest.iter().map(|(.., number)| number).sum::<usize>();
    let figure = Figure {
        name: format!("listSyncs, each of {} filters, p99, {}", slowest.len(), rows(side)),
        measured: format!("{tail:.1} ms at most ({query}), {over} over the bound"),
        baseline: String::new(),
        ratio: None,
        samples: format!("{samples} reads"),
        bound: format!("< {FILTER_BOUND} ms"),
        holds: over == 0,
    };
    Ok(vec![figure.tell()])
}

/// The 99th percentile of reading a list, in milliseconds, and the number of reads; a slow one is read less often.
async fn tail(client: &Client, query: &str, reads: usize) -> Result<(f64, usize)> {
    let path = format!("/api/v1/sync-logs?limit=50&{query}");
    for _ in 0..CONNECTIONS {
        time(client, &path).await?;
    }
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < reads && begun.elapsed() < PATIENCE {
        times.push(time(client, &path).await?);
    }
    Ok((quantile(&times, 0.99), times.len()))
}
