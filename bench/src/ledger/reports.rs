//! Reporting: two transactions for a sync that is begun and ended, one for a sync that has ended.

use std::path::Path;

use anyhow::Result;
use chrono::TimeDelta;
use serde_json::json;

use super::{Rounds, Side};
use crate::figure::{Figure, median};
use crate::load::{rate, settle};
use crate::moment::ago;
use crate::pgbench::{self, Load};
use crate::reporting::{CLIENTS, WARM_UP, report};
use crate::statements;

/// Least share of pgbench's rate.
const BOUND: f64 = 0.5;
/// Least share of the small ledger's rate.
const FLAT: f64 = 0.9;
/// Least share of a bare insert's rate.
const FINISHED_BOUND: f64 = 0.4;

/// One row into the indexed table, with its rules and its policy, and nothing else.
const BARE_INSERT: &str = "
\\set which random(1, :number)
INSERT INTO sync_logs (id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed, records_failed, records_total, triggered_by, duration_ms, started_at, completed_at) SELECT (lpad(to_hex((extract(epoch FROM started) * 1000)::bigint), 12, '0') || '7' || substr(gen_random_uuid()::text, 16))::uuid, (:integrations)[:which], :organization, 'other', 'accounting_push', 'success', 40, 0, 40, 'automatic', 5000, started, started + interval '5 seconds' FROM date_trunc('milliseconds', clock_timestamp() - interval '10 seconds') AS started;
";

/// Whether the baseline's script is what the server sends.
pub(super) async fn statements(side: &Side<'_>, pgbench: &Path) -> Result<Figure> {
    let large = &side.ledger.large;
    let script = pgbench::cycle(large.id, &large.integrations);
    statements::compare(side.server, &side.client().await?, pgbench, &script, large.integrations[0]).await
}

/// Over all integrations of the large organization: beside pgbench, and beside the small ledger. All four in turn.
pub(super) async fn many(large: &Side<'_>, small: &Side<'_>, pgbench: &Path, rounds: Rounds) -> Result<Vec<Figure>> {
    let sides = [large, small];
    let mut through_http = [Vec::new(), Vec::new()];
    let mut by_pgbench = [Vec::new(), Vec::new()];
    for side in sides {
        report(&side.client().await?, &side.ledger.large.integrations, WARM_UP).await?;
    }
    for round in 0..rounds.number {
        // Who comes second finds the machine as the first has left it, so they change places.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for place in order {
            let (side, organization) = (sides[place], &sides[place].ledger.large);
            let client = side.client().await?;
            settle(&mut side.server.owner().await?).await?;
            through_http[place].push(report(&client, &organization.integrations, rounds.seconds).await?);
        }
        for place in order {
            by_pgbench[place].push(cycles(sides[place], pgbench, usize::MAX, rounds.seconds).await?);
        }
    }
    let number = large.ledger.large.integrations.len();
    let (rate, baseline) = (median(&through_http[0]), median(&by_pgbench[0]));
    let share = rate / baseline;
    let beside_pgbench = Figure {
        name: format!("startSync + succeedSync, {CLIENTS} clients, {number} integrations, {}", rows(large)),
        measured: format!("{rate:.0}/s through HTTP"),
        baseline: format!("{baseline:.0}/s by pgbench, the same statements"),
        ratio: Some(share),
        samples: rounds.samples(),
        bound: format!("≥ {BOUND}"),
        holds: share >= BOUND,
    };
    let before = median(&through_http[1]);
    let flat = Figure {
        name: format!("the same with {} beside {}", rows(large), rows(small)),
        measured: format!("{rate:.0}/s"),
        baseline: format!("{before:.0}/s (pgbench {baseline:.0} and {:.0}/s)", median(&by_pgbench[1])),
        ratio: Some(rate / before),
        samples: rounds.samples(),
        bound: format!("≥ {FLAT}"),
        holds: rate / before >= FLAT,
    };
    Ok(vec![beside_pgbench.tell(), flat.tell()])
}

