//! Records that Syncwatch reads by itself: all of them for a sync, and each once more before a retry, so that what is sent is
//! what they say now.

use chrono::{Duration, SecondsFormat};
use serde_json::{Value, json};
use tests::peers::{Act, Behaviour, Books, READING_TOKEN, Scripted, SourceApp};
use tests::story::{CLAIM, Claim, counts, id_of};
use uuid::Uuid;

use crate::scene::Scene;

/// How both are shown credentials of their own.
fn credentials(reading: &str) -> Value {
    json!({ "credentials": {
        "target": { "type": "bearer", "token": "what the books are shown" }, "source": { "type": "bearer", "token": reading },
    } })
}

/// An integration that reads from the app and sends to the books.
async fn connect(scene: &Scene, app: &SourceApp, books: &Books) -> anyhow::Result<Uuid> {
    let settings = json!({ "url": books.url("/claims"), "source": app.settings(2) });
    scene.admin.connect(settings, credentials(READING_TOKEN)).await
}

/// One whose source says the same to everybody.
async fn connect_to(scene: &Scene, books: &Books, source: &Scripted) -> anyhow::Result<Uuid> {
    let source = json!({
        "kind": "http", "type": CLAIM, "list_url": source.url("/claims"),
        "fetch_url": source.url("/claims/{source_record_id}"), "items_pointer": "/items", "next_pointer": "/next",
        "id_pointer": "/id",
    });
    scene.admin.connect(json!({ "url": books.url("/claims"), "source": source }), json!({})).await
}

/// A claim's outcome in a sync and the code of what was said.
async fn said(scene: &Scene, sync: Uuid, claim: &Claim) -> anyhow::Result<[String; 2]> {
    let outcome = scene.admin.outcome(sync, claim.id).await?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok([word(&outcome["outcome"]), word(&outcome["errors"][0]["code"])])
}

/// What a sync's warning says; nothing where there is none.
fn warning<'a>(sync: &'a Value, code: &str) -> &'a str {
    let warnings = sync["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = warnings.iter().find(|warning| warning["code"] == code);
    found.and_then(|warning| warning["message"].as_str()).unwrap_or_default()
}

