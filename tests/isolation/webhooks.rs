//! The rules of webhooks, which the database keeps against plain SQL too.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::scene::Scene;

/// The application's role, in the second organization.
async fn app(scene: &Scene) -> PgConnection {
    let mut app = PgConnection::connect(&scene.server.database.app_url).await.unwrap();
    let organization = scene.theirs.organization.id.to_string();
    sqlx::query("SELECT set_config('app.org_id', $1, false)").bind(organization).execute(&mut app).await.unwrap();
    app
}

/// The name of the constraint that refuses a statement.
async fn constraint(app: &mut PgConnection, statement: &str) -> String {
    match app.execute(AssertSqlSafe(statement.to_owned())).await {
        Ok(done) => panic!("{statement} was not refused: {done:?}"),
        Err(error) => error.as_database_error().unwrap().constraint().unwrap_or_default().to_owned(),
    }
}

#[tokio::test]
async fn one_message_waits_and_one_secret_is_current() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let second = "
        INSERT INTO webhook_outbox (
            organization_id, id, integration_config_id, sync_id, attempt_number, body, state, created_at
        )
        SELECT organization_id, gen_random_uuid(), integration_config_id, sync_id, attempt_number, body, state, now()
        FROM webhook_outbox
    ";
    assert_eq!(constraint(&mut app, second).await, "webhook_outbox_one_waiting");
    let delivered = "UPDATE webhook_outbox SET state = 'delivered'";
    assert_eq!(constraint(&mut app, delivered).await, "delivered_at_set_when_delivered");
    for (column, value) in [("state", "'forgotten'"), ("tries", "-1"), ("last_status", "99")] {
        let update = format!("UPDATE webhook_outbox SET {column} = {value}");
        assert_eq!(constraint(&mut app, &update).await, format!("webhook_outbox_{column}_check"));
    }
    let secret = "
        INSERT INTO webhook_secrets (organization_id, id, integration_config_id, secret_sealed, secret_key_id, created_at)
        SELECT organization_id, gen_random_uuid(), integration_config_id, secret_sealed, secret_key_id, now()
        FROM webhook_secrets
    ";
    assert_eq!(constraint(&mut app, secret).await, "webhook_secrets_one_current");
    // What is signed is fixed.
    for column in ["body", "attempt_number", "sync_id"] {
        let update = format!("UPDATE webhook_outbox SET {column} = {column}");
        let error = app.execute(AssertSqlSafe(update)).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501", "{column}");
    }
}

#[tokio::test]
async fn a_message_that_waits_is_not_deleted() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let waiting = "SELECT count(*) FROM webhook_outbox WHERE state = 'waiting'";
    let before: i64 = sqlx::query_scalar(waiting).fetch_one(&mut app).await.unwrap();
    assert!(before > 0);
    app.execute("DELETE FROM webhook_outbox").await.unwrap();
    let after: i64 = sqlx::query_scalar(waiting).fetch_one(&mut app).await.unwrap();
    assert_eq!(after, before);
    app.execute("UPDATE webhook_outbox SET state = 'withdrawn' WHERE state = 'waiting'").await.unwrap();
    app.execute("DELETE FROM webhook_outbox").await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook_outbox").fetch_one(&mut app).await.unwrap();
    assert_eq!(left, 0, "what was settled is");
}

#[tokio::test]
async fn a_notification_is_about_an_incident_or_about_an_integration() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let (incident, integration) = (scene.theirs.incident, scene.theirs.integration);
    let insert = |kind: &str, incident: Option<String>, integration: Option<String>| {
        let quoted = |id: Option<String>| id.map_or_else(|| "NULL".to_owned(), |id| format!("'{id}'"));
        format!(
            "
            INSERT INTO notifications (
                organization_id, user_id, id, kind, incident_id, integration_config_id, consecutive_failures, created_at
            )
            SELECT organization_id, user_id, gen_random_uuid(), '{kind}', {}, {}, 0, now()
            FROM memberships WHERE organization_id = '{}'
            ",
            quoted(incident),
            quoted(integration),
            scene.theirs.organization.id,
        )
    };
    let (incident, integration) = (Some(incident.to_string()), Some(integration.to_string()));
    for wrong in [
        insert("webhook_disabled", None, None),
        insert("webhook_disabled", incident.clone(), None),
        insert("webhook_disabled", incident.clone(), integration.clone()),
        insert("incident_resolved", None, integration.clone()),
        insert("incident_resolved", incident, integration.clone()),
    ] {
        assert_eq!(constraint(&mut app, &wrong).await, "notification_names_what_it_is_about", "{wrong}");
    }
    let right = insert("webhook_disabled", None, integration);
    assert!(app.execute(AssertSqlSafe(right)).await.unwrap().rows_affected() > 0);
}
