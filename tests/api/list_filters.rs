//! Every combination of `listSyncs`'s filters against a plain reading of all syncs, and its cursors both ways.

use serde_json::{Value, json};
use tests::client::items;
use tests::fill::Fill;
use tests::organization::connect_external;
use tests::server::TestServer;

use crate::scene::Scene;

/// A filter as a query parameter, and what it means for a sync.
struct Filter {
    parameter: String,
    fits: Box<dyn Fn(&Value) -> bool>,
}

fn equals(name: &'static str, value: &Value) -> Filter {
    let value = value.clone();
    let parameter = format!("{name}={}", value.as_str().unwrap());
    Filter { parameter, fits: Box::new(move |sync| sync[name] == value) }
}

fn statuses(words: &'static [&'static str]) -> Filter {
    let parameter = format!("status={}", words.join(","));
    Filter { parameter, fits: Box::new(move |sync| words.contains(&sync["status"].as_str().unwrap())) }
}

fn retryable(wanted: bool) -> Filter {
    Filter { parameter: format!("retryable={wanted}"), fits: Box::new(move |sync| sync["retryable"] == wanted) }
}

/// Values of each filter; one of each, or none, makes a combination.
fn choices(all: &[Value]) -> Vec<Vec<Filter>> {
    let record = all.iter().find(|sync| sync["source_record_id"].is_string()).unwrap();
    let moments: Vec<String> = all.iter().map(|sync| sync["started_at"].as_str().unwrap().to_owned()).collect();
    let (from, to) = (moments[moments.len() * 3 / 4].clone(), moments[moments.len() / 4].clone());
    vec![
        vec![equals("integration_config_id", &all[0]["integration_config_id"])],
        vec![
            statuses(&["failed"]),
            statuses(&["retried_failed", "failed", "failed"]),
            statuses(&["pending", "in_progress"]),
            statuses(&["success"]),
            statuses(&["pending", "in_progress", "success", "failed", "retried_success", "retried_failed"]),
        ],
        vec![equals("connector_type", &json!("dynamics365")), equals("connector_type", &json!("other"))],
        vec![equals("sync_type", &json!("accounting_push")), equals("sync_type", &json!("portal_event"))],
        vec![equals("triggered_by", &json!("automatic")), equals("triggered_by", &json!("webhook"))],
        vec![equals("source_record_type", &record["source_record_type"])],
        vec![equals("source_record_id", &record["source_record_id"])],
        vec![Filter {
            parameter: format!("from={from}"),
            // All in the same form, so that their order is the texts'.
            fits: Box::new(move |sync| sync["started_at"].as_str().unwrap() >= from.as_str()),
        }],
        vec![Filter {
            parameter: format!("to={to}"),
            fits: Box::new(move |sync| sync["started_at"].as_str().unwrap() < to.as_str()),
        }],
        vec![retryable(true), retryable(false)],
    ]
}

/// Every third subset of the filters, their values in turn; and every two values together. That each subset is looked up
/// by an index is `list_plans`' to show.
fn combinations(choices: &[Vec<Filter>]) -> Vec<Vec<&Filter>> {
    let subset = |bits: usize| {
        let taken = choices.iter().enumerate().filter(move |(place, _)| bits & (1 << place) != 0);
        taken.map(|(_, values)| &values[bits % 7 % values.len()]).collect::<Vec<_>>()
    };
    let mut all: Vec<Vec<&Filter>> = (0..1 << choices.len()).step_by(3).map(subset).collect();
    for (place, values) in choices.iter().enumerate() {
        for one in values {
            all.extend(choices[place + 1..].iter().flatten().map(|other| vec![one, other]));
        }
    }
    all
}

async fn scene() -> Scene {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let crm = connect_external(&scene.admin, json!({ "connector_type": "dynamics365" })).await;
    let fill = Fill {
        organization: scene.organization.id,
        integrations: vec![(scene.integration, "xledger"), (crm, "dynamics365"), (scene.integration, "xledger")],
        from: scene.now() - chrono::Duration::days(150),
        to: scene.now() - chrono::Duration::days(1),
        syncs: 160,
        message_chars: 20,
    };
    fill.run(&scene.server.superuser().await).await;
    scene
}

fn ids(syncs: &[Value]) -> Vec<&Value> {
    syncs.iter().map(|sync| &sync["id"]).collect()
}

