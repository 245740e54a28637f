//! What is known of external systems: a breaker's state is whole, figures are within bounds, and nothing is forgotten; and
//! which retries nobody has to ask for.

use super::{Db, NOT_PERMITTED, Refused, quoted};

#[tokio::test]
async fn what_is_known_of_a_system_is_whole() {
    let mut db = Db::new().await;
    let organization = quoted(db.organization);
    let insert = |columns: &str, values: &str| {
        format!(
            "INSERT INTO external_systems (organization_id, id, updated_at, {columns})
             VALUES ({organization}, gen_random_uuid(), now(), {values})"
        )
    };
    for (columns, values) in [
        ("throttled", "0"),
        ("spent_until, paused_until, throttled", "now(), now(), 7"),
        ("recent_outages, recent_requests", "1048575, 20"),
        ("breaker, breaker_until, openings", "'open', now(), 1"),
        ("breaker, breaker_until, openings", "'half_open', now(), 3"),
    ] {
        assert_eq!(db.tried(insert(columns, values)).await, Ok(()), "{columns} {values}");
    }
    for (rule, columns, values) in [
        ("breaker_is_whole", "breaker", "'open'"),
        ("breaker_is_whole", "breaker, breaker_until", "'open', now()"),
        ("breaker_is_whole", "breaker, openings", "'half_open', 1"),
        ("breaker_is_whole", "breaker_until, openings", "now(), 1"),
        ("breaker_is_whole", "openings", "1"),
        ("breaker_is_whole", "breaker, breaker_until, openings, recent_outages", "'open', now(), 1, 1"),
        ("external_systems_breaker_check", "breaker, breaker_until, openings", "'ajar', now(), 1"),
        ("external_systems_throttled_check", "throttled", "-1"),
        ("external_systems_openings_check", "breaker, breaker_until, openings", "'open', now(), -1"),
        ("external_systems_recent_outages_check", "recent_outages", "1048576"),
        ("external_systems_recent_requests_check", "recent_requests", "21"),
    ] {
        let refused = db.refused(insert(columns, values)).await;
        // Of two rules that are broken, either may be told.
        let expected = [Refused::rule(rule), Refused::rule("breaker_is_whole")];
        assert!(expected.contains(&refused), "{columns} {values}: {refused:?}");
    }
}

#[tokio::test]
async fn a_system_is_known_to_its_organization_alone_and_never_forgotten() {
    let mut db = Db::new().await;
    let (ours, theirs) = (db.scene.ours.id, db.organization);
    let known = "SELECT 1 / count(*) FROM external_systems";
    assert_eq!(db.tried(known).await, Ok(()));
    assert_eq!(db.refused("DELETE FROM external_systems").await, Refused::by(NOT_PERMITTED, ""));
    assert_eq!(db.refused("TRUNCATE external_systems").await, Refused::by(NOT_PERMITTED, ""));
    let foreign = format!(
        "INSERT INTO external_systems (organization_id, id, updated_at) VALUES ('{ours}', gen_random_uuid(), now())"
    );
    assert_eq!(db.refused(foreign).await, Refused::by(NOT_PERMITTED, ""));
    db.within(Some(ours)).await;
    assert_eq!(db.refused(known).await.code, "22012", "none of theirs is seen");
    let moved = format!("UPDATE external_systems SET paused_until = now() WHERE organization_id = '{theirs}'");
    assert_eq!(db.tried(moved).await, Ok(()));
    let paused = format!("SELECT count(paused_until)::text FROM external_systems WHERE organization_id = '{theirs}'");
    assert_eq!(db.read(paused).await.as_deref(), Some("0"));
}

#[tokio::test]
async fn the_last_retries_are_asked_for() {
    let mut db = Db::new().await;
    let (organization, integration) = (quoted(db.organization), quoted(db.integration));
    let insert = |attempt: u16, managed: bool, requested_by: &str| {
        format!(
            "INSERT INTO active_syncs (
                 organization_id, sync_id, sync_started_at, integration_config_id, attempt_number, running, managed,
                 automatic, requested_by, lease_seconds, lease_expires_at, created_at
             )
             VALUES ({organization}, gen_random_uuid(), now(), {integration}, {attempt}, false, {managed}, true,
                     {requested_by}, 60, now(), now())"
        )
    };
    for attempt in [1, 6] {
        assert_eq!(db.tried(insert(attempt, true, "NULL")).await, Ok(()), "{attempt}");
    }
    for (attempt, managed, requested_by) in
        [(0, true, "NULL"), (7, true, "NULL"), (1, false, "NULL"), (1, true, "gen_random_uuid()")]
    {
        let refused = db.refused(insert(attempt, managed, requested_by)).await;
        assert_eq!(refused, Refused::rule("last_retries_are_asked_for"), "{attempt} {managed} {requested_by}");
    }
}
