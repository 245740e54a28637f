//! Records that Syncwatch reads from an organization's own PostgreSQL database, by queries that may only read.

use anyhow::Context as _;
use chrono::Duration;
use serde_json::{Value, json};
use tests::peers::{Act, Books, ClaimsDatabase, Held, READER_PASSWORD};
use tests::story::{Claim, counts, id_of, until};
use uuid::Uuid;

use crate::scene::Scene;

/// How both are shown credentials of their own.
fn credentials(reader: &Value) -> Value {
    json!({ "credentials": {
        "target": { "type": "bearer", "token": "what the books are shown" }, "source": reader,
    } })
}

/// An integration that reads by these settings and sends to the books.
async fn connect(scene: &Scene, books: &Books, source: Value) -> anyhow::Result<Uuid> {
    let settings = json!({ "url": books.url("/claims"), "health_url": books.url("/health"), "source": source });
    scene.admin.connect(settings, credentials(&ClaimsDatabase::reader())).await
}

/// Settings of which some are others.
fn with(mut settings: Value, others: &[(&str, Value)]) -> Value {
    for (name, value) in others {
        settings[*name] = value.clone();
    }
    settings
}

/// A claim's outcome in a sync and the code of what was said.
async fn said(scene: &Scene, sync: Uuid, claim: &Claim) -> anyhow::Result<[String; 2]> {
    let outcome = scene.admin.outcome(sync, claim.id).await?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok([word(&outcome["outcome"]), word(&outcome["errors"][0]["code"])])
}

/// What a sync says that ended before any record because its source could not be read.
async fn unread(scene: &Scene, integration: Uuid) -> anyhow::Result<String> {
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("failed"), &json!("SOURCE_UNAVAILABLE")), "{sync}");
    Ok(sync["error_message"].as_str().context("there are no words")?.to_owned())
}

