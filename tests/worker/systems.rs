//! External systems that are away, slow or answer rubbish: recorded as it was, and nobody else's trouble.

use serde_json::{Value, json};
use tests::peers::{Act, Behaviour, Books, Port, Scripted};
use tests::story::{Claim, id_of};
use uuid::Uuid;

use crate::scene::Scene;

/// What becomes of a record that meets such a system.
struct Fate {
    outcome: &'static str,
    code: Option<&'static str>,
    status: Option<u16>,
}

const fn fate(outcome: &'static str, code: Option<&'static str>, status: Option<u16>) -> Fate {
    Fate { outcome, code, status }
}

#[tokio::test]
async fn whatever_a_system_does_is_recorded_and_the_others_go_on() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let page = "<!doctype html><html><body><h1>Please sign in</h1></body></html>";
    let acts = [
        (Act::Hang, fate("unknown", Some("TIMEOUT"), None)),
        (Act::Close, fate("unknown", Some("NO_ANSWER"), None)),
        (Act::answer("200 OK", "text/html", page), fate("unknown", Some("NOT_JSON"), Some(200))),
        (Act::answer("200 OK", "application/json", "{\"id\": \"cut o"), fate("unknown", Some("NOT_JSON"), Some(200))),
        (Act::answer("200 OK", "application/json", ""), fate("succeeded", None, Some(200))),
        (
            Act::answer("200 OK", "application/json", &format!("\"{}\"", "x".repeat(10_000_000))),
            fate("unknown", Some("ANSWER_TOO_LARGE"), Some(200)),
        ),
        (Act::answer("500 Internal Server Error", "text/html", page), fate("unknown", Some("HTTP_500"), Some(500))),
        // A gateway's word, and the system's own.
        (Act::answer("503 Service Unavailable", "text/html", page), fate("unknown", Some("HTTP_503"), Some(503))),
        (
            Act::answer("503 Service Unavailable", "application/problem+json", "{\"title\": \"Down for the night\"}"),
            fate("failed", Some("HTTP_503"), Some(503)),
        ),
        // Somebody gave up waiting for somebody else.
        (Act::answer("408 Request Timeout", "text/html", page), fate("unknown", Some("HTTP_408"), Some(408))),
        (Act::answer("302 Found", "text/html", page), fate("failed", Some("HTTP_302"), Some(302))),
        (Act::answer("401 Unauthorized", "text/html", page), fate("failed", Some("HTTP_401"), Some(401))),
    ];
    let mut systems = Vec::new();
    let mut expected = Vec::new();
    for (act, fate) in acts {
        // The silent one's request has to leave within that time, too; the others' answers come for certain.
        let timeout_ms = if matches!(act, Act::Hang) { 10_000 } else { 120_000 };
        let system = Scripted::start(act).await?;
        expected.push((json!({ "url": system.url("/claims"), "timeout_ms": timeout_ms }), fate));
        systems.push(system);
    }
    let nobody = Port::reserve()?;
    expected.push((
        json!({ "url": format!("http://127.0.0.1:{}/claims", nobody.number()) }),
        fate("failed", Some("CONNECTION_REFUSED"), None),
    ));

    let books = Books::fastapi().await?;
    let healthy = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    scene.admin.stage_all(healthy, &Claim::many(3)).await?;
    let mut started: Vec<(Uuid, Uuid, Fate)> = Vec::new();
    for (settings, fate) in expected {
        let integration = scene.admin.connect(settings, json!({})).await?;
        let claim = Claim::good(1);
        scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
        started.push((scene.admin.trigger(integration).await?, claim.id, fate));
    }
    let sync = scene.admin.run(healthy).await?;
    assert_eq!((&sync["status"], &sync["records_processed"]), (&json!("success"), &json!(3)));
    assert_eq!(scene.admin.integration(healthy).await?["health"]["light"], "green");

    for (sync, claim, fate) in started {
        let ended = scene.admin.finished(sync).await?;
        let outcome = scene.admin.outcome(sync, claim).await?;
        assert_eq!(outcome["outcome"], fate.outcome, "{outcome}");
        assert_eq!(outcome["errors"][0]["code"], fate.code.map_or(Value::Null, Value::from), "{outcome}");
        assert_eq!(outcome["http_status_code"], fate.status.map_or(Value::Null, Value::from), "{outcome}");
        assert_eq!(ended["status"], if fate.outcome == "succeeded" { "success" } else { "failed" });
    }
    assert!(systems.iter().all(|system| system.requests() == 1), "each record left once");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_record_of_unknown_fate_waits_for_a_decision() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let settings = json!({ "url": books.url("/claims"), "concurrency": 1 });
    let integration = scene.admin.connect(settings, json!({})).await?;
    let (booked, lost) = (Claim::good(1), Claim::good(2));

    scene.admin.stage_all(integration, std::slice::from_ref(&booked)).await?;
    books.behave(Behaviour { reset_after: Some(0), ..Behaviour::default() }).await?;
    let first = id_of(&scene.admin.run(integration).await?)?;
    books.behave(Behaviour { reset_after: Some(0), reset_before: Some(true), ..Behaviour::default() }).await?;
    scene.admin.stage_all(integration, std::slice::from_ref(&lost)).await?;
    let second = id_of(&scene.admin.run(integration).await?)?;
    books.behave(Behaviour::default()).await?;
    assert_eq!(books.log().await?.accepted, 1);

    for (sync, claim) in [(first, &booked), (second, &lost)] {
        assert_eq!(scene.admin.staged(integration, claim.id).await?["state"], "unknown");
        let preview = scene.admin.preview(sync).await?;
        assert_eq!((&preview["records"], &preview["unknown"]), (&json!(0), &json!(1)));
        assert_eq!(scene.admin.retry(sync).await?.code(), "nothing_to_retry");
        assert_eq!(scene.admin.attempts(sync).await?[0]["records_unknown"], 1);
    }
    assert_eq!(scene.admin.run(integration).await?["records_total"], 0);
    let shown = scene.admin.integration(integration).await?;
    assert_eq!(shown["undelivered"]["records"], 2);

    let delivered = json!({ "resolution": "delivered", "reason": "seen in the books", "reference": "V-000001" });
    let shown = scene.admin.resolve(first, booked.id, &delivered).await?.ok()?;
    assert_eq!(shown["state"], "delivered");
    assert_eq!(scene.admin.staged(integration, booked.id).await?["external_reference_id"], "V-000001");
    let again = json!({ "resolution": "send_again", "reason": "not in the books" });
    scene.admin.resolve(second, lost.id, &again).await?.ok()?;
    assert_eq!(scene.admin.preview(second).await?["records"], 1);
    assert_eq!(scene.admin.retried(second).await?["status"], "retried_success");
    assert_eq!(scene.admin.retry(first).await?.code(), "nothing_to_retry");

    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    assert_eq!((log.times(booked.id), log.times(lost.id)), (1, 1));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn with_an_idempotency_header_a_lost_answer_is_asked_for_again() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    for books in [Books::fastapi().await?, Books::drf().await?] {
        let settings = json!({
            "url": books.url("/claims"), "idempotency_header": "Idempotency-Key", "reference_pointer": "/reference",
        });
        let integration = scene.admin.connect(settings, json!({})).await?;
        let claims = Claim::many(3);
        scene.admin.stage_all(integration, &claims).await?;
        books.behave(Behaviour { reset_after: Some(1), ..Behaviour::default() }).await?;
        let sync = scene.admin.run(integration).await?;
        let id = id_of(&sync)?;
        assert_eq!((&sync["status"], &sync["records_processed"]), (&json!("failed"), &json!(1)), "{sync}");
        assert_eq!(books.log().await?.accepted, 3, "all were booked, two answers were lost");
        let preview = scene.admin.preview(id).await?;
        assert_eq!((&preview["records"], &preview["unknown"]), (&json!(2), &json!(0)));

        books.behave(Behaviour::default()).await?;
        let sync = scene.admin.retried(id).await?;
        assert_eq!((&sync["status"], &sync["records_processed"]), (&json!("retried_success"), &json!(3)), "{sync}");
        let log = books.log().await?;
        assert_eq!((log.accepted, log.duplicates), (3, 0));
        for claim in &claims {
            let reference = scene.admin.staged(integration, claim.id).await?["external_reference_id"].clone();
            assert_eq!(reference, json!(log.reference_of(claim.id)));
        }
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_gateways_error_after_booking_does_not_book_twice() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    for (header, repeated) in [(None, 0), (Some("Idempotency-Key"), 1)] {
        let books = Books::fastapi().await?;
        let settings = json!({ "url": books.url("/claims"), "idempotency_header": header });
        let integration = scene.admin.connect(settings, json!({})).await?;
        let claim = Claim::good(1);
        scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
        let failing = Behaviour { status: Some(502), book_first: Some(true), times: Some(1), ..Behaviour::default() };
        books.behave(failing).await?;
        let id = id_of(&scene.admin.run(integration).await?)?;
        assert_eq!(scene.admin.outcome(id, claim.id).await?["outcome"], "unknown");
        assert_eq!(scene.admin.preview(id).await?["records"], repeated);
        if repeated > 0 {
            assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
        }
        assert_eq!(books.log().await?.accepted, 1);
    }
    scene.stop().await;
    Ok(())
}
