//! Whether pgbench's script is what the server really sends: both run once while PostgreSQL logs every statement, and the
//! two logs are compared.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::client::Client;
use crate::figure::Figure;
use crate::installation::Installation;
use crate::pgbench;
use crate::reporting;

/// Until every session has heard that it is to log, or to log no longer.
const HEARD: Duration = Duration::from_millis(500);

/// A statement's verb and the tables it names, in order.
type Shape = String;

/// Reports one sync through HTTP and one by the script, and compares the statements of their transactions, one by one.
pub async fn compare(
    installation: &Installation,
    client: &Client,
    pgbench: &Path,
    script: &str,
    integration: Uuid,
) -> Result<Figure> {
    // Once before, so that everything is prepared.
    reporting::cycle(client, integration).await?;
    let sent = reports(&log_of(installation, reporting::cycle(client, integration)).await?);
    let scripted = reports(&log_of(installation, pgbench::once(pgbench, &installation.app_url, script)).await?);
    let count = |transactions: &[Vec<Shape>]| transactions.iter().map(Vec::len).sum::<usize>();
    let same = !sent.is_empty() && sent == scripted;
    if !same {
        println!("the server sends:\n{}", in_lines(&sent));
        println!("the script has:\n{}", in_lines(&scripted));
    }
    let figure = Figure {
        name: "statements of a cycle, as PostgreSQL logs them".to_owned(),
        measured: format!("{} by the server", count(&sent)),
        baseline: format!("{} by the script", count(&scripted)),
        ratio: None,
        samples: "1 cycle".to_owned(),
        bound: "the same ones in the same order".to_owned(),
        holds: same,
    };
    Ok(figure.tell())
}

/// The statement, as PostgreSQL logs it, with which something reads a table.
pub async fn select_of(
    installation: &Installation,
    table: &str,
    doing: impl Future<Output = Result<()>>,
) -> Result<String> {
    let wanted = format!("FROM {table}");
    let log = log_of(installation, doing).await?;
    let found = log.into_iter().map(|(_, text)| text).find(|text| text.starts_with("SELECT") && text.contains(&wanted));
    found.ok_or_else(|| anyhow::anyhow!("nothing read {table}"))
}

/// What PostgreSQL logs meanwhile: the process and the statement.
async fn log_of(installation: &Installation, doing: impl Future<Output = Result<()>>) -> Result<Vec<(u32, String)>> {
    let mut owner = installation.owner().await?;
    let path = installation.database_log();
    set_logging(&mut owner, "ALTER SYSTEM SET log_statement = 'all'").await?;
    let before = std::fs::metadata(&path)?.len();
    let done = doing.await;
    let log = std::fs::read(&path);
    set_logging(&mut owner, "ALTER SYSTEM RESET log_statement").await?;
    done?;
    let log = log?;
    let new = usize::try_from(before).ok().and_then(|before| log.get(before..)).unwrap_or_default();
    let statements = statements(&String::from_utf8_lossy(new));
    ensure!(!statements.is_empty(), "PostgreSQL logs no statements");
    Ok(statements)
}

async fn set_logging(owner: &mut PgConnection, statement: &'static str) -> Result<()> {
    sqlx::query(statement).execute(&mut *owner).await?;
    sqlx::query("SELECT pg_reload_conf()").execute(owner).await?;
    tokio::time::sleep(HEARD).await;
    Ok(())
}

/// The statements of a log: `TIME [PROCESS] LOG:  execute NAME: TEXT`, with further lines of the text indented.
fn statements(log: &str) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for line in log.lines() {
        if let Some(more) = line.strip_prefix('\t') {
            if let Some((_, text)) = found.last_mut().filter(|_| open) {
                text.push('\n');
                text.push_str(more);
            }
            continue;
        }
        let statement = line.split_once("] LOG:  ").and_then(|(head, rest)| {
            let process = head.rsplit_once('[')?.1.parse().ok()?;
            let (how, text) = rest.split_once(": ")?;
            (how == "statement" || how.starts_with("execute ")).then(|| (process, text.to_owned()))
        });
        open = statement.is_some();
        found.extend(statement);
    }
    for (_, text) in &mut found {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    found
}

