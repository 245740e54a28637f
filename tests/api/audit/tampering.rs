//! What a superuser changes behind the application's back is found and named.

use serde_json::{Value, json};
use sqlx::Executor as _;
use uuid::Uuid;

use super::{changes_one_row, checkpoint, command_line, everything_is_sealed, tamperer, verification};
use crate::scene::{CLAIM, Scene, assert_has, record};

/// A change, how it is undone, and what is said of it.
struct Case {
    change: String,
    undo: String,
    told: Value,
}

/// Two ended syncs: one with two attempts and records, and one more. Neither is sealed before it has ended, so that every
/// seal is of the syncs as they are.
async fn history(scene: &Scene) -> (Uuid, Uuid, Uuid) {
    let superuser = scene.server.superuser().await;
    let mut holder = superuser.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('seals ' || $1::text, 0))")
        .bind(scene.organization.id)
        .execute(&mut *holder)
        .await
        .unwrap();
    let (sync, good, bad) = scene.half_failed().await;
    scene.retry(sync).await.expect(202);
    scene.claim(sync).await.expect(201);
    scene.append(sync, 1, &[record(bad, "failed")]).await.expect(200);
    scene.fail(sync, 1).await.expect(200);
    holder.rollback().await.unwrap();
    scene.finished(json!({ "metadata": { "job": "nightly" } })).await;
    everything_is_sealed(&superuser).await;
    (sync, good, bad)
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn cases(sync: Uuid, good: Uuid, bad: Uuid) -> Vec<Case> {
    // Its first half says when it started, as every sync's does.
    let made_up = Uuid::from_u128(sync.as_u128() ^ 1);
    let attempt = |number: u16, set: &str| {
        format!("UPDATE sync_attempts SET {set} WHERE sync_id = '{sync}' AND attempt_number = {number}")
    };
    let outcome = |record: Uuid, number: u16| {
        format!("sync_id = '{sync}' AND source_record_id = '{record}' AND attempt_number = {number}")
    };
    let row = |table: &str, reason: &str, number: Value, record: Value| json!({ "table": table, "reason": reason, "sync_id": sync, "attempt": number, "source_record_id": record });
    let changed = |set: &str, back: &str, number: u16| Case {
        change: attempt(number, set),
        undo: attempt(number, back),
        told: row("sync_attempts", "row_changed", json!(number), Value::Null),
    };
    vec![
        // One byte of an old attempt.
        changed("error_message = overlay(error_message PLACING 'x' FROM 1 FOR 1)",
                "error_message = overlay(error_message PLACING 'X' FROM 1 FOR 1)", 1),
        changed("records_failed = records_failed - 1", "records_failed = records_failed + 1", 0),
        changed("started_at = started_at - interval '1 microsecond'",
                "started_at = started_at + interval '1 microsecond'", 1),
        Case {
            change: format!("UPDATE sync_record_outcomes SET label = 'Claim 1044' WHERE {}", outcome(bad, 1)),
            undo: format!("UPDATE sync_record_outcomes SET label = 'Claim 1043' WHERE {}", outcome(bad, 1)),
            told: row("sync_record_outcomes", "row_changed", json!(1), json!(bad)),
        },
        Case {
            change: format!("UPDATE sync_record_outcomes SET amount = amount + 0.0001 WHERE {}", outcome(good, 0)),
            undo: format!("UPDATE sync_record_outcomes SET amount = amount - 0.0001 WHERE {}", outcome(good, 0)),
            told: row("sync_record_outcomes", "row_changed", json!(0), json!(good)),
        },
        Case {
            change: format!(
                "UPDATE sync_record_outcomes SET errors = jsonb_set(errors, '{{0,hidden}}', '1') WHERE {}",
                outcome(bad, 0)
            ),
            undo: format!("UPDATE sync_record_outcomes SET errors = errors #- '{{0,hidden}}' WHERE {}", outcome(bad, 0)),
            told: row("sync_record_outcomes", "row_changed", json!(0), json!(bad)),
        },
        Case {
            change: format!(
                "WITH gone AS (DELETE FROM sync_record_outcomes WHERE {} RETURNING *)
                 INSERT INTO kept_outcomes SELECT * FROM gone",
                outcome(bad, 0)
            ),
            undo: "INSERT INTO sync_record_outcomes SELECT * FROM kept_outcomes".to_owned(),
            told: row("sync_record_outcomes", "row_missing", json!(0), json!(bad)),
        },
        Case {
            change: format!(
                "INSERT INTO sync_record_outcomes
                 SELECT (jsonb_populate_record(known, '{{\"source_record_id\": \"00000000-0000-7000-8000-000000000000\"}}')).*
                 FROM sync_record_outcomes known WHERE {}",
                outcome(bad, 0)
            ),
            undo: "DELETE FROM sync_record_outcomes WHERE source_record_id = '00000000-0000-7000-8000-000000000000'"
                .to_owned(),
            told: json!({
                "table": "sync_record_outcomes", "reason": "row_unsealed", "sync_id": sync, "attempt": 0,
                "source_record_type": CLAIM, "source_record_id": "00000000-0000-7000-8000-000000000000",
            }),
        },
        Case {
            change: format!("UPDATE sync_logs SET records_processed = 2 WHERE id = '{sync}'"),
            undo: format!("UPDATE sync_logs SET records_processed = 1 WHERE id = '{sync}'"),
            told: row("sync_logs", "row_changed", Value::Null, Value::Null),
        },
        Case {
            change: format!("UPDATE sync_logs SET client_run_id = 'another' WHERE id = '{sync}'"),
            undo: format!("UPDATE sync_logs SET client_run_id = NULL WHERE id = '{sync}'"),
            told: row("sync_logs", "row_changed", Value::Null, Value::Null),
        },
        // Said to be under way, so that nobody compares it.
        Case {
            change: format!("UPDATE sync_logs SET status = 'pending', completed_at = NULL, duration_ms = NULL,
                             error_message = 'mended' WHERE id = '{sync}'"),
            undo: format!("UPDATE sync_logs SET status = 'retried_failed', error_message = 'Xledger did not answer',
                           completed_at = (SELECT completed_at FROM sync_attempts
                                           WHERE sync_id = '{sync}' AND attempt_number = 1),
                           duration_ms = (SELECT (extract(epoch FROM completed_at - sync_started_at) * 1000)::bigint
                                          FROM sync_attempts WHERE sync_id = '{sync}' AND attempt_number = 1)
                           WHERE id = '{sync}'"),
            told: row("sync_logs", "not_under_way", Value::Null, Value::Null),
        },
        // A sync that nobody reported.
        Case {
            change: format!(
                "INSERT INTO sync_logs
                 SELECT (jsonb_populate_record(known, '{{\"id\": \"{made_up}\"}}')).*
                 FROM sync_logs known WHERE id = '{sync}'"
            ),
            undo: format!("DELETE FROM sync_logs WHERE id = '{made_up}'"),
            told: json!({
                "table": "sync_logs", "reason": "row_unsealed", "seq": null,
                "sync_id": made_up,
            }),
        },
        Case {
            change: format!(
                "WITH gone AS (DELETE FROM sync_attempts WHERE sync_id = '{sync}' AND attempt_number = 0 RETURNING *)
                 INSERT INTO kept_attempts SELECT * FROM gone"
            ),
            undo: "INSERT INTO sync_attempts SELECT * FROM kept_attempts".to_owned(),
            told: row("sync_attempts", "row_missing", json!(0), Value::Null),
        },
        // The seals themselves.
        Case {
            change: "UPDATE seals SET sealed_at = sealed_at + interval '1 ms' WHERE seq = 2".to_owned(),
            undo: "UPDATE seals SET sealed_at = sealed_at - interval '1 ms' WHERE seq = 2".to_owned(),
            told: json!({ "table": "seals", "reason": "chain_broken", "seq": 2 }),
        },
        Case {
            change: "WITH gone AS (DELETE FROM seals WHERE seq = 2 RETURNING *) INSERT INTO kept_seals SELECT * FROM gone"
                .to_owned(),
            undo: "WITH back AS (DELETE FROM kept_seals RETURNING *) INSERT INTO seals SELECT * FROM back".to_owned(),
            told: json!({ "table": "seals", "reason": "seal_missing", "seq": 2 }),
        },
        // The last one, which the checkpoint knows.
        Case {
            change: "WITH gone AS (DELETE FROM seals WHERE seq = 3 RETURNING *) INSERT INTO kept_seals SELECT * FROM gone"
                .to_owned(),
            undo: "WITH back AS (DELETE FROM kept_seals RETURNING *) INSERT INTO seals SELECT * FROM back".to_owned(),
            told: json!({ "table": "seals", "reason": "seal_missing", "seq": 3 }),
        },
        Case {
            change: "UPDATE seal_checkpoints SET made_at = made_at + interval '1 ms'".to_owned(),
            undo: "UPDATE seal_checkpoints SET made_at = made_at - interval '1 ms'".to_owned(),
            told: json!({ "table": "seal_checkpoints", "reason": "signature_invalid", "seq": 3 }),
        },
    ]
}

#[tokio::test]
async fn whatever_was_changed_is_named_by_the_api_and_by_the_command_line() {
    let scene = Scene::new().await;
    let (sync, good, bad) = history(&scene).await;
    checkpoint(&scene).await;
    let mut tamperer = tamperer(&scene).await;
    for table in ["outcomes:sync_record_outcomes", "attempts:sync_attempts", "seals:seals"] {
        let (kept, like) = table.split_once(':').unwrap();
        let statement = format!("CREATE TEMPORARY TABLE kept_{kept} (LIKE {like})");
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut tamperer).await.unwrap();
    }
    for (number, case) in cases(sync, good, bad).into_iter().enumerate() {
        changes_one_row(&mut tamperer, &case.change).await;
        let found = verification(&scene.admin).await;
        assert_eq!(found["fits"], false, "{}: {found}", case.change);
        assert_has(&found["first_mismatch"], &case.told);
        // The first case is one byte of an old attempt.
        if number == 0 || number == 6 {
            let (fine, text) = command_line(&scene, &["verify", "--organization", "Forening"]).await;
            let table = case.told["table"].as_str().unwrap();
            assert!(!fine && text.contains("MISMATCH") && text.contains(table), "{text}");
            assert!(text.contains(&sync.to_string()) && text.contains("attempt"), "{text}");
        }
        changes_one_row(&mut tamperer, &case.undo).await;
        let again = verification(&scene.admin).await;
        assert_eq!(again["fits"], true, "after {}: {again}", case.undo);
    }
    let (fine, text) = command_line(&scene, &["verify"]).await;
    assert!(fine, "{text}");
}

#[tokio::test]
async fn a_chain_that_was_made_anew_does_not_pass_through_the_checkpoint_outside() {
    let scene = Scene::new().await;
    let (sync, ..) = history(&scene).await;
    checkpoint(&scene).await;
    let (fine, printed) = command_line(&scene, &["checkpoint", "--organization", "Forening"]).await;
    assert!(fine, "{printed}");
    let directory = tempfile::tempdir().unwrap();
    let kept = directory.path().join("checkpoint.json");
    std::fs::write(&kept, &printed).unwrap();
    let kept = kept.to_str().unwrap();
    let (fine, text) = command_line(&scene, &["verify", "--checkpoint", kept]).await;
    assert!(fine, "{text}");

    // The row is changed and every seal made anew, by the sealer itself.
    let mut tamperer = tamperer(&scene).await;
    let statement =
        format!("UPDATE sync_attempts SET records_failed = 0 WHERE sync_id = '{sync}' AND attempt_number = 0");
    changes_one_row(&mut tamperer, &statement).await;
    for statement in [
        "BEGIN",
        "INSERT INTO seal_queue (organization_id, sync_id, sync_started_at, attempt_number)
         SELECT organization_id, sync_id, sync_started_at, attempt_number FROM seals ORDER BY seq",
        "DELETE FROM seal_checkpoints",
        "DELETE FROM seal_chains",
        "DELETE FROM seals",
        "COMMIT",
    ] {
        tamperer.execute(statement).await.unwrap();
    }
    everything_is_sealed(&scene.server.superuser().await).await;
    assert_eq!(verification(&scene.admin).await["fits"], true, "the chain alone cannot tell");
    let (fine, text) = command_line(&scene, &["verify", "--checkpoint", kept]).await;
    assert!(!fine && text.contains("does not pass through the checkpoint"), "{text}");

    // A checkpoint somebody made up.
    let forged = printed.replace("\"seq\":3", "\"seq\":2");
    assert_ne!(forged, printed);
    std::fs::write(kept, forged).unwrap();
    let (fine, text) = command_line(&scene, &["verify", "--checkpoint", kept]).await;
    assert!(!fine && text.contains("signature"), "{text}");
    for broken in ["", "{}", "[1]", "{\"seq\": \"x\"}"] {
        std::fs::write(kept, broken).unwrap();
        let (fine, text) = command_line(&scene, &["verify", "--checkpoint", kept]).await;
        assert!(!fine && text.contains("not readable"), "{text}");
    }
}
