//! A record that may have been booked is not free to leave as something else, whatever its next requests meet.

use chrono::Duration;
use serde_json::{Value, json};
use tests::peers::{Act, Behaviour, Books, Held, HeldRequest, Port};
use tests::story::{CLAIM, Claim, id_of, until};
use uuid::Uuid;

use crate::scene::Scene;

const KEY: &str = "Idempotency-Key";

/// Settings of an integration whose system recognises a repetition.
fn keyed(url: &str) -> Value {
    json!({ "url": url, "idempotency_header": KEY, "timeout_ms": 120_000 })
}

/// A gateway's error in place of the answer, which was a booking.
fn answer_lost() -> Behaviour {
    Behaviour { status: Some(502), book_first: Some(true), times: Some(1), ..Behaviour::default() }
}

fn refusal(status: &str) -> Act {
    Act::answer(status, "application/json", "{}")
}

fn booking() -> Act {
    Act::answer("201 Created", "application/json", "{\"reference\": \"V-1\"}")
}

async fn state_of(scene: &Scene, integration: Uuid, claim: &Claim) -> anyhow::Result<Value> {
    Ok(scene.admin.staged(integration, claim.id).await?["state"].clone())
}

/// Stages a correction, which must wait: it neither replaces what was sent nor is it due.
async fn correct(scene: &Scene, integration: Uuid, claim: &Claim) -> anyhow::Result<Claim> {
    let corrected = claim.clone().with("claim_number", "C-1 corrected");
    let staged = scene.admin.stage(integration, &corrected).await?;
    assert_eq!((staged.status, &staged.body["state"]), (200, &json!("unknown")), "{}", staged.body);
    assert_eq!(scene.admin.run(integration).await?["records_total"], 0);
    Ok(corrected)
}

#[tokio::test]
async fn a_correction_after_a_lost_answer_waits_and_one_booking_comes_of_it() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(keyed(&books.url("/claims")), json!({})).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    books.behave(answer_lost()).await?;
    let sync = id_of(&scene.admin.run(integration).await?)?;
    assert_eq!(scene.admin.outcome(sync, claim.id).await?["outcome"], "unknown");
    let corrected = correct(&scene, integration, &claim).await?;

    assert_eq!(scene.admin.retried(sync).await?["status"], "retried_success");
    assert_eq!(state_of(&scene, integration, &claim).await?, "delivered");
    let again = scene.admin.stage(integration, &corrected).await?;
    assert_eq!((again.status, again.code()), (409, "already_delivered"));
    let log = books.log().await?;
    assert_eq!((log.accepted, log.records[0].claim_number.as_str()), (1, "C-1"));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_repetition_that_is_not_taken_leaves_the_doubt() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let port = Port::reserve()?;
    let mut system = Held::start_on(&port).await?;
    let integration = scene.admin.connect(keyed(&system.url("/claims")), json!({})).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let sync = scene.admin.trigger(integration).await?;
    let first = system.request().await?;
    let key = first.header(KEY).map(str::to_owned);
    assert!(key.is_some());
    first.answer(refusal("502 Bad Gateway"));
    scene.admin.finished(sync).await?;
    correct(&scene, integration, &claim).await?;

    let declined = Act::answer("503 Service Unavailable", "application/problem+json", "{}");
    for (act, code) in [
        // Nobody is there.
        (None, "CONNECTION_REFUSED"),
        (Some(refusal("401 Unauthorized")), "HTTP_401"),
        (Some(refusal("429 Too Many Requests")), "HTTP_429"),
        (Some(declined), "HTTP_503"),
        // Nor does a second one end it.
        (None, "CONNECTION_REFUSED"),
    ] {
        if let Some(act) = act {
            scene.admin.retry(sync).await?.ok()?;
            system.request().await?.answer(act);
            assert_eq!(scene.admin.finished(sync).await?["status"], "retried_failed", "{code}");
        } else {
            system.stop().await;
            assert_eq!(scene.admin.retried(sync).await?["status"], "retried_failed", "{code}");
            system = Held::start_on(&port).await?;
        }
        let outcome = scene.admin.outcome(sync, claim.id).await?;
        let said = (&outcome["outcome"], &outcome["errors"][0]["code"], &outcome["state"]);
        assert_eq!(said, (&json!("failed"), &json!(code), &json!("unknown")), "{outcome}");
        correct(&scene, integration, &claim).await?;
    }

    scene.admin.retry(sync).await?.ok()?;
    let last = system.request().await?;
    assert_eq!(last.header(KEY), key.as_deref());
    assert!(last.contains("\"C-1\""), "the version that was sent");
    last.answer(booking());
    assert_eq!(scene.admin.finished(sync).await?["status"], "retried_success");
    assert_eq!(state_of(&scene, integration, &claim).await?, "delivered");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_person_ends_a_doubt_and_the_correction_leaves() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(keyed(&books.url("/claims")), json!({})).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    books.behave(Behaviour { status: Some(502), ..Behaviour::default() }).await?;
    let sync = id_of(&scene.admin.run(integration).await?)?;
    books.behave(Behaviour { status: Some(401), ..Behaviour::default() }).await?;
    scene.admin.retried(sync).await?;
    correct(&scene, integration, &claim).await?;
    books.behave(Behaviour::default()).await?;

    let decision = json!({ "resolution": "send_again", "reason": "not in the books" });
    let shown = scene.admin.resolve(sync, claim.id, &decision).await?.ok()?;
    assert_eq!(shown["state"], "failed");
    assert_eq!(scene.admin.retried(sync).await?["status"], "retried_success");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.records[0].claim_number.as_str()), (1, "C-1 corrected"));
    scene.stop().await;
    Ok(())
}

