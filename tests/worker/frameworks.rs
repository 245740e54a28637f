//! Records of which some are refused by real frameworks: their own words arrive, and the others are booked once.

use serde_json::{Value, json};
use tests::peers::Books;
use tests::story::{Claim, complaints, counts, id_of};

use crate::scene::Scene;

/// What a framework says about a claim with an unknown cost center.
struct Complaint {
    status: u16,
    code: &'static str,
    field_name: &'static str,
}

async fn refuses_some(books: Books, settings: Value, complaint: Complaint) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let integration = scene.admin.connect(settings, json!({})).await?;
    let good = Claim::many(5);
    let bad = [Claim::bad(6), Claim::bad(7)];
    scene.admin.stage_all(integration, &[&good[..], &bad[..]].concat()).await?;

    let sync = scene.admin.run(integration).await?;
    assert_eq!(sync["status"], "failed", "{sync}");
    assert_eq!(sync["error_code"], "PARTIAL_FAILURE");
    assert_eq!(sync["error_message"], "Invalid cost center code: 9999");
    assert_eq!(sync["http_status_code"], complaint.status);
    assert_eq!(counts(&sync), (7, 5, 2), "{sync}");

    let id = id_of(&sync)?;
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (5, 0));
    for claim in &good {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!(outcome["outcome"], "succeeded", "{outcome}");
        assert_eq!(log.times(claim.id), 1);
        assert_eq!(outcome["external_reference_id"], json!(log.reference_of(claim.id)));
        assert_eq!(scene.admin.staged(integration, claim.id).await?["state"], "delivered");
    }
    for claim in &bad {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!(outcome["outcome"], "failed");
        assert_eq!(outcome["http_status_code"], complaint.status);
        assert_eq!(
            complaints(&outcome),
            json!([{
                "code": complaint.code, "message": "Invalid cost center code: 9999", "field": "/cost_center",
                "field_name": complaint.field_name,
            }])
        );
    }
    let groups = scene.admin.get(&format!("/sync-logs/{id}/error-groups")).await?.ok()?;
    assert_eq!(groups["items"][0]["count"], 2, "{groups}");
    assert_eq!(groups["items"][0]["field"], "/cost_center");
    let shown = scene.admin.integration(integration).await?;
    assert_eq!(shown["health"]["light"], "red");
    assert_eq!(shown["health"]["reasons"][0], json!({ "code": "last_sync_failed", "count": 2 }));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn fastapi_refuses_some_records() -> anyhow::Result<()> {
    let books = Books::fastapi().await?;
    let settings = json!({ "url": books.url("/claims"), "reference_pointer": "/reference" });
    let complaint = Complaint { status: 422, code: "invalid_cost_center", field_name: "body.cost_center" };
    refuses_some(books, settings, complaint).await
}

#[tokio::test]
async fn django_rest_framework_refuses_some_records() -> anyhow::Result<()> {
    let books = Books::drf().await?;
    let settings = json!({ "url": books.url("/claims"), "reference_pointer": "/reference" });
    let complaint = Complaint { status: 400, code: "HTTP_400", field_name: "cost_center" };
    refuses_some(books, settings, complaint).await
}

#[tokio::test]
async fn standardized_django_rest_framework_refuses_some_records() -> anyhow::Result<()> {
    let books = Books::drf().await?;
    let settings = json!({ "url": books.url("/claims?standardized=1"), "reference_pointer": "/reference" });
    let complaint = Complaint { status: 400, code: "invalid_cost_center", field_name: "cost_center" };
    refuses_some(books, settings, complaint).await
}

#[tokio::test]
async fn odata_refuses_some_records() -> anyhow::Result<()> {
    let books = Books::odata().await?;
    let settings = json!({ "url": books.url("/odata/ExpenseClaims"), "reference_pointer": "/claim_number" });
    let complaint = Complaint { status: 400, code: "INVALID_COST_CENTER", field_name: "cost_center" };
    refuses_some(books, settings, complaint).await
}