/// All on one integration, whose health row every caller waits for.
pub(super) async fn one(side: &Side<'_>, pgbench: &Path, rounds: Rounds) -> Result<Figure> {
    let client = side.client().await?;
    let (mut through_http, mut by_pgbench) = (Vec::new(), Vec::new());
    for _ in 0..rounds.number {
        settle(&mut side.server.owner().await?).await?;
        through_http.push(report(&client, &side.ledger.large.integrations[..1], rounds.seconds).await?);
        by_pgbench.push(cycles(side, pgbench, 1, rounds.seconds).await?);
    }
    let (rate, baseline) = (median(&through_http), median(&by_pgbench));
    let figure = Figure {
        name: format!("startSync + succeedSync, {CLIENTS} clients, 1 integration, {}", rows(side)),
        measured: format!("{rate:.0}/s through HTTP"),
        baseline: format!("{baseline:.0}/s by pgbench, the same statements"),
        ratio: Some(rate / baseline),
        samples: rounds.samples(),
        bound: "none, printed".to_owned(),
        holds: true,
    };
    Ok(figure.tell())
}

/// The rate of reporting by pgbench to so many integrations.
async fn cycles(side: &Side<'_>, pgbench: &Path, integrations: usize, seconds: usize) -> Result<f64> {
    let large = &side.ledger.large;
    let integrations = &large.integrations[..large.integrations.len().min(integrations)];
    settle(&mut side.server.owner().await?).await?;
    let load = Load { clients: CLIENTS, seconds, organization: None, generic: true };
    pgbench::run(pgbench, &side.server.app_url, &pgbench::cycle(large.id, integrations), load).await
}

/// A sync that has ended, in one call, beside a bare insert of one row.
pub(super) async fn finished(side: &Side<'_>, pgbench: &Path, rounds: Rounds) -> Result<Figure> {
    let large = &side.ledger.large;
    let client = side.client().await?;
    let script = pgbench::fill(BARE_INSERT, large.id, &large.integrations);
    let record = {
        let integrations = large.integrations.clone();
        move |number: usize| {
            let (client, integration) = (client.clone(), integrations[number % integrations.len()]);
            async move {
                let body = json!({
                    "integration_config_id": integration, "connector_type": "other", "sync_type": "accounting_push",
                    "triggered_by": "automatic", "started_at": ago(TimeDelta::seconds(10)), "completed_at": ago(TimeDelta::seconds(5)),
                    "status": "success", "records_total": 40, "records_processed": 40, "records_failed": 0,
                });
                client.post("/api/v1/sync-logs/finished", &body).await?.expect(201).map(drop)
            }
        }
    };
    rate(CLIENTS, WARM_UP, record.clone()).await?;
    let (mut through_http, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..rounds.number {
        settle(&mut side.server.owner().await?).await?;
        through_http.push(rate(CLIENTS, rounds.seconds, record.clone()).await?);
        settle(&mut side.server.owner().await?).await?;
        let load = Load { clients: CLIENTS, seconds: rounds.seconds, organization: Some(large.id), generic: true };
        bare.push(pgbench::run(pgbench, &side.server.app_url, &script, load).await?);
    }
    let (rate, baseline) = (median(&through_http), median(&bare));
    let figure = Figure {
        name: format!("recordFinishedSync, {CLIENTS} clients, {}", rows(side)),
        measured: format!("{rate:.0}/s through HTTP"),
        baseline: format!("{baseline:.0}/s bare inserts of one row by pgbench"),
        ratio: Some(rate / baseline),
        samples: rounds.samples(),
        bound: format!("≥ {FINISHED_BOUND}"),
        holds: rate / baseline >= FINISHED_BOUND,
    };
    Ok(figure.tell())
}

/// How many syncs a side holds, in words.
pub(super) fn rows(side: &Side<'_>) -> String {
    in_words(side.rows)
}

fn in_words(rows: i64) -> String {
    match rows {
        1_000_000.. if rows % 1_000_000 == 0 => format!("{} million syncs", rows / 1_000_000),
        1_000.. => format!("{} thousand syncs", rows / 1_000),
        _ => format!("{rows} syncs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_in_words() {
        assert_eq!(in_words(10_000_000), "10 million syncs");
        assert_eq!(in_words(100_000), "100 thousand syncs");
        assert_eq!(in_words(1_500_000), "1500 thousand syncs");
        assert_eq!(in_words(7), "7 syncs");
    }

    #[test]
    fn the_bare_insert_names_every_value() {
        let script = pgbench::fill(BARE_INSERT, uuid::Uuid::nil(), &[uuid::Uuid::nil()]);
        assert!(!script.contains(":organization") && !script.contains(":integrations") && !script.contains(":number"));
        assert_eq!(script.trim().lines().count(), 2);
    }
}
