//! Before a record of unknown fate is sent again, its system is asked, as its requests had left: what has arrived is never
//! sent again, and where nobody can be asked a person decides.

use chrono::Duration;
use serde_json::{Value, json};
use tests::peers::{Act, Behaviour, Books, Held, Scripted};
use tests::story::{Claim, counts, id_of, until};
use uuid::Uuid;

use crate::scene::Scene;

const KEY: &str = "Idempotency-Key";
/// How long a system is given in these tests until it is believed: what it settles within, and a request's time.
const SETTLED: Duration = Duration::seconds(71);

/// How the bookkeeping peer is asked for a claim.
fn look_up(books: &Books) -> Value {
    json!({
        "url": books.url("/claims?record={source_record_id}"), "found_pointer": "/items/0",
        "record_pointer": "/items/0/record_id", "reference_pointer": "/items/0/reference",
    })
}

/// Settings of an integration whose system recognises nothing, but can be asked.
fn looked_up(books: &Books) -> Value {
    json!({ "url": books.url("/claims"), "timeout_ms": 10_000, "settle_seconds": 60, "look_up": look_up(books) })
}

/// A gateway's error in place of the answer, which was a booking.
fn answer_lost() -> Behaviour {
    Behaviour { status: Some(502), book_first: Some(true), times: Some(1), ..Behaviour::default() }
}

/// The connection breaks before anything is booked.
fn request_lost() -> Behaviour {
    Behaviour { reset_after: Some(0), reset_before: Some(true), times: Some(1), ..Behaviour::default() }
}

/// A sync of one claim whose fate is unknown after it.
async fn doubtful(scene: &Scene, integration: Uuid, claim: &Claim) -> anyhow::Result<Uuid> {
    scene.admin.stage_all(integration, std::slice::from_ref(claim)).await?;
    let sync = id_of(&scene.admin.run(integration).await?)?;
    assert_eq!(scene.admin.outcome(sync, claim.id).await?["outcome"], "unknown");
    Ok(sync)
}

/// Records that a retry would send, would ask for, and would leave to a person.
async fn preview(scene: &Scene, sync: Uuid) -> anyhow::Result<(i64, i64, i64)> {
    let preview = scene.admin.preview(sync).await?;
    let number = |name: &str| preview[name].as_i64().unwrap_or(-1);
    Ok((number("records"), number("asked"), number("unknown")))
}

/// A claim's outcome in a sync, the code of what was said, and where it stands.
async fn said(scene: &Scene, sync: Uuid, claim: &Claim) -> anyhow::Result<[String; 3]> {
    let outcome = scene.admin.outcome(sync, claim.id).await?;
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok([word(&outcome["outcome"]), word(&outcome["errors"][0]["code"]), word(&outcome["state"])])
}

