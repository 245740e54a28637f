//! One active attempt per source record, and one sync per name of a run.

use uuid::Uuid;

use super::story::{ENDED, ERROR, End, Life, NO_COUNTS, NO_ERROR, NOT_ENDED};
use super::{Db, NOT_PERMITTED, Refused, Row, id_at, minutes_ago, quoted, success_at, sync_at};

const UNIQUE: &str = "23505";

fn one_active() -> Refused {
    Refused::rule("one_active_attempt_per_source_record")
}

/// A sync about one record, with all that makes it be under way.
struct About {
    life: Life,
    record: Uuid,
}

impl About {
    fn new(record: Uuid, minutes: i64) -> Self {
        let started_at = minutes_ago(minutes);
        Self { life: Life { id: id_at(started_at), started_at, attempt: 0 }, record }
    }

    fn sync(&self, db: &Db) -> Row {
        sync_at(db, self.life.started_at)
            .with("id", quoted(self.life.id))
            .with("source_record_type", "'expense_claims'")
            .with("source_record_id", quoted(self.record))
    }

    fn active(&self, db: &Db) -> String {
        format!(
            "INSERT INTO active_syncs (organization_id, sync_id, sync_started_at, integration_config_id, attempt_number,
                 running, managed, lease_seconds, lease_expires_at, created_at)
             VALUES ('{}', '{}', '{}', '{}', 0, true, false, 60, now() + interval '1 day', now())",
            db.organization,
            self.life.id,
            self.life.started_at.to_rfc3339(),
            db.integration
        )
    }

    fn claim(&self, db: &Db, connector: &str) -> String {
        format!(
            "INSERT INTO sync_claims (organization_id, connector_type, source_record_type, source_record_id, sync_id)
             VALUES ('{}', '{connector}', 'expense_claims', '{}', '{}')",
            db.organization, self.record, self.life.id
        )
    }

    fn attempt(&self, db: &Db) -> String {
        self.life.attempt(db, 0).insert()
    }

    /// Everything, as the server writes it.
    fn whole(&self, db: &Db) -> String {
        format!("{}; {}; {}; {}", self.sync(db).insert(), self.attempt(db), self.active(db), self.claim(db, "xledger"))
    }

    fn no_longer_active(&self) -> String {
        format!("DELETE FROM active_syncs WHERE sync_id = '{}'", self.life.id)
    }

    /// Its failure, with what it held.
    fn failed(&self) -> String {
        format!(
            "{}; {}; {}",
            self.life.set_attempt(&format!("status = 'failed', {ENDED}, {ERROR}")),
            self.life.set(&format!("status = 'failed', {ENDED}, {ERROR}")),
            self.no_longer_active()
        )
    }
}

#[tokio::test]
async fn a_record_is_under_way_in_one_sync() {
    let mut db = Db::new().await;
    let record = Uuid::now_v7();
    let (first, second) = (About::new(record, 3), About::new(record, 2));
    db.run(first.whole(&db)).await;
    // With the claim, the claim is taken; without it, the sync is refused when its transaction ends.
    let refused = db.refused(second.whole(&db)).await;
    assert_eq!(refused, Refused::by(UNIQUE, "one_active_attempt_per_source_record"));
    for sync in [second.sync(&db), second.sync(&db).with("status", "'pending'")] {
        assert_eq!(db.refused(sync.insert()).await, one_active());
        let active = format!("{}; {}", sync.insert(), second.active(&db));
        assert_eq!(db.refused(active).await, one_active());
    }
    // Not even for a moment: asked again when it is committed.
    let committed = sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {}; COMMIT", second.sync(&db).insert())));
    let error = committed.execute(&mut db.app).await.unwrap_err();
    let rule = error.as_database_error().and_then(|error| error.constraint()).unwrap_or_default().to_owned();
    assert_eq!(rule, "one_active_attempt_per_source_record", "{error}");
    // Once the first has ended, the record is free.
    db.run(first.failed()).await;
    db.run(second.whole(&db)).await;
    // Of another connector it is another thing; a sync that ended claims nothing.
    let third = About::new(record, 1);
    assert_eq!(db.tried(success_at(&db, third.life.started_at).insert()).await, Ok(()));
    let other = format!("{}; {}", third.active(&db), third.claim(&db, "dynamics365"));
    assert_eq!(db.tried(other).await, Ok(()));
}