/// The transactions that begin or end a sync.
fn reports(log: &[(u32, String)]) -> Vec<Vec<Shape>> {
    let mut open: BTreeMap<u32, Vec<Shape>> = BTreeMap::new();
    let mut ended = Vec::new();
    for (process, text) in log {
        if text.starts_with("BEGIN") {
            open.insert(*process, vec!["BEGIN".to_owned()]);
        } else if let Some(transaction) = open.get_mut(process)
            // The server sets the organization together with BEGIN.
            && !text.contains("set_config(")
        {
            transaction.push(shape(text));
            if text.starts_with("COMMIT") {
                ended.extend(open.remove(process));
            }
        }
    }
    let reports = |transaction: &Vec<Shape>| {
        transaction.iter().any(|shape| shape.contains("INTO sync_logs") || shape.contains("UPDATE sync_logs"))
    };
    ended.retain(reports);
    ended
}

fn shape(statement: &str) -> Shape {
    let words: Vec<&str> = statement.split_whitespace().collect();
    let mut shape = words.first().map(|word| word.trim_end_matches(';').to_owned()).unwrap_or_default();
    for pair in words.windows(2) {
        let named = pair[1].trim_end_matches([',', ')', ';']);
        let is_table = !named.is_empty() && named.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let keyword = pair[0].trim_start_matches('(');
        if is_table && matches!(keyword, "FROM" | "JOIN" | "INTO" | "UPDATE") {
            shape = format!("{shape} {keyword} {named}");
        }
    }
    shape
}

fn in_lines(transactions: &[Vec<Shape>]) -> String {
    transactions
        .iter()
        .map(|transaction| format!("  {}", transaction.join("\n  ")))
        .collect::<Vec<_>>()
        .join("\n  --\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "\
2026-11-21 05:00:00.001 UTC [7] LOG:  statement: BEGIN; SELECT set_config('app.org_id', 'x', true)
2026-11-21 05:00:00.001 UTC [9] LOG:  statement: BEGIN
2026-11-21 05:00:00.002 UTC [7] LOG:  execute sqlx_s_3: 
\t        INSERT INTO sync_logs (
\t            id, status
\t        )
\t        VALUES ($1, $2)
2026-11-21 05:00:00.002 UTC [9] LOG:  execute sqlx_s_1: UPDATE events SET seq = 1
2026-11-21 05:00:00.003 UTC [9] LOG:  statement: COMMIT
2026-11-21 05:00:00.003 UTC [7] LOG:  execute sqlx_s_4: SELECT x FROM (VALUES (true)) AS y LEFT JOIN (SELECT id FROM incidents) AS z ON true FOR UPDATE
2026-11-21 05:00:00.004 UTC [7] LOG:  statement: COMMIT
";
    const SCRIPT: &str = "\
2026-11-21 05:00:00.001 UTC [11] LOG:  execute P0_1: BEGIN;
2026-11-21 05:00:00.002 UTC [11] LOG:  execute P0_2: SELECT set_config('app.org_id', 'x', true), now;
2026-11-21 05:00:00.002 UTC [11] LOG:  execute P0_3: INSERT INTO sync_logs (id, status) VALUES ($1, 'x');
2026-11-21 05:00:00.003 UTC [11] LOG:  execute P0_4: SELECT x FROM (VALUES (true)) AS y LEFT JOIN (SELECT id FROM incidents) AS z ON true FOR UPDATE;
2026-11-21 05:00:00.004 UTC [11] LOG:  execute P0_5: COMMIT;
";

    #[test]
    fn the_same_statements_are_recognised_however_they_are_sent() {
        let sent = reports(&statements(SERVER));
        assert_eq!(sent, reports(&statements(SCRIPT)));
        assert_eq!(sent, [["BEGIN", "INSERT INTO sync_logs", "SELECT FROM incidents", "COMMIT"]]);
    }

    #[test]
    fn a_statement_more_is_noticed() {
        let more = SCRIPT.replace("execute P0_5: COMMIT;", "execute P0_5: DELETE FROM events;")
            + "2026-11-21 05:00:00.005 UTC [11] LOG:  execute P0_6: COMMIT;\n";
        assert_ne!(reports(&statements(SERVER)), reports(&statements(&more)));
    }
}