async fn change(scene: &Scene, integration: Uuid, patch: Value) -> anyhow::Result<()> {
    scene.admin.change(&format!("/integrations/{integration}"), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn a_record_that_is_found_is_never_sent_again() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(looked_up(&books), json!({})).await?;
    let claim = Claim::good(1);
    books.behave(answer_lost()).await?;
    let sync = doubtful(&scene, integration, &claim).await?;
    let corrected = claim.clone().with("claim_number", "C-1 corrected");
    assert_eq!(scene.admin.stage(integration, &corrected).await?.ok()?["state"], "unknown");
    assert_eq!(preview(&scene, sync).await?, (0, 1, 0));

    let ended = scene.admin.retried(sync).await?;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("retried_success"), (1, 1, 0)), "{ended}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.records[0].claim_number.as_str()), (1, "C-1"));
    let reference = json!(log.reference_of(claim.id));
    let outcome = scene.admin.outcome(sync, claim.id).await?;
    assert_eq!((&outcome["outcome"], &outcome["attempt"]), (&json!("succeeded"), &json!(1)), "{outcome}");
    assert_eq!(outcome["external_reference_id"], reference);
    let staged = scene.admin.staged(integration, claim.id).await?;
    assert_eq!((&staged["state"], &staged["external_reference_id"]), (&json!("delivered"), &reference));
    let again = scene.admin.stage(integration, &corrected).await?;
    assert_eq!((again.status, again.code()), (409, "already_delivered"));
    assert_eq!(scene.admin.retry(sync).await?.code(), "nothing_to_retry");
    assert_eq!(scene.admin.integration(integration).await?["health"]["light"], "green");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_record_that_is_missing_is_sent_once_nothing_can_be_on_its_way() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(2)).await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(looked_up(&books), json!({})).await?;
    let claim = Claim::good(1);
    books.behave(request_lost()).await?;
    let sync = doubtful(&scene, integration, &claim).await?;
    scene.admin.stage_all(integration, &[claim.clone().with("claim_number", "C-1 corrected")]).await?;

    for _ in 0..2 {
        assert_eq!(scene.admin.retried(sync).await?["status"], "retried_failed");
        assert_eq!(said(&scene, sync, &claim).await?, ["unknown", "ASKED_TOO_EARLY", "unknown"]);
        assert_eq!(scene.admin.outcome(sync, claim.id).await?["label"], "Claim C-1 corrected");
        assert_eq!(preview(&scene, sync).await?, (0, 1, 0));
        assert_eq!(books.log().await?.accepted, 0);
        // A sync of everything asks nobody and sends nothing.
        assert_eq!(scene.admin.run(integration).await?["records_total"], 0);
    }
    scene.clock.advance(SETTLED);
    let ended = scene.admin.retried(sync).await?;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("retried_success"), (1, 1, 0)), "{ended}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.records[0].claim_number.as_str()), (1, "C-1 corrected"));
    assert_eq!(scene.admin.staged(integration, claim.id).await?["state"], "delivered");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_booking_that_comes_after_the_timeout_is_found() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(looked_up(&books), json!({})).await?;
    let claim = Claim::good(1);
    books.behave(Behaviour { hold_after: Some(0), ..Behaviour::default() }).await?;
    let sync = doubtful(&scene, integration, &claim).await?;
    assert_eq!(said(&scene, sync, &claim).await?, ["unknown", "TIMEOUT", "unknown"]);
    assert_eq!(scene.admin.retried(sync).await?["status"], "retried_failed");
    assert_eq!(said(&scene, sync, &claim).await?, ["unknown", "ASKED_TOO_EARLY", "unknown"]);

    books.behave(Behaviour::default()).await?;
    until("the request is worked on", async || Ok((books.log().await?.accepted == 1).then_some(()))).await?;
    assert_eq!(scene.admin.retried(sync).await?["status"], "retried_success");
    assert_eq!(said(&scene, sync, &claim).await?, ["succeeded", "", "delivered"]);
    assert_eq!(books.log().await?.accepted, 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn many_records_are_asked_for_beside_those_that_are_sent() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(2)).await?;
    let books = Books::fastapi().await?;
    let mut settings = looked_up(&books);
    settings["look_up"] = json!({
        "url": books.url("/claims/{source_record_id}"), "absent_status": [404], "record_pointer": "/record_id",
    });
    settings["concurrency"] = json!(1);
    let integration = scene.admin.connect(settings, json!({})).await?;
    // More than are asked for at a time: half of them booked, half of them lost, and one that is refused.
    // Records leave in the order of their ids, the refused one after those that are lost.
    let (booked, lost, bad) = (Claim::many(70), Claim::many(70), Claim::bad(71));
    // An error of the system's own, which says that it is there.
    let vague = Behaviour { status: Some(500), times: Some(70), ..Behaviour::default() };
    books.behave(Behaviour { book_first: Some(true), ..vague }).await?;
    scene.admin.stage_all(integration, &booked).await?;
    let first = id_of(&scene.admin.run(integration).await?)?;
    assert_eq!(books.log().await?.accepted, 70);
    books.behave(vague).await?;
    scene.admin.stage_all(integration, &lost).await?;
    scene.admin.stage_all(integration, std::slice::from_ref(&bad)).await?;
    let second = id_of(&scene.admin.run(integration).await?)?;
    books.behave(Behaviour::default()).await?;
    assert_eq!((preview(&scene, first).await?, preview(&scene, second).await?), ((0, 70, 0), (1, 70, 0)));

    scene.clock.advance(SETTLED);
    scene.admin.stage_all(integration, &[bad.clone().with("cost_center", "1000")]).await?;
    for (sync, total) in [(first, 70), (second, 71)] {
        let ended = scene.admin.retried(sync).await?;
        assert_eq!((&ended["status"], counts(&ended)), (&json!("retried_success"), (total, total, 0)), "{ended}");
    }
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (141, 0));
    assert!(scene.admin.all_are("delivered", integration, &booked).await?);
    assert!(scene.admin.all_are("delivered", integration, &lost).await?);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_says_nothing_clearly_leaves_the_doubt() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(10)).await?;
    let gone = Scripted::start(Act::Close).await?;
    let json = |status: &str, body: &str| Act::answer(status, "application/json", body);
    let rows = [
        (Act::Close, "NO_ANSWER"),
        (json("500 Internal Server Error", "{}"), "HTTP_500"),
        (json("401 Unauthorized", "{}"), "HTTP_401"),
        (json("302 Found", "{}"), "HTTP_302"),
        (Act::answer("404 Not Found", "text/html", "<html>Nothing here</html>"), "NOT_JSON"),
        (json("200 OK", "{\"items\": null}"), "LOOK_UP_UNCLEAR"),
        (json("200 OK", "{\"message\": \"Under maintenance\"}"), "LOOK_UP_UNCLEAR"),
        (json("200 OK", "{\"items\": [], \"error\": \"index is being built\"}"), "REJECTED"),
        (json("200 OK", "{\"items\": [{\"record_id\": \"another\"}]}"), "LOOK_UP_MISMATCH"),
    ];
    let number = rows.len();
    for (act, code) in rows {
        let asked = Scripted::start(act).await?;
        let look_up = json!({
            "url": asked.url("/claims?record={source_record_id}"), "found_pointer": "/items/0",
            "record_pointer": "/items/0/record_id", "absent_status": [404],
        });
        let settings = json!({ "url": gone.url("/claims"), "look_up": look_up, "settle_seconds": 0 });
        let integration = scene.admin.connect(settings, json!({})).await?;
        let claim = Claim::good(1);
        let sync = doubtful(&scene, integration, &claim).await?;
        // However much time it had.
        scene.clock.advance(Duration::seconds(16));
        assert_eq!(scene.admin.retried(sync).await?["status"], "retried_failed", "{code}");
        assert_eq!(said(&scene, sync, &claim).await?, ["unknown", code, "unknown"]);
        assert_eq!(preview(&scene, sync).await?, (0, 1, 0), "{code}");
        assert_eq!(asked.requests(), 1, "{code}");
    }
    assert_eq!(gone.requests(), number, "each record left once");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_header_that_is_set_later_recognises_nothing_that_was_sent_before() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    let (before, after) = (Claim::good(1), Claim::good(2));
    books.behave(answer_lost()).await?;
    let first = doubtful(&scene, integration, &before).await?;
    let keyed = json!({ "url": books.url("/claims"), "idempotency_header": KEY });
    change(&scene, integration, json!({ "settings": keyed })).await?;
    assert_eq!(preview(&scene, first).await?, (0, 0, 1));
    assert_eq!(scene.admin.retry(first).await?.code(), "nothing_to_retry");

    books.behave(answer_lost()).await?;
    let second = doubtful(&scene, integration, &after).await?;
    assert_eq!(preview(&scene, second).await?, (1, 0, 0));
    assert_eq!(scene.admin.retried(second).await?["status"], "retried_success");
    // Another header is as good as none.
    books.behave(answer_lost()).await?;
    let third = doubtful(&scene, integration, &Claim::good(3)).await?;
    let renamed = json!({ "url": books.url("/claims"), "idempotency_header": "X-Request-Id" });
    change(&scene, integration, json!({ "settings": renamed })).await?;
    assert_eq!(preview(&scene, third).await?, (0, 0, 1));
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (3, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn another_system_or_account_is_not_asked() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let mut settings = looked_up(&books);
    settings["idempotency_header"] = json!(KEY);
    let integration = scene.admin.connect(settings.clone(), json!({})).await?;
    books.behave(answer_lost()).await?;
    let sync = doubtful(&scene, integration, &Claim::good(1)).await?;
    assert_eq!(preview(&scene, sync).await?, (1, 0, 0));

    let with = |name: &str, value: Value| {
        let mut changed = settings.clone();
        changed[name] = value;
        json!({ "settings": changed })
    };
    for (mut patch, expected) in [
        (with("url", json!(books.url("/claims?company=2"))), (0, 0, 1)),
        (with("headers", json!({ "X-Company": "2" })), (0, 0, 1)),
        (with("idempotency_header", Value::Null), (0, 1, 0)),
        (with("look_up", Value::Null), (1, 0, 0)),
        (with("concurrency", json!(2)), (1, 0, 0)),
        (json!({ "settings": settings, "credentials": { "type": "bearer", "token": "another account" } }), (0, 0, 1)),
    ] {
        if patch["settings"]["look_up"].is_null() {
            patch["settings"]["settle_seconds"] = Value::Null;
        }
        change(&scene, integration, patch.clone()).await?;
        assert_eq!(preview(&scene, sync).await?, expected, "{patch}");
    }
    assert_eq!(scene.admin.retry(sync).await?.code(), "nothing_to_retry");
    assert_eq!(books.log().await?.accepted, 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_key_is_trusted_for_as_long_as_the_system_remembers_it() -> anyhow::Result<()> {
    let mut scene = Scene::before_now(Duration::hours(3)).await?;
    let books = Books::fastapi().await?;
    let mut settings = json!({ "url": books.url("/claims"), "idempotency_header": KEY, "idempotency_hours": 1 });
    let integration = scene.admin.connect(settings.clone(), json!({})).await?;
    let claim = Claim::good(1);
    books.behave(answer_lost()).await?;
    let sync = doubtful(&scene, integration, &claim).await?;
    scene.clock.advance(Duration::minutes(50));
    scene.sign_in_again().await?;
    assert_eq!(preview(&scene, sync).await?, (1, 0, 0));
    // A repetition that is lost as well makes nothing younger.
    books.behave(Behaviour { reset_after: Some(0), ..Behaviour::default() }).await?;
    scene.admin.retried(sync).await?;
    books.behave(Behaviour::default()).await?;
    assert_eq!(preview(&scene, sync).await?, (1, 0, 0));
    scene.clock.advance(Duration::minutes(6));
    scene.sign_in_again().await?;
    assert_eq!(preview(&scene, sync).await?, (0, 0, 1));
    assert_eq!(scene.admin.retry(sync).await?.code(), "nothing_to_retry");

    // A look-up that is set later asks the same system.
    settings["look_up"] = look_up(&books);
    change(&scene, integration, json!({ "settings": settings })).await?;
    assert_eq!(preview(&scene, sync).await?, (0, 1, 0));
    assert_eq!(scene.admin.retried(sync).await?["status"], "retried_success");
    assert_eq!(said(&scene, sync, &claim).await?, ["succeeded", "", "delivered"]);
    assert_eq!(books.log().await?.accepted, 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_stop_while_it_is_asked_leaves_the_doubt() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let mut system = Held::start().await?;
    let look_up = json!({ "url": system.url("/claims/{source_record_id}"), "absent_status": [404] });
    let settings = json!({ "url": system.url("/claims"), "timeout_ms": 120_000, "look_up": look_up });
    let integration = scene.admin.connect(settings, json!({})).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let sync = scene.admin.trigger(integration).await?;
    system.request().await?.answer(Act::Close);
    scene.admin.finished(sync).await?;

    scene.admin.retry(sync).await?.ok()?;
    let question = system.request().await?;
    assert!(question.contains(&format!("GET /claims/{} ", claim.id)));
    scene.end().await;
    scene.start_again().await?;
    assert_eq!(scene.admin.sync(sync).await?["error_code"], "WORKER_STOPPED");
    assert_eq!(said(&scene, sync, &claim).await?, ["unknown", "", "unknown"]);
    assert_eq!(scene.admin.attempts(sync).await?[1]["records_unknown"], 1);
    assert_eq!(preview(&scene, sync).await?, (0, 1, 0));
    assert!(system.is_quiet(), "nothing was sent");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_look_up_that_cannot_tell_versions_apart_is_refused() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let body = json!({
        "name": "Books", "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
        "settings": looked_up(&books), "allow_updates": true,
    });
    let refused = scene.admin.post("/integrations", &body).await?;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.to_string().contains("\"/settings/look_up\""), "{}", refused.body);
    scene.stop().await;
    Ok(())
}