/// A sync whose only request has no answer yet when its attempt is taken for dead.
async fn abandoned(scene: &Scene, system: &mut Held, claim: &Claim) -> anyhow::Result<(Uuid, Uuid, HeldRequest)> {
    let integration = scene.admin.connect(keyed(&system.url("/claims")), json!({})).await?;
    scene.admin.stage_all(integration, std::slice::from_ref(claim)).await?;
    let sync = scene.admin.trigger(integration).await?;
    let request = system.request().await?;
    scene.clock.advance(Duration::seconds(61));
    let ended = scene.admin.finished(sync).await?;
    assert_eq!(ended["error_code"], "ATTEMPT_ABANDONED", "{ended}");
    assert_eq!(state_of(scene, integration, claim).await?, "unknown");
    Ok((integration, sync, request))
}

/// Waits until the answer to the abandoned attempt is recorded.
async fn until_answered(scene: &Scene, claim: &Claim, outcome: &str) -> anyhow::Result<()> {
    let path = format!("/source-records/{CLAIM}/{}/journey", claim.id);
    until("the late answer is recorded", async || {
        let journey = scene.admin.get(&path).await?.ok()?;
        let mut steps = journey["items"].as_array().into_iter().flatten();
        Ok(steps.any(|step| step["attempt"] == 0 && step["outcome"] == outcome).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_late_refusal_says_nothing_about_the_next_request() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(2)).await?;
    let mut system = Held::start().await?;
    let claim = Claim::good(1);
    let (integration, sync, first) = abandoned(&scene, &mut system, &claim).await?;
    let key = first.header(KEY).map(str::to_owned);
    assert!(key.is_some());
    scene.admin.retry(sync).await?.ok()?;
    let second = system.request().await?;
    assert_eq!(second.header(KEY), key.as_deref());

    first.answer(refusal("422 Unprocessable Content"));
    until_answered(&scene, &claim, "failed").await?;
    assert_eq!(state_of(&scene, integration, &claim).await?, "sending");
    second.answer(Act::Close);
    scene.admin.finished(sync).await?;
    correct(&scene, integration, &claim).await?;

    scene.admin.retry(sync).await?.ok()?;
    let third = system.request().await?;
    assert_eq!(third.header(KEY), key.as_deref());
    assert!(third.contains("\"C-1\""), "the version that was sent");
    third.answer(booking());
    assert_eq!(scene.admin.finished(sync).await?["status"], "retried_success");
    assert_eq!(state_of(&scene, integration, &claim).await?, "delivered");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_late_delivery_is_taken_whoever_sends_meanwhile() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(2)).await?;
    let mut system = Held::start().await?;
    let claim = Claim::good(1);
    let (integration, sync, first) = abandoned(&scene, &mut system, &claim).await?;
    scene.admin.retry(sync).await?.ok()?;
    let second = system.request().await?;
    first.answer(booking());
    until_answered(&scene, &claim, "succeeded").await?;
    assert_eq!(state_of(&scene, integration, &claim).await?, "delivered");
    second.answer(refusal("401 Unauthorized"));
    scene.admin.finished(sync).await?;
    assert_eq!(scene.admin.outcome(sync, claim.id).await?["outcome"], "failed");
    assert_eq!(state_of(&scene, integration, &claim).await?, "delivered");
    assert_eq!(scene.admin.retry(sync).await?.code(), "nothing_to_retry");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_late_refusal_of_the_request_in_doubt_ends_the_doubt() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(2)).await?;
    let mut system = Held::start().await?;
    let claim = Claim::good(1);
    let (integration, _, first) = abandoned(&scene, &mut system, &claim).await?;
    let key = first.header(KEY).map(str::to_owned);
    first.answer(refusal("422 Unprocessable Content"));
    until_answered(&scene, &claim, "failed").await?;
    assert_eq!(state_of(&scene, integration, &claim).await?, "failed");

    scene.admin.stage_all(integration, &[claim.clone().with("claim_number", "C-1 corrected")]).await?;
    let sync = scene.admin.trigger(integration).await?;
    let second = system.request().await?;
    assert_ne!(second.header(KEY), key.as_deref());
    second.answer(booking());
    assert_eq!(scene.admin.finished(sync).await?["status"], "success");
    assert_eq!(state_of(&scene, integration, &claim).await?, "delivered");
    scene.stop().await;
    Ok(())
}