fn moment(scene: &Scene, ago: Duration) -> String {
    (scene.clock.now() - ago).to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[tokio::test]
async fn a_sync_takes_what_its_source_has() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let mut claims = Claim::many(4);
    claims.push(Claim::bad(5));
    let app = SourceApp::start(&claims).await?;
    let integration = connect(&scene, &app, &books).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("failed"), (5, 4, 1)), "{sync}");
    let outcome = scene.admin.outcome(id_of(&sync)?, claims[0].id).await?;
    let expected = [("label", json!("Claim C-1")), ("amount", json!("1250.00")), ("currency", json!("NOK"))];
    for (member, value) in expected {
        assert_eq!(outcome[member], value, "{member}");
    }
    // What has arrived is not due again, and what failed only once it has changed.
    assert_eq!(scene.admin.run(integration).await?["records_total"], 0);

    // What has not changed since is not looked at.
    claims[4] = claims[4].clone().with("cost_center", "1000");
    app.hold(&claims, Some(&moment(&scene, Duration::days(2))))?;
    assert_eq!(scene.admin.run(integration).await?["records_total"], 0);
    app.hold(&claims, Some(&moment(&scene, Duration::zero())))?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (1, 1, 0)), "{sync}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (5, 0));
    assert!(scene.tables_that_hold(READING_TOKEN).await?.is_empty());
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_retry_sends_what_the_source_says_now() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let claims = [Claim::bad(1), Claim::bad(2), Claim::bad(3)];
    let app = SourceApp::start(&claims).await?;
    let integration = connect(&scene, &app, &books).await?;
    let sync = id_of(&scene.admin.run(integration).await?)?;

    // One is corrected, one is no more, one is as it was.
    let corrected = claims[0].clone().with("cost_center", "1000").with("claim_number", "C-1 corrected");
    app.hold(&[corrected, claims[2].clone()], None)?;
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
    app.break_down()?;
    assert_eq!(scene.admin.preview(sync).await?["unchanged"], 1, "what is not known is told as before");
    assert_eq!(scene.admin.retried(sync).await?["status"], "retried_failed");
    assert_eq!(said(&scene, sync, &claims[2]).await?, ["failed", "SOURCE_UNAVAILABLE"]);
    app.hold(&[claims[2].clone().with("cost_center", "1000")], None)?;
    let ended = scene.admin.retried(sync).await?;
    assert_eq!(ended["status"], "retried_success", "{ended}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_in_doubt_is_asked_for_and_not_sent_once_its_source_has_it_no_more() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(10)).await?;
    let books = Books::fastapi().await?;
    let claims = [Claim::good(1), Claim::good(2)];
    let app = SourceApp::start(&claims).await?;
    let look_up = json!({
        "url": books.url("/claims?record={source_record_id}"), "found_pointer": "/items/0",
        "record_pointer": "/items/0/record_id", "reference_pointer": "/items/0/reference",
    });
    let settings = json!({
        "url": books.url("/claims"), "source": app.settings(2), "look_up": look_up, "settle_seconds": 0,
        "concurrency": 1, "timeout_ms": 10_000,
    });
    let integration = scene.admin.connect(settings, credentials(READING_TOKEN)).await?;
    // The first one is booked and its answer is lost; so is the second one, before it was booked.
    books.behave(Behaviour { reset_after: Some(0), times: Some(1), ..Behaviour::default() }).await?;
    let one = json!({ "source_record_type": CLAIM, "source_record_id": claims[0].id });
    let path = format!("/integrations/{integration}/syncs");
    let first = id_of(&scene.admin.post(&path, &one).await?.ok()?)?;
    assert_eq!(counts(&scene.admin.finished(first).await?).0, 1, "it is read by itself");
    books.behave(Behaviour { reset_after: Some(0), reset_before: Some(true), ..Behaviour::default() }).await?;
    let second = id_of(&scene.admin.run(integration).await?)?;
    books.behave(Behaviour::default()).await?;
    assert_eq!(said(&scene, first, &claims[0]).await?[0], "unknown");
    assert_eq!(said(&scene, second, &claims[1]).await?[0], "unknown");

    app.hold(&[], None)?;
    scene.clock.advance(Duration::minutes(1));
    assert_eq!(scene.admin.retried(first).await?["status"], "retried_success");
    assert_eq!(said(&scene, first, &claims[0]).await?, ["succeeded", ""]);
    scene.admin.retried(second).await?;
    assert_eq!(said(&scene, second, &claims[1]).await?, ["skipped", "SOURCE_GONE"]);
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (1, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_source_that_cannot_be_read_fails_the_sync_which_begins_anew_when_retried() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let claims = Claim::many(3);
    let app = SourceApp::start(&claims).await?;
    let integration = connect(&scene, &app, &books).await?;
    app.break_down()?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("failed"), &json!("SOURCE_UNAVAILABLE")), "{sync}");
    assert!(sync["error_message"].as_str().unwrap_or_default().contains("The system answered 500"), "{sync}");
    assert_eq!((books.log().await?.accepted, &sync["retryable"]), (0, &json!(true)));
    app.hold(&claims, None)?;
    let ended = scene.admin.retried(id_of(&sync)?).await?;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("retried_success"), (3, 3, 0)), "{ended}");
    assert_eq!(books.log().await?.duplicates, 0);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_changed_after_it_had_arrived_is_told_and_not_sent() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let claims = Claim::many(2);
    let app = SourceApp::start(&claims).await?;
    let integration = connect(&scene, &app, &books).await?;
    assert_eq!(scene.admin.run(integration).await?["status"], "success");
    app.hold(&[claims[0].clone().with("member", "Ola N."), claims[1].clone()], None)?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!(sync["status"], "success", "{sync}");
    assert!(warning(&sync, "CHANGED_AFTER_DELIVERY").ends_with(": 1"), "{sync}");
    assert_eq!(books.log().await?.accepted, 2);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_source_leads_nowhere_else_and_what_is_no_record_is_left_out() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let elsewhere = Scripted::start(Act::answer("200 OK", "application/json", "{\"items\": []}")).await?;
    let answer = |body: &Value| Act::answer("200 OK", "application/json", &body.to_string());
    let location = format!(
        "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        elsewhere.url("/claims")
    );
    let refused = [
        answer(&json!({ "items": [], "next": elsewhere.url("/claims?page=2") })),
        answer(&json!({ "items": [], "next": "?" })),
        answer(&json!({ "claims": [] })),
        Act::Answer(location.into_bytes()),
        Act::answer("200 OK", "text/html", "<html>Sign in</html>"),
        Act::Close,
    ];
    let number = refused.len();
    for (place, act) in refused.into_iter().enumerate() {
        let source = Scripted::start(act).await?;
        let integration = connect_to(&scene, &books, &source).await?;
        let sync = scene.admin.run(integration).await?;
        // A list that says it goes on where it is: the second time it is the same address.
        assert_eq!(sync["error_code"], "SOURCE_UNAVAILABLE", "{place} of {number}: {sync}");
        assert!(source.requests() > 0);
    }
    assert_eq!(elsewhere.requests(), 0);

    let claim = Claim::good(1);
    let list = json!({ "items": [claim.payload, { "id": "claim 7" }, { "id": 8 }], "next": null });
    let source = Scripted::start(answer(&list)).await?;
    let integration = connect_to(&scene, &books, &source).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (1, 1, 0)), "{sync}");
    assert!(warning(&sync, "SOURCE_ID_NOT_UUID").ends_with(": 2"), "{sync}");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn each_set_of_credentials_is_tested_and_changed_by_itself() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let app = SourceApp::start(&[]).await?;
    let settings =
        json!({ "url": books.url("/claims"), "health_url": books.url("/health"), "source": app.settings(2) });
    let integration = scene.admin.connect(settings, credentials("a wrong token")).await?;
    let path = format!("/integrations/{integration}/test");
    let found = scene.admin.post(&path, &json!({})).await?.ok()?;
    assert_eq!((&found["ok"], &found["code"]), (&json!(true), &json!("OK")), "{found}");
    assert_eq!((&found["source"]["ok"], &found["source"]["code"]), (&json!(false), &json!("CREDENTIALS_REFUSED")));
    let right = json!({ "credentials": { "source": { "type": "bearer", "token": READING_TOKEN } } });
    let found = scene.admin.post(&path, &right).await?.ok()?;
    assert_eq!((&found["ok"], &found["source"]["ok"]), (&json!(true), &json!(true)), "{found}");

    scene.admin.change(&format!("/integrations/{integration}"), &right).await?;
    let found = scene.admin.post(&path, &json!({})).await?.ok()?;
    assert_eq!((&found["ok"], &found["source"]["ok"]), (&json!(true), &json!(true)), "{found}");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_test_reads_the_list_and_a_record_of_it() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let app = SourceApp::start(&[Claim::good(1)]).await?;
    let nowhere = app.url("/api/members/{source_record_id}");
    let cases = [
        ("type", json!(CLAIM), "OK", "read by its id"),
        ("list_url", json!(app.url("/api/members")), "HTTP_404", "The list could not be read."),
        ("fetch_url", json!(nowhere), "FETCH_HTTP_404", "no single record"),
        ("record_pointer", json!("/data"), "FETCH_SOURCE_UNCLEAR", "no single record"),
    ];
    for (name, value, code, words) in cases {
        let mut source = app.settings(2);
        source[name] = value;
        let settings = json!({ "url": books.url("/claims"), "source": source });
        let integration = scene.admin.connect(settings, credentials(READING_TOKEN)).await?;
        let found = scene.admin.post(&format!("/integrations/{integration}/test"), &json!({})).await?.ok()?;
        let source = &found["source"];
        assert_eq!((&source["ok"], &source["code"]), (&json!(code == "OK"), &json!(code)), "{name}: {found}");
        assert!(source["message"].as_str().is_some_and(|message| message.contains(words)), "{name}: {found}");
    }
    // Nobody can be asked for where the list is empty.
    app.hold(&[], None)?;
    let mut source = app.settings(2);
    source["fetch_url"] = json!(nowhere);
    let settings = json!({ "url": books.url("/claims"), "source": source });
    let integration = scene.admin.connect(settings, credentials(READING_TOKEN)).await?;
    let found = scene.admin.post(&format!("/integrations/{integration}/test"), &json!({})).await?.ok()?;
    assert_eq!((&found["source"]["ok"], &found["source"]["code"]), (&json!(true), &json!("OK")), "{found}");
    scene.stop().await;
    Ok(())
}
