//! Partitions that are made later are as protected as those made first, and are made at start.

use chrono::Months;
use server::serve::{Parts, spawn_parts};
use sqlx::AssertSqlSafe;

use super::{Db, NOT_PERMITTED, Refused, tried};

const PARENTS: [&str; 3] = ["sync_record_outcomes", "sync_attempts", "sync_logs"];

/// The partitions furthest ahead, children first.
fn last_month() -> [String; 3] {
    let last = server::Clock::system().now().date_naive().checked_add_months(Months::new(3)).unwrap();
    PARENTS.map(|parent| format!("{parent}_{}", last.format("%Y_%m")))
}

/// Takes the partitions furthest ahead away; returns their names.
async fn without_the_last_month(db: &Db) -> [String; 3] {
    let names = last_month();
    for (parent, name) in PARENTS.iter().zip(&names) {
        let gone = format!("ALTER TABLE {parent} DETACH PARTITION {name}; DROP TABLE {name}");
        sqlx::raw_sql(AssertSqlSafe(gone)).execute(&db.scene.superuser).await.unwrap();
    }
    names
}

async fn is_there(db: &Db, name: &str) -> bool {
    db.read(format!("SELECT to_regclass('public.{name}')::text")).await.is_some()
}

#[tokio::test]
async fn a_new_partition_is_protected_as_the_others_are() {
    let mut db = Db::new().await;
    let names = without_the_last_month(&db).await;
    let made: i32 =
        sqlx::query_scalar("SELECT ensure_ledger_partitions(current_date)").fetch_one(&mut db.app).await.unwrap();
    assert_eq!(made, 3);
    let again: i32 =
        sqlx::query_scalar("SELECT ensure_ledger_partitions(current_date)").fetch_one(&mut db.app).await.unwrap();
    assert_eq!(again, 0);
    let denied = Err(Refused::by(NOT_PERMITTED, ""));
    for name in &names {
        let security = format!(
            "SELECT (relrowsecurity AND relforcerowsecurity)::text FROM pg_class WHERE oid = 'public.{name}'::regclass"
        );
        assert_eq!(db.read(security).await.as_deref(), Some("true"), "{name}");
        let policies = "SELECT string_agg(polname::text, ',' ORDER BY polname) FROM pg_policy WHERE polrelid";
        let parent = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '_');
        let (own, parents) = (
            db.read(format!("{policies} = 'public.{name}'::regclass")).await,
            db.read(format!("{policies} = 'public.{parent}'::regclass")).await,
        );
        assert!(own.is_some() && own == parents, "{name}: {own:?}");
        // Those of a row: nobody may name a child, so those of a statement are the parent's alone.
        let triggers = |table: &str| {
            format!(
                "SELECT string_agg(tgname::text, ',' ORDER BY tgname) FROM pg_trigger
                 WHERE NOT tgisinternal AND tgtype & 1 = 1 AND tgrelid = 'public.{table}'::regclass"
            )
        };
        let rules = |table: &str| {
            format!(
                "SELECT string_agg(conname::text, ',' ORDER BY conname) FROM pg_constraint
                 WHERE contype = 'c' AND convalidated AND conrelid = 'public.{table}'::regclass"
            )
        };
        for list in [&triggers as &dyn Fn(&str) -> String, &rules] {
            assert_eq!(db.read(list(name)).await, db.read(list(parent)).await, "{name}");
        }
        let references = |table: &str| {
            format!(
                "SELECT string_agg(pg_get_constraintdef(oid), ',' ORDER BY conname) FROM pg_constraint
                 WHERE contype = 'f' AND convalidated AND conrelid = 'public.{table}'::regclass"
            )
        };
        let present = format!("{parent}_{}", server::Clock::system().now().format("%Y_%m"));
        let month = |list: Option<String>, own: &str| list.map(|list| list.replace(own, "month"));
        let own = month(db.read(references(name)).await, &name[parent.len()..]);
        assert_eq!(own, month(db.read(references(&present)).await, &present[parent.len()..]), "{name}");
        let within_month = own.is_some_and(|list| list.contains("REFERENCES sync_attemptsmonth("));
        assert_eq!(within_month, parent == "sync_record_outcomes", "{name}");
        for statement in ["SELECT * FROM", "DELETE FROM", "TRUNCATE"] {
            let statement = format!("{statement} {name}");
            assert_eq!(db.tried(&statement).await, denied, "{statement}");
            for role in ["syncwatch_reader", "syncwatch_maintenance"] {
                let mut session = db.role(role).await;
                assert_eq!(tried(&mut session, &statement).await, denied, "{role}: {statement}");
            }
        }
    }
    // Nobody else makes any, and this only around today.
    for days in ["100", "-400"] {
        let elsewhere = format!("SELECT ensure_ledger_partitions(current_date + {days})");
        assert_eq!(db.refused(elsewhere).await.code, "P0001");
    }
    let mut reader = db.role("syncwatch_reader").await;
    assert_eq!(tried(&mut reader, "SELECT ensure_ledger_partitions(current_date)").await, denied);
}

#[tokio::test]
async fn a_partition_without_its_reference_is_given_one() {
    let mut db = Db::new().await;
    let references = "SELECT string_agg(conrelid::regclass::text, ',' ORDER BY conrelid::regclass::text)
                      FROM pg_constraint WHERE conname = 'outcome_has_its_attempt' AND convalidated";
    let all = db.read(references.to_owned()).await;
    // As one that a server of the release before made while its ledger was migrated.
    let [outcomes, ..] = last_month();
    let gone = format!("ALTER TABLE {outcomes} DROP CONSTRAINT outcome_has_its_attempt");
    sqlx::raw_sql(AssertSqlSafe(gone)).execute(&db.scene.superuser).await.unwrap();
    assert_ne!(db.read(references.to_owned()).await, all);
    let made: i32 =
        sqlx::query_scalar("SELECT ensure_ledger_partitions(current_date)").fetch_one(&mut db.app).await.unwrap();
    assert_eq!((made, db.read(references.to_owned()).await), (0, all));
}

#[tokio::test]
async fn a_process_that_starts_makes_the_partitions_that_are_missing() {
    let db = Db::new().await;
    let names = without_the_last_month(&db).await;
    let server = &db.scene.server;
    let parts = Parts { http: false, worker: true };
    let worker = spawn_parts(server.config.clone(), server.clock.clone(), parts).await.unwrap();
    for name in &names {
        assert!(is_there(&db, name).await, "{name}");
    }
    worker.stop().await;
}