#[tokio::test]
async fn every_combination_of_filters_lists_what_it_says() {
    let scene = scene().await;
    let list = scene.machine.get("/sync-logs?limit=200").send().await.expect(200);
    let all = items(&list).to_vec();
    assert_eq!(all.len(), 160);
    let choices = choices(&all);
    let combinations = combinations(&choices);
    assert!(combinations.len() > 400, "{}", combinations.len());
    let mut matched = 0;
    for some in combinations.iter().enumerate().collect::<Vec<_>>().chunks(8) {
        let checks = some.iter().map(|(number, filters)| check(&scene, &all, *number, filters));
        matched += futures::future::join_all(checks).await.into_iter().filter(|matches| *matches).count();
    }
    assert!(matched > 100, "{matched}");
}

/// Whether a combination lists what it says, every seventh also by pages. Returns whether it lists anything.
async fn check(scene: &Scene, all: &[Value], number: usize, filters: &[&Filter]) -> bool {
    let expected: Vec<Value> =
        all.iter().filter(|sync| filters.iter().all(|filter| (filter.fits)(sync))).cloned().collect();
    let mut parameters: Vec<&str> = filters.iter().map(|filter| filter.parameter.as_str()).collect();
    if !number.is_multiple_of(2) {
        // Their order says nothing.
        parameters.reverse();
    }
    let query = parameters.join("&");
    let page = scene.machine.get(&format!("/sync-logs?limit=200&{query}")).send().await.expect(200);
    assert_eq!(ids(items(&page)), ids(&expected), "{query}");
    assert_eq!((&page["next_cursor"], &page["prev_cursor"]), (&json!(null), &json!(null)), "{query}");
    if number.is_multiple_of(7) && expected.len() > 3 {
        walk(scene, &query, &expected).await;
    }
    !expected.is_empty()
}

/// Forward to the end by pages, and back to the beginning.
async fn walk(scene: &Scene, query: &str, expected: &[Value]) {
    let size = expected.len().div_ceil(3);
    let get = async |cursor: &str| {
        scene.machine.get(&format!("/sync-logs?limit={size}&{query}{cursor}")).send().await.expect(200)
    };
    let mut page = get("").await;
    let mut pages = vec![items(&page).to_vec()];
    while let Some(next) = page["next_cursor"].as_str() {
        page = get(&format!("&cursor={next}")).await;
        pages.push(items(&page).to_vec());
        assert!(pages.len() <= 3, "{query}");
    }
    assert_eq!(ids(&pages.concat()), ids(expected), "{query}");
    for earlier in pages.iter().rev().skip(1) {
        page = get(&format!("&cursor={}", page["prev_cursor"].as_str().unwrap())).await;
        assert_eq!(ids(items(&page)), ids(earlier), "{query}");
    }
    assert_eq!(page["prev_cursor"], json!(null), "{query}");
}

#[tokio::test]
async fn a_parameter_that_makes_no_sense_is_named() {
    let scene = scene().await;
    for path in ["/sync-logs", "/sync-logs/export"] {
        for query in [
            "connector_type=",
            "status=",
            "status=failed,",
            "status=FAILED",
            "sync_type=",
            "triggered_by=",
            "integration_config_id=",
            "source_record_id=",
            "retryable=",
            "retryable=1",
            "from=",
            "to=2026-11-20",
            "from=-9999-01-01T00:00:00Z",
            "to=%2B10000-01-01T00:00:00Z",
            "from=2026-11-20T00:00:00%2B24:00",
        ] {
            let problem = scene.machine.get(&format!("{path}?{query}")).send().await.problem(400, "invalid_parameter");
            let name = query.split_once('=').unwrap().0;
            assert_eq!(problem["errors"][0]["pointer"], format!("?{name}"), "{path}?{query}: {problem}");
        }
    }
    for query in
        ["to=0001-01-01T00:00:00Z", "from=9999-12-31T23:59:59.999Z", "source_record_type=", "from=2999-01-01T00:00:60Z"]
    {
        let page = scene.machine.get(&format!("/sync-logs?{query}")).send().await.expect(200);
        assert!(items(&page).is_empty(), "{query}");
    }
}

#[tokio::test]
async fn a_cursor_with_a_character_changed_is_refused() {
    let scene = scene().await;
    let page = scene.machine.get("/sync-logs?limit=3&status=failed").send().await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    scene.machine.get(&format!("/sync-logs?status=failed&cursor={cursor}")).send().await.expect(200);
    for at in (0..cursor.len()).step_by(5) {
        let mut tampered = cursor.to_owned();
        tampered.replace_range(at..=at, if &cursor[at..=at] == "A" { "B" } else { "A" });
        let path = format!("/sync-logs?status=failed&cursor={tampered}");
        scene.machine.get(&path).send().await.problem(400, "invalid_cursor");
    }
}