#[tokio::test]
async fn a_retry_claims_its_record_too() {
    let mut db = Db::new().await;
    let about = About::new(Uuid::now_v7(), 3);
    db.run(about.whole(&db)).await;
    db.run(about.failed()).await;
    let asked = about.life.set(&format!("status = 'pending', {NOT_ENDED}"));
    assert_eq!(db.refused(&asked).await, one_active());
    let held = format!("{asked}; {}; {}", about.active(&db), about.claim(&db, "xledger"));
    db.run(held).await;
    // While the retry waits, nobody else starts with the record.
    let other = About::new(about.record, 2);
    assert_eq!(db.refused(other.sync(&db).insert()).await, one_active());
    let claimed = about.life.set(&format!("status = 'in_progress', retry_count = 1, {NO_COUNTS}, {NO_ERROR}"));
    let let_go = format!("{}; {claimed}", about.no_longer_active());
    assert_eq!(db.refused(let_go).await, one_active());
    assert_eq!(db.tried(claimed).await, Ok(()));
}

#[tokio::test]
async fn a_claim_is_given_back_only_when_its_sync_ends() {
    let mut db = Db::new().await;
    let about = About::new(Uuid::now_v7(), 3);
    db.run(about.whole(&db)).await;
    let denied = Refused::by(NOT_PERMITTED, "");
    for statement in [
        format!("DELETE FROM sync_claims WHERE sync_id = '{}'", about.life.id),
        format!("UPDATE sync_claims SET source_record_id = '{}' WHERE sync_id = '{}'", Uuid::now_v7(), about.life.id),
        "TRUNCATE sync_claims".to_owned(),
        "TRUNCATE active_syncs CASCADE".to_owned(),
    ] {
        assert_eq!(db.refused(&statement).await, denied, "{statement}");
    }
    let moved = format!("UPDATE active_syncs SET sync_id = '{}' WHERE sync_id = '{}'", Uuid::now_v7(), about.life.id);
    assert_eq!(db.refused(moved).await.code, "23503", "the claim holds the sync it belongs to");
    // The table of what is under way knows no organization, but the rule does.
    for organization in [Some(db.organization), None, Some(db.scene.ours.id)] {
        db.within(organization).await;
        assert_eq!(db.refused(about.no_longer_active()).await, one_active(), "{organization:?}");
    }
    db.within(Some(db.organization)).await;
    db.run(about.failed()).await;
    let left = format!("SELECT count(*)::text FROM sync_claims WHERE sync_id = '{}'", about.life.id);
    assert_eq!(db.read(left).await.as_deref(), Some("0"));
    // A claim belongs to a sync that is under way.
    let claim = about.claim(&db, "xledger");
    assert_eq!(db.refused(claim).await.code, "23503");
}

#[tokio::test]
async fn a_batch_claims_each_of_its_records() {
    let mut db = Db::new().await;
    let (batch, single) = (db.started().await, About::new(Uuid::now_v7(), 1));
    db.run(single.whole(&db)).await;
    let of_batch = About { life: batch, record: single.record };
    db.run(of_batch.active(&db)).await;
    let refused = db.refused(of_batch.claim(&db, "xledger")).await;
    assert_eq!(refused, Refused::by(UNIQUE, "one_active_attempt_per_source_record"));
    let another = About { life: batch, record: Uuid::now_v7() };
    assert_eq!(db.tried(another.claim(&db, "xledger")).await, Ok(()));
    // Records of a batch come and go; the sync is not about one of them.
    assert_eq!(db.tried(of_batch.no_longer_active()).await, Ok(()));
}

#[tokio::test]
async fn a_runners_name_for_a_run_stands_for_one_sync_for_good() {
    let mut db = Db::new().await;
    let named = |minutes: i64, name: &str| success_at(&db, minutes_ago(minutes)).with("client_run_id", quoted(name));
    // The second organization's first sync is called so already.
    let (again, first, second) = (named(1, "nightly"), named(2, "weekly"), named(3, "weekly"));
    let taken = Refused::rule("client_run_id_unique");
    assert_eq!(db.refused(again.insert()).await, taken);
    // Remembered by itself, even if nobody did so before.
    db.run(first.insert()).await;
    assert_eq!(db.refused(second.insert()).await, taken);
    let months_ago = success_at(&db, minutes_ago(60 * 24 * 90)).with("client_run_id", "'weekly'");
    assert_eq!(db.refused(months_ago.insert()).await, taken, "across partitions");
    for statement in [
        "DELETE FROM client_runs",
        "TRUNCATE client_runs",
        "UPDATE client_runs SET sync_id = gen_random_uuid()",
        "UPDATE client_runs SET client_run_id = 'other'",
    ] {
        assert_eq!(db.refused(statement).await, Refused::by(NOT_PERMITTED, ""), "{statement}");
    }
    let life = db.ended(End::Clean).await;
    let renamed = life.set("client_run_id = 'free'");
    assert_eq!(db.refused(renamed).await, Refused::rule("immutable_after_terminal_state"));
}