#[tokio::test]
async fn every_complaint_about_a_record_is_kept_with_its_field() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    let claim = Claim::bad(1).with("amount", "-1").with("period", "2026-01");
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let sync = scene.admin.run(integration).await?;
    let outcome = scene.admin.outcome(id_of(&sync)?, claim.id).await?;
    let errors = outcome["errors"].as_array().cloned().unwrap_or_default();
    let said: Vec<(&str, &str)> = errors
        .iter()
        .map(|error| (error["field"].as_str().unwrap_or(""), error["message"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        said,
        [
            ("/cost_center", "Invalid cost center code: 9999"),
            ("/amount", "Input should be greater than 0"),
            ("/period", "Accounting period 2026-01 is closed"),
        ]
    );
    assert_eq!(sync["error_code"], "ALL_RECORDS_FAILED");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_refused_batch_names_the_guilty_and_leaves_the_others_to_the_retry() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let settings = json!({
        "url": books.url("/claims/batch"), "batch_size": 3, "batch_member": "items", "concurrency": 1,
        "results_pointer": "/results", "reference_pointer": "/reference",
    });
    let integration = scene.admin.connect(settings, json!({})).await?;
    let mut claims = Claim::many(6);
    claims[1] = claims[1].clone().with("cost_center", "9999");
    scene.admin.stage_all(integration, &claims).await?;

    let sync = scene.admin.run(integration).await?;
    let id = id_of(&sync)?;
    assert_eq!(counts(&sync), (6, 3, 1), "{sync}");
    let mut outcomes = Vec::new();
    for claim in &claims {
        outcomes.push(scene.admin.outcome(id, claim.id).await?);
    }
    let said: Vec<&str> = outcomes.iter().filter_map(|outcome| outcome["outcome"].as_str()).collect();
    assert_eq!(said, ["not_attempted", "failed", "not_attempted", "succeeded", "succeeded", "succeeded"]);
    assert_eq!(outcomes[0]["errors"][0]["code"], "BATCH_REJECTED");
    assert_eq!(
        complaints(&outcomes[1]),
        json!([{
            "code": "invalid_cost_center", "message": "Invalid cost center code: 9999", "field": "/cost_center",
            "field_name": "body.items.1.cost_center",
        }])
    );
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (3, 0));

    scene.admin.stage_all(integration, &[claims[1].clone().with("cost_center", "2000")]).await?;
    let sync = scene.admin.retried(id).await?;
    assert_eq!(sync["status"], "retried_success", "{sync}");
    assert_eq!(counts(&sync), (6, 6, 0));
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (6, 0));
    for claim in &claims {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!(outcome["external_reference_id"], json!(log.reference_of(claim.id)));
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_batch_with_a_result_for_each_record_is_judged_record_by_record() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    for (books, status, code, field_name) in [
        (Books::fastapi().await?, 422, "invalid_cost_center", "cost_center"),
        (Books::drf().await?, 400, "HTTP_400", "cost_center"),
    ] {
        let settings = json!({
            "url": books.url("/claims/batch-results"), "batch_size": 10, "batch_member": "items",
            "results_pointer": "/results", "reference_pointer": "/id",
        });
        let integration = scene.admin.connect(settings, json!({})).await?;
        let (good, bad) = (Claim::many(4), Claim::bad(5));
        scene.admin.stage_all(integration, &[&good[..], std::slice::from_ref(&bad)].concat()).await?;
        let sync = scene.admin.run(integration).await?;
        let id = id_of(&sync)?;
        assert_eq!(counts(&sync), (5, 4, 1), "{sync}");
        let outcome = scene.admin.outcome(id, bad.id).await?;
        assert_eq!(outcome["http_status_code"], status);
        assert_eq!(
            complaints(&outcome),
            json!([{
                "code": code, "message": "Invalid cost center code: 9999", "field": "/cost_center",
                "field_name": field_name,
            }])
        );
        let log = books.log().await?;
        assert_eq!((log.accepted, log.duplicates), (4, 0));
        for claim in &good {
            assert_eq!(log.times(claim.id), 1);
            let reference = scene.admin.staged(integration, claim.id).await?["external_reference_id"].clone();
            assert!(log.records.iter().any(|booking| reference == booking.reference), "{reference}");
        }
    }
    scene.stop().await;
    Ok(())
}
