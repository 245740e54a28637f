//! The table of the ledger's operations in `docs/operations.md` names what exists.

use std::collections::BTreeSet;
use std::fs;

use crate::tool::{checked_out, committed};

/// The ledger's operations are numbered up to this.
const LAST: u32 = 27;

/// One row: its number, what does it, and the tests of it.
struct Row {
    number: u32,
    doers: Vec<String>,
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(checked_out("docs/operations.md")).unwrap();
    text.lines().filter_map(row).collect()
}

/// Reads a row: the number, what is done, what does it and the tests of it, the last two between backticks.
fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let [number, _, doers, tests] = cells.as_slice() else { return None };
    Some(Row { number: number.parse().ok()?, doers: quoted(doers), tests: quoted(tests) })
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_operation_of_the_ledger_has_its_row() {
    let numbers: Vec<u32> = rows().iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=LAST).collect::<Vec<_>>());
}

#[test]
fn every_named_operation_is_described() {
    let document = committed();
    let paths = document["paths"].as_object().unwrap();
    let ids: BTreeSet<&str> = paths
        .values()
        .flat_map(|item| item.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str())
        .collect();
    for Row { number, doers, .. } in rows() {
        assert!(!doers.is_empty(), "{number} names nothing that does it");
        for doer in doers {
            // `getSync`, `listSyncs?status`, or what the server itself does: `syncwatch archive`, `worker::sweeps`.
            let (id, _) = doer.split_once('?').unwrap_or((&doer, ""));
            let is_known = if let Some(command) = id.strip_prefix("syncwatch ") {
                fs::read_to_string(checked_out("crates/server/src/cli.rs")).unwrap().to_lowercase().contains(command)
            } else if let Some(job) = id.strip_prefix("worker::") {
                fs::exists(checked_out("crates/server/src/worker").join(format!("{job}.rs"))).unwrap()
            } else {
                ids.contains(id)
            };
            assert!(is_known, "{number} names {doer}, which is not there");
        }
    }
}

#[test]
fn every_named_parameter_and_test_is_there() {
    let document = committed().to_string();
    for Row { number, doers, tests } in rows() {
        for parameter in doers.iter().filter_map(|doer| doer.split_once('?')).flat_map(|(_, all)| all.split('&')) {
            assert!(document.contains(&format!("\"name\":\"{parameter}\"")), "{number} names {parameter}");
        }
        assert!(!tests.is_empty(), "{number} names no test");
        for test in tests {
            let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{number}: {test}"));
            let text = fs::read_to_string(checked_out(file)).unwrap();
            assert!(text.contains(&format!("fn {name}(")), "{number} names {test}, which is not there");
        }
    }
}
