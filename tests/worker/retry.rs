//! Retries send what did not arrive, and nothing else.

use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::peers::{Behaviour, Books};
use tests::story::{Claim, counts, id_of};

use crate::scene::{Scene, patient};

#[tokio::test]
async fn only_the_corrected_records_are_sent_again() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    let (good, bad) = (Claim::many(3), [Claim::bad(4), Claim::bad(5)]);
    scene.admin.stage_all(integration, &[&good[..], &bad[..]].concat()).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;

    let preview = scene.admin.preview(id).await?;
    assert_eq!((&preview["records"], &preview["changed"], &preview["unchanged"]), (&json!(2), &json!(0), &json!(2)));
    scene.admin.stage_all(integration, &[bad[0].clone().with("cost_center", "2000")]).await?;
    let preview = scene.admin.preview(id).await?;
    assert_eq!((&preview["records"], &preview["changed"], &preview["unchanged"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(scene.admin.outcome(id, bad[0].id).await?["changed_since_failure"], true);
    assert_eq!(scene.admin.outcome(id, bad[1].id).await?["changed_since_failure"], false);
    scene.admin.stage_all(integration, &[bad[1].clone().with("cost_center", "2010")]).await?;

    let sync = scene.admin.retried(id).await?;
    assert_eq!(sync["status"], "retried_success", "{sync}");
    assert_eq!(
        (&sync["retry_count"], &sync["error_code"], &sync["error_message"]),
        (&json!(1), &Value::Null, &Value::Null)
    );
    assert_eq!(counts(&sync), (5, 5, 0));
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (5, 0));
    let last: Vec<&str> = log.records[3..].iter().map(|booking| booking.record_id.as_str()).collect();
    assert!(bad.iter().all(|claim| last.contains(&claim.id.to_string().as_str())), "{last:?}");

    let attempts = scene.admin.attempts(id).await?;
    assert_eq!(attempts.len(), 2);
    assert_eq!(
        (&attempts[0]["attempt"], &attempts[0]["status"], counts(&attempts[0])),
        (&json!(0), &json!("failed"), (5, 3, 2))
    );
    assert_eq!(
        (&attempts[1]["attempt"], &attempts[1]["status"], counts(&attempts[1])),
        (&json!(1), &json!("success"), (2, 2, 0))
    );
    assert_eq!(scene.admin.integration(integration).await?["health"]["light"], "green");

    let again = scene.admin.retry(id).await?;
    assert_eq!((again.status, again.code()), (409, "nothing_to_retry"));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn of_twenty_retries_at_once_one_is_taken() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(patient(&books), json!({})).await?;
    let claims: Vec<Claim> = (1..=6).map(Claim::bad).collect();
    scene.admin.stage_all(integration, &claims).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    let corrected: Vec<Claim> = claims.iter().map(|claim| claim.clone().with("cost_center", "1010")).collect();
    scene.admin.stage_all(integration, &corrected).await?;

    // All twenty find the retry under way: it can't end before they are answered.
    books.behave(Behaviour { hold_after: Some(0), ..Behaviour::default() }).await?;
    let colleague = scene.person("colleague@example.org", "en").await?;
    let admins = [&scene.admin, &colleague];
    let replies = try_join_all((0..20).map(|number| admins[number % 2].retry(id))).await?;
    assert_eq!(replies.iter().filter(|reply| reply.status == 202).count(), 1);
    for refused in replies.iter().filter(|reply| reply.status != 202) {
        assert_eq!((refused.status, refused.code()), (409, "already_active"), "{}", refused.body);
        assert_eq!(refused.body["sync_id"], id.to_string());
    }
    books.behave(Behaviour::default()).await?;
    let sync = scene.admin.finished(id).await?;
    assert_eq!((&sync["status"], &sync["retry_count"]), (&json!("retried_success"), &json!(1)));
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (6, 0));
    assert!(claims.iter().all(|claim| log.times(claim.id) == 1));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_a_later_sync_delivered_is_left_out_of_the_retry() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    let claims = [Claim::bad(1), Claim::bad(2)];
    scene.admin.stage_all(integration, &claims).await?;
    let first = id_of(&scene.admin.run(integration).await?)?;

    scene.admin.stage_all(integration, &[claims[0].clone().with("cost_center", "1000")]).await?;
    let second = scene.admin.run(integration).await?;
    assert_eq!((&second["status"], counts(&second)), (&json!("success"), (1, 1, 0)), "only what was corrected is due");
    let preview = scene.admin.preview(first).await?;
    assert_eq!((&preview["records"], &preview["delivered_since"]), (&json!(1), &json!(1)));

    scene.admin.stage_all(integration, &[claims[1].clone().with("cost_center", "1000")]).await?;
    scene.admin.retried(first).await?;
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    assert!(claims.iter().all(|claim| log.times(claim.id) == 1));
    let left_out = scene.admin.outcome(first, claims[0].id).await?;
    assert_eq!(
        (&left_out["outcome"], &left_out["errors"][0]["code"]),
        (&json!("skipped"), &json!("ALREADY_DELIVERED"))
    );
    let again = scene.admin.retry(first).await?;
    assert_eq!((again.status, again.code()), (409, "nothing_to_retry"));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_record_under_way_in_one_sync_is_left_out_of_another() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(patient(&books), json!({})).await?;
    let claim = Claim::bad(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let first = id_of(&scene.admin.run(integration).await?)?;
    scene.admin.stage_all(integration, &[claim.clone().with("cost_center", "1000")]).await?;

    books.behave(Behaviour { hold_after: Some(0), ..Behaviour::default() }).await?;
    let one = json!({ "source_record_type": tests::story::CLAIM, "source_record_id": claim.id });
    let path = format!("/integrations/{integration}/syncs");
    let second = id_of(&scene.admin.post(&path, &one).await?.ok()?)?;
    let same = scene.admin.post(&path, &one).await?;
    assert_eq!((same.status, same.code()), (409, "already_active"));
    let preview = scene.admin.preview(first).await?;
    assert_eq!((&preview["records"], &preview["active"]), (&json!(0), &json!(1)));
    assert_eq!(scene.admin.retry(first).await?.code(), "nothing_to_retry");
    books.behave(Behaviour::default()).await?;
    assert_eq!(scene.admin.finished(second).await?["status"], "success");
    assert_eq!(books.log().await?.times(claim.id), 1);
    scene.stop().await;
    Ok(())
}