#[tokio::test]
async fn a_sync_takes_what_a_database_has() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let mut claims = Claim::many(4);
    claims.push(Claim::bad(5));
    let database = ClaimsDatabase::start(&claims).await?;
    let integration = connect(&scene, &books, database.settings(2)?).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("failed"), (5, 4, 1)), "{sync}");
    let outcome = scene.admin.outcome(id_of(&sync)?, claims[0].id).await?;
    let expected = [("label", json!("Claim C-1")), ("amount", json!("1250.00")), ("currency", json!("NOK"))];
    for (member, value) in expected {
        assert_eq!(outcome[member], value, "{member}");
    }
    // What has arrived is not due again, and what failed only once it has changed.
    assert_eq!(scene.admin.run(integration).await?["records_total"], 0);

    // What has not changed since is not asked for.
    claims[4] = claims[4].clone().with("cost_center", "1000");
    database.hold(&claims, Some(scene.clock.now() - Duration::days(2))).await?;
    assert_eq!(scene.admin.run(integration).await?["records_total"], 0);
    database.hold(&claims, Some(scene.clock.now())).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (1, 1, 0)), "{sync}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (5, 0));
    assert!(scene.tables_that_hold(READER_PASSWORD).await?.is_empty());
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_retry_sends_what_the_database_says_now() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let claims = [Claim::bad(1), Claim::bad(2), Claim::bad(3)];
    let database = ClaimsDatabase::start(&claims).await?;
    let integration = connect(&scene, &books, database.settings(500)?).await?;
    let sync = id_of(&scene.admin.run(integration).await?)?;

    // One is corrected, one is no more, one is as it was.
    let corrected = claims[0].clone().with("cost_center", "1000").with("claim_number", "C-1 corrected");
    database.hold(&[corrected, claims[2].clone()], None).await?;
    let preview = scene.admin.preview(sync).await?;
    let told = ["records", "changed", "unchanged", "gone"].map(|member| preview[member].as_i64());
    assert_eq!(told, [Some(2), Some(1), Some(1), Some(1)], "{preview}");
    let ended = scene.admin.retried(sync).await?;
    assert_eq!(ended["status"], "retried_failed", "{ended}");
    assert_eq!(said(&scene, sync, &claims[0]).await?, ["succeeded", ""]);
    assert_eq!(said(&scene, sync, &claims[1]).await?, ["skipped", "SOURCE_GONE"]);
    assert_eq!(said(&scene, sync, &claims[2]).await?[0], "failed");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.records[0].claim_number.as_str()), (1, "C-1 corrected"));

    // Nothing leaves of what may be outdated.
    database.break_down().await?;
    assert_eq!(scene.admin.retried(sync).await?["status"], "retried_failed");
    assert_eq!(said(&scene, sync, &claims[2]).await?, ["failed", "SOURCE_UNAVAILABLE"]);
    database.hold(&[claims[2].clone().with("cost_center", "1000")], None).await?;
    let ended = scene.admin.retried(sync).await?;
    assert_eq!(ended["status"], "retried_success", "{ended}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn columns_that_are_not_named_otherwise_are_what_is_sent() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut system = Held::start().await?;
    let claim = Claim::good(1);
    let database = ClaimsDatabase::start(std::slice::from_ref(&claim)).await?;
    let columns = "SELECT id, label, label AS title, total::text AS sum, true AS paid, NULL AS note FROM claims c";
    let source = with(
        database.settings(500)?,
        &[
            ("list_query", json!(format!("{columns} -- all of them"))),
            ("fetch_query", json!(format!("WITH c AS (SELECT * FROM claims) {columns} WHERE c.id = $1"))),
        ],
    );
    let settings = json!({ "url": system.url("/claims"), "source": source });
    let integration = scene.admin.connect(settings, credentials(&ClaimsDatabase::reader())).await?;
    let sync = scene.admin.trigger(integration).await?;
    let request = system.request().await?;
    for member in [r#""note":null"#, r#""paid":true"#, r#""sum":"1250.00""#, r#""title":"Claim C-1""#] {
        assert!(request.contains(member), "{member}: {request:?}");
    }
    assert!(!request.contains("label"), "{request:?}");
    request.answer(Act::answer("422 Unprocessable Content", "application/json", r#"{"detail":"no cost center"}"#));
    assert_eq!(scene.admin.finished(sync).await?["status"], "failed");

    // The same by itself.
    database.hold(&[claim.clone().with("amount", "1300.00")], None).await?;
    scene.admin.retry(sync).await?.ok()?;
    let request = system.request().await?;
    assert!(request.contains(r#""sum":"1300.00""#), "{request:?}");
    request.answer(Act::answer("200 OK", "application/json", "{}"));
    scene.admin.finished(sync).await?;
    assert_eq!(said(&scene, sync, &claim).await?[0], "succeeded");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_written_whatever_the_query() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let database = ClaimsDatabase::start(&Claim::many(1)).await?;
    database
        .execute(
            "
            CREATE TABLE readings (id uuid);
            CREATE FUNCTION noting(id uuid) RETURNS uuid LANGUAGE sql VOLATILE SECURITY DEFINER
                AS 'INSERT INTO readings VALUES (id) RETURNING id';
            CREATE FUNCTION noting_all_the_same(id uuid) RETURNS uuid LANGUAGE plpgsql VOLATILE SECURITY DEFINER
                AS 'BEGIN SET LOCAL transaction_read_only = off; INSERT INTO readings VALUES (id); RETURN id; END';
            GRANT INSERT ON readings TO syncwatch_test_reader;
            ",
        )
        .await?;
    let writing = [
        "SELECT noting(id) AS id, payload FROM claims",
        "SELECT noting_all_the_same(id) AS id, payload FROM claims",
        "SELECT id, set_config('transaction_read_only', 'off', true), noting(id), payload FROM claims",
        "WITH noted AS (INSERT INTO readings SELECT id FROM claims RETURNING id) SELECT id FROM noted",
        "SELECT id, payload FROM claims FOR UPDATE",
        "SELECT id, payload INTO copied FROM claims",
    ];
    for query in writing {
        let source = with(database.settings(500)?, &[("list_query", json!(query))]);
        let integration = connect(&scene, &books, source).await?;
        let why = unread(&scene, integration).await?;
        assert!(["25006", "25001", "0A000", "42"].iter().any(|state| why.contains(state)), "{query}: {why}");
        assert_eq!(database.count("SELECT count(*) FROM readings").await?, 0, "{query}");
    }
    assert_eq!(database.count("SELECT count(*) FROM pg_class WHERE relname = 'copied'").await?, 0);
    assert_eq!(books.log().await?.accepted, 0);

    // Two statements are not saved, to begin with.
    for query in ["SELECT 1; DELETE FROM claims", "DELETE FROM claims", "SELECT id FROM claims;"] {
        let source = with(database.settings(500)?, &[("list_query", json!(query))]);
        let body = json!({
            "name": "Two", "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
            "settings": { "url": books.url("/claims"), "source": source },
            "credentials": { "source": ClaimsDatabase::reader() },
        });
        let refused = scene.admin.post("/integrations", &body).await?;
        assert_eq!(refused.status, 422, "{}", refused.body);
        assert!(refused.body.to_string().contains("/settings/source/list_query"), "{}", refused.body);
    }
    assert_eq!(database.count("SELECT count(*) FROM claims").await?, 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn nothing_that_a_query_did_on_its_way_is_kept() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let database = ClaimsDatabase::start(&Claim::many(2)).await?;
    // The second part is asked for on the same connection, and finds the claims by what the first one has set.
    let changing = json!("SELECT id, payload, set_config('search_path', 'nowhere', false) AS path FROM claims");
    let source = with(database.settings(1)?, &[("list_query", changing)]);
    let integration = connect(&scene, &books, source).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (2, 2, 0)), "{sync}");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_role_that_reaches_beyond_its_database_is_refused() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let database = ClaimsDatabase::start(&Claim::many(1)).await?;
    // A role of its own, since the reader is other tests' as well. Roles are the cluster's: it may be there.
    database
        .execute(
            "
            DO $$
            BEGIN
                CREATE ROLE syncwatch_test_reaching LOGIN PASSWORD 'what the other reader shows';
                GRANT pg_read_server_files TO syncwatch_test_reaching;
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL;
            END
            $$
            ",
        )
        .await?;
    let other = [("username", json!("syncwatch_test_reaching")), ("password", json!("what the other reader shows"))];
    let login = with(ClaimsDatabase::reader(), &other);
    let settings = json!({
        "url": books.url("/claims"), "health_url": books.url("/health"), "source": database.settings(500)?,
    });
    let integration = scene.admin.connect(settings, credentials(&login)).await?;
    let found = scene.admin.post(&format!("/integrations/{integration}/test"), &json!({})).await?.ok()?;
    assert_eq!(found["source"]["code"], "ROLE_TOO_POWERFUL", "{found}");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_ended_in_the_database() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let database = ClaimsDatabase::start(&Claim::many(1)).await?;
    let slow = json!("SELECT id, payload FROM claims, pg_sleep(600)");
    let source = with(database.settings(500)?, &[("list_query", slow), ("timeout_ms", json!(1_000))]);
    let integration = connect(&scene, &books, source).await?;
    let why = unread(&scene, integration).await?;
    assert!(why.contains("too long") || why.contains("in time"), "{why}");
    until("the query has ended", async || {
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
                        AND usename = 'syncwatch_test_reader'";
        Ok((database.count(sleeping).await? == 0).then_some(()))
    })
    .await?;
    assert_eq!(books.log().await?.accepted, 0);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_list_that_names_a_record_twice_sends_nothing() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let database = ClaimsDatabase::start(&Claim::many(2)).await?;
    let twice = json!("SELECT id, payload FROM claims UNION ALL SELECT id, payload FROM claims");
    // Within a part of the list, and where one ends.
    for at_a_time in [1, 500] {
        let source = with(database.settings(at_a_time)?, &[("list_query", twice.clone())]);
        let integration = connect(&scene, &books, source).await?;
        let why = unread(&scene, integration).await?;
        assert!(why.contains("more than once"), "{why}");
    }
    assert_eq!(books.log().await?.accepted, 0);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_test_says_what_is_wrong_with_a_database() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let database = ClaimsDatabase::start(&Claim::many(3)).await?;
    let reader = ClaimsDatabase::reader();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let owner = database.owner()?;
    let wrong = with(reader.clone(), &[("password", json!("not what the reader shows"))]);
    let other = "SELECT id, payload FROM claims WHERE $1::uuid IS NOT NULL LIMIT 1";
    let cases = [
        (("page_size", json!(2)), &reader, "OK"),
        (("page_size", json!(2)), &owner, "ROLE_TOO_POWERFUL"),
        (("page_size", json!(2)), &wrong, "CREDENTIALS_REFUSED"),
        (("database", json!("no_such_database")), &reader, "DATABASE_MISSING"),
        (("port", json!(nobody)), &reader, "CONNECTION_REFUSED"),
        (("tls", json!("verify-full")), &reader, "TLS_FAILURE"),
        (("list_query", json!("SELECT id FORM claims")), &reader, "QUERY_REFUSED"),
        (("list_query", json!("SELECT payload FROM claims")), &reader, "QUERY_REFUSED"),
        (("list_query", json!("SELECT id::text, payload FROM claims")), &reader, "QUERY_REFUSED"),
        (("list_query", json!("SELECT id, rolpassword FROM claims, pg_authid")), &reader, "ACCESS_DENIED"),
        (("fetch_query", json!("SELECT id FROM claim WHERE id = $1")), &reader, "FETCH_QUERY_REFUSED"),
        (("fetch_query", json!(other)), &reader, "FETCH_SOURCE_UNCLEAR"),
    ];
    for ((name, value), login, expected) in cases {
        let source = with(database.settings(500)?, &[(name, value)]);
        let settings = json!({ "url": books.url("/claims"), "health_url": books.url("/health"), "source": source });
        let integration = scene.admin.connect(settings, credentials(login)).await?;
        let found = scene.admin.post(&format!("/integrations/{integration}/test"), &json!({})).await?.ok()?;
        assert_eq!(found["source"]["code"], expected, "{name}: {found}");
        assert!(!found.to_string().contains("the reader"), "{found}");
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_address_inside_is_not_read_from() -> anyhow::Result<()> {
    let scene = Scene::configured(|config| config.outbound.allow.clear()).await?;
    let database = ClaimsDatabase::start(&Claim::many(1)).await?;
    let body = |source: &Value| {
        json!({
            "name": "Inside", "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
            "settings": { "url": "https://books.example/claims", "source": source },
            "credentials": { "source": ClaimsDatabase::reader() },
        })
    };
    let refused = scene.admin.post("/integrations", &body(&database.settings(500)?)).await?;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.to_string().contains("/settings/source/host"), "{}", refused.body);
    let named = with(database.settings(500)?, &[("host", json!("localhost"))]);
    let integration = id_of(&scene.admin.post("/integrations", &body(&named)).await?.ok()?)?;
    let why = unread(&scene, integration).await?;
    assert!(why.contains("may not go"), "{why}");
    scene.stop().await;
    Ok(())
}
