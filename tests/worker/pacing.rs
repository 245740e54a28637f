//! External systems are sent to as fast as they take it: waits that they ask for, rates, and systems that are away.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tests::peers::{Act, Behaviour, Books, Held, Port, Scripted};
use tests::story::{Claim, counts, id_of, until};
use uuid::Uuid;

use crate::scene::Scene;

fn busy(seconds: u32) -> Act {
    let head = format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: {seconds}\r\n");
    Act::Answer(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").into_bytes())
}

fn taken() -> Act {
    Act::answer("201 Created", "application/json", "{}")
}

/// One request at a time, for whose answer is waited longer than the test lasts.
fn one_by_one(url: &str) -> Value {
    json!({ "url": url, "concurrency": 1, "timeout_ms": 120_000 })
}

/// Waits until a claim is shown as turned away.
async fn until_turned_away(scene: &Scene, sync: Uuid, claims: &[Claim]) -> anyhow::Result<Uuid> {
    until("a record waits", async || {
        for claim in claims {
            let outcome = scene.admin.outcome(sync, claim.id).await?;
            if outcome["errors"][0]["code"] == "HTTP_429" {
                assert_eq!(outcome["outcome"], "not_attempted", "{outcome}");
                return Ok(Some(claim.id));
            }
        }
        Ok(None)
    })
    .await
}

async fn said(scene: &Scene, sync: Uuid, claims: &[Claim]) -> anyhow::Result<Vec<(String, String)>> {
    let mut said = Vec::new();
    for claim in claims {
        let outcome = scene.admin.outcome(sync, claim.id).await?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        said.push((text(&outcome["outcome"]), text(&outcome["errors"][0]["code"])));
    }
    said.sort();
    Ok(said)
}

fn all(number: usize, outcome: &str, code: &str) -> Vec<(String, String)> {
    vec![(outcome.to_owned(), code.to_owned()); number]
}

#[tokio::test]
async fn a_system_that_says_when_to_come_back_is_waited_for() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(2)).await?;
    let mut system = Held::start().await?;
    let integration = scene.admin.connect(one_by_one(&system.url("/claims")), json!({})).await?;
    let claims = Claim::many(3);
    scene.admin.stage_all(integration, &claims).await?;
    let sync = scene.admin.trigger(integration).await?;
    system.request().await?.answer(busy(20));
    let waiting = until_turned_away(&scene, sync, &claims).await?;
    // Nobody could say afterwards that it may have been taken.
    assert_eq!(scene.admin.staged(integration, waiting).await?["state"], "staged");
    assert_eq!(scene.admin.sync(sync).await?["progress"]["records_done"], 0);
    assert!(system.is_quiet());
    // A second sync to the same system is no way around it.
    let other = scene.admin.connect(one_by_one(&system.url("/members")), json!({})).await?;
    scene.admin.stage_all(other, &[Claim::good(4)]).await?;
    let beside = scene.admin.trigger(other).await?;
    until("the second sync is under way", async || {
        Ok((scene.admin.sync(beside).await?["status"] == "in_progress").then_some(()))
    })
    .await?;
    assert!(system.is_quiet());

    scene.clock.advance(Duration::seconds(21));
    for _ in 0..4 {
        system.request().await?.answer(taken());
    }
    let ended = scene.admin.finished(sync).await?;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("success"), (3, 3, 0)), "{ended}");
    assert_eq!(scene.admin.finished(beside).await?["status"], "success");
    assert_eq!(scene.admin.sync(sync).await?["retry_count"], 0, "it all happened in the first attempt");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_storm_leaves_no_record_in_doubt_and_sends_none_twice() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims"), "concurrency": 4 }), json!({})).await?;
    scene.admin.stage_all(integration, &Claim::many(20)).await?;
    books
        .behave(Behaviour { status: Some(429), retry_after: Some(1), times: Some(10), ..Behaviour::default() })
        .await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (20, 20, 0)), "{sync}");
    let attempt = &scene.admin.attempts(id_of(&sync)?).await?[0];
    assert_eq!((&attempt["records_unknown"], &attempt["records_not_attempted"]), (&json!(0), &json!(0)));
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (20, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_longer_wait_is_left_to_another_attempt() -> anyhow::Result<()> {
    let mut scene = Scene::before_now(Duration::minutes(30)).await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(one_by_one(&books.url("/claims")), json!({})).await?;
    let claims = Claim::many(3);
    scene.admin.stage_all(integration, &claims).await?;
    books.behave(Behaviour { status: Some(503), retry_after: Some(900), ..Behaviour::default() }).await?;
    let sync = scene.admin.run(integration).await?;
    let id = id_of(&sync)?;
    let mut expected = all(1, "failed", "HTTP_503");
    expected.extend(all(2, "not_attempted", "SYSTEM_BUSY"));
    assert_eq!(said(&scene, id, &claims).await?, expected);
    assert_eq!((&sync["error_code"], &sync["http_status_code"]), (&json!("ALL_RECORDS_FAILED"), &json!(503)), "{sync}");

    // Whoever presses Retry does not get through either.
    books.behave(Behaviour::default()).await?;
    let sync = scene.admin.retried(id).await?;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("retried_failed"), &json!("SYSTEM_BUSY")), "{sync}");
    assert_eq!(said(&scene, id, &claims).await?, all(3, "not_attempted", "SYSTEM_BUSY"));
    assert_eq!(books.log().await?.accepted, 0);

    scene.clock.advance(Duration::seconds(901));
    scene.sign_in_again().await?;
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (3, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_doubt_that_is_held_back_stays_a_doubt() -> anyhow::Result<()> {
    let mut scene = Scene::before_now(Duration::minutes(30)).await?;
    let books = Books::fastapi().await?;
    let mut settings = one_by_one(&books.url("/claims"));
    settings["idempotency_header"] = json!("Idempotency-Key");
    let integration = scene.admin.connect(settings, json!({})).await?;
    let claims = [Claim::good(1)];
    scene.admin.stage_all(integration, &claims).await?;
    books
        .behave(Behaviour { status: Some(502), book_first: Some(true), times: Some(1), ..Behaviour::default() })
        .await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    // Another sync meets a system that wants to be left alone.
    books.behave(Behaviour { status: Some(503), retry_after: Some(900), ..Behaviour::default() }).await?;
    scene.admin.stage_all(integration, &[Claim::good(2)]).await?;
    scene.admin.run(integration).await?;
    books.behave(Behaviour::default()).await?;
    let sync = scene.admin.retried(id).await?;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("retried_failed"), &json!("SYSTEM_BUSY")), "{sync}");
    assert_eq!(said(&scene, id, &claims).await?, all(1, "unknown", "SYSTEM_BUSY"));

    scene.clock.advance(Duration::seconds(901));
    scene.sign_in_again().await?;
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (1, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_system_that_is_away_is_left_alone_and_asked_by_one_request() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let port = Port::reserve()?;
    let mut settings = one_by_one(&format!("http://127.0.0.1:{}/claims", port.number()));
    let integration = scene.admin.connect(settings.clone(), json!({})).await?;
    let claims = Claim::many(8);
    scene.admin.stage_all(integration, &claims).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    let mut expected = all(5, "failed", "CONNECTION_REFUSED");
    expected.extend(all(3, "not_attempted", "SYSTEM_UNAVAILABLE"));
    assert_eq!(said(&scene, id, &claims).await?, expected);
    assert_eq!(scene.one::<String>("SELECT breaker FROM external_systems").await?, "open");

    // A person who asks finds out at once; one request goes ahead.
    settings["concurrency"] = json!(4);
    scene.admin.change(&format!("/integrations/{integration}"), &json!({ "settings": settings })).await?;
    let mut system = Held::start_on(&port).await?;
    scene.admin.retry(id).await?.ok()?;
    let probe = system.request().await?;
    assert_eq!(scene.one::<String>("SELECT breaker FROM external_systems").await?, "half_open");
    let marked: i64 = scene.one("SELECT count(*) FROM source_records WHERE state = 'sending'").await?;
    assert_eq!((marked, system.is_quiet()), (1, true), "the others wait");
    probe.answer(taken());
    for _ in 1..8 {
        system.request().await?.answer(taken());
    }
    let ended = scene.admin.finished(id).await?;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("retried_success"), (8, 8, 0)), "{ended}");
    assert_eq!(scene.one::<String>("SELECT breaker FROM external_systems").await?, "closed");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_probe_that_fails_sends_nothing_else() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let system = Scripted::start(Act::answer("502 Bad Gateway", "text/html", "<h1>Bad Gateway</h1>")).await?;
    let integration = scene.admin.connect(one_by_one(&system.url("/claims")), json!({})).await?;
    let claims = Claim::many(9);
    scene.admin.stage_all(integration, &claims).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    assert_eq!(system.requests(), 5);
    // Of the five nobody knows; of the others one goes ahead.
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_failed");
    assert_eq!(system.requests(), 6);
    let mut expected = all(3, "not_attempted", "SYSTEM_UNAVAILABLE");
    expected.extend(all(6, "unknown", "HTTP_502"));
    assert_eq!(said(&scene, id, &claims).await?, expected);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_rate_holds_for_two_syncs_and_two_workers_together() -> anyhow::Result<()> {
    let mut scene = Scene::configured(|config| config.worker.concurrency = 1).await?;
    scene.another_worker().await?;
    let system = Scripted::start(taken()).await?;
    let mut syncs = Vec::new();
    for path in ["/claims", "/members"] {
        let settings = json!({
            "url": system.url(path), "concurrency": 8, "rate": { "requests": 4, "seconds": 1 },
        });
        let integration = scene.admin.connect(settings, json!({})).await?;
        scene.admin.stage_all(integration, &Claim::many(8)).await?;
        syncs.push(scene.admin.trigger(integration).await?);
    }
    let (mut begun, mut ended): (Vec<DateTime<Utc>>, Vec<DateTime<Utc>>) = (Vec::new(), Vec::new());
    for sync in syncs {
        let sync = scene.admin.finished(sync).await?;
        assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (8, 8, 0)), "{sync}");
        begun.push(sync["started_at"].as_str().unwrap_or_default().parse()?);
        ended.push(sync["completed_at"].as_str().unwrap_or_default().parse()?);
    }
    assert_eq!(system.requests(), 16);
    // Four at once, and twelve more at four a second.
    let took = ended.into_iter().max().zip(begun.into_iter().min()).map(|(ended, begun)| ended - begun);
    assert!(took.is_some_and(|took| took >= Duration::seconds(3)), "took {took:?}");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn syncs_to_one_system_share_its_requests_at_once() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut system = Held::start().await?;
    let mut syncs = Vec::new();
    for path in ["/claims", "/members"] {
        let settings = json!({ "url": system.url(path), "concurrency": 2, "timeout_ms": 120_000 });
        let integration = scene.admin.connect(settings, json!({})).await?;
        scene.admin.stage_all(integration, &Claim::many(3)).await?;
        syncs.push(scene.admin.trigger(integration).await?);
    }
    for sync in &syncs {
        until("both syncs are under way", async || {
            Ok((scene.admin.sync(*sync).await?["status"] == "in_progress").then_some(()))
        })
        .await?;
    }
    let mut under_way = vec![system.request().await?, system.request().await?];
    let mut answered = 0;
    while let Some(request) = under_way.pop() {
        assert!(system.is_quiet(), "two at once and no more");
        request.answer(taken());
        answered += 1;
        if answered + under_way.len() < 6 {
            under_way.push(system.request().await?);
        }
    }
    assert_eq!(answered, 6);
    for sync in syncs {
        assert_eq!(scene.admin.finished(sync).await?["status"], "success");
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn one_request_at_once_is_not_kept_out_by_many() -> anyhow::Result<()> {
    const MANY: usize = 30;
    let scene = Scene::start().await?;
    let mut system = Held::start().await?;
    let mut syncs = Vec::new();
    let mut under_way = Vec::new();
    for (path, concurrency, records) in [("/claims", 3, MANY), ("/members", 1, 1)] {
        let settings = json!({ "url": system.url(path), "timeout_ms": 120_000, "concurrency": concurrency });
        let integration = scene.admin.connect(settings, json!({})).await?;
        scene.admin.stage_all(integration, &Claim::many(records)).await?;
        let sync = scene.admin.trigger(integration).await?;
        until("the sync is under way", async || {
            Ok((scene.admin.sync(sync).await?["status"] == "in_progress").then_some(()))
        })
        .await?;
        syncs.push(sync);
        while under_way.len() < 3 {
            under_way.push(system.request().await?);
        }
    }
    let mut of_many = under_way.len();
    loop {
        under_way.remove(0).answer(taken());
        let next = system.request().await?;
        let is_the_one = next.contains("/members");
        under_way.push(next);
        if is_the_one {
            break;
        }
        of_many += 1;
        assert!(of_many < MANY, "it left after all the others");
    }
    assert!(system.is_quiet(), "three at once and no more");
    while let Some(request) = under_way.pop() {
        request.answer(taken());
        if of_many < MANY {
            under_way.push(system.request().await?);
            of_many += 1;
        }
    }
    for sync in syncs {
        assert_eq!(scene.admin.finished(sync).await?["status"], "success");
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_is_told_to_stop_while_a_system_is_waited_for_leaves_no_doubt() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let mut system = Held::start().await?;
    let integration = scene.admin.connect(one_by_one(&system.url("/claims")), json!({})).await?;
    let claims = Claim::many(2);
    scene.admin.stage_all(integration, &claims).await?;
    let sync = scene.admin.trigger(integration).await?;
    system.request().await?.answer(busy(60));
    until_turned_away(&scene, sync, &claims).await?;
    scene.end().await;
    scene.start_again().await?;
    let ended = scene.admin.finished(sync).await?;
    assert_eq!((&ended["status"], &ended["error_code"]), (&json!("failed"), &json!("WORKER_STOPPED")), "{ended}");
    let attempt = &scene.admin.attempts(sync).await?[0];
    assert_eq!((&attempt["records_unknown"], &attempt["records_not_attempted"]), (&json!(0), &json!(2)), "{attempt}");
    scene.stop().await;
    Ok(())
}
