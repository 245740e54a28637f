//! The committed description: the one that is served, with every fixed point of the API.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;
use tests::server::TestServer;

use crate::tool::committed;

/// What third-party tools rely on: operation id, method and path below `/api/v1`.
const FIXED: [(&str, &str, &str); 40] = [
    ("login", "POST", "/auth/login"),
    ("refresh", "POST", "/auth/refresh"),
    ("logout", "POST", "/auth/logout"),
    ("issueToken", "POST", "/oauth/token"),
    ("getMe", "GET", "/me"),
    ("updateMe", "PATCH", "/me"),
    ("listIntegrations", "GET", "/integrations"),
    ("createIntegration", "POST", "/integrations"),
    ("getIntegration", "GET", "/integrations/{id}"),
    ("updateIntegration", "PATCH", "/integrations/{id}"),
    ("testIntegration", "POST", "/integrations/{id}/test"),
    ("triggerSync", "POST", "/integrations/{id}/syncs"),
    ("getTrends", "GET", "/integrations/{id}/trends"),
    ("stageRecord", "PUT", "/integrations/{id}/records/{source_record_type}/{source_record_id}"),
    ("getStagedRecord", "GET", "/integrations/{id}/records/{source_record_type}/{source_record_id}"),
    ("startSync", "POST", "/sync-logs"),
    ("recordFinishedSync", "POST", "/sync-logs/finished"),
    ("importSyncs", "POST", "/sync-logs/import"),
    ("listSyncs", "GET", "/sync-logs"),
    ("getSync", "GET", "/sync-logs/{id}"),
    ("reportProgress", "PATCH", "/sync-logs/{id}"),
    ("succeedSync", "POST", "/sync-logs/{id}/succeed"),
    ("failSync", "POST", "/sync-logs/{id}/fail"),
    ("listAttempts", "GET", "/sync-logs/{id}/attempts"),
    ("startAttempt", "POST", "/sync-logs/{id}/attempts"),
    ("listRecordOutcomes", "GET", "/sync-logs/{id}/records"),
    ("appendRecordOutcomes", "POST", "/sync-logs/{id}/records"),
    ("resolveRecord", "POST", "/sync-logs/{id}/records/{source_record_type}/{source_record_id}/resolution"),
    ("listErrorGroups", "GET", "/sync-logs/{id}/error-groups"),
    ("previewRetry", "GET", "/sync-logs/{id}/retry-preview"),
    ("requestRetry", "POST", "/sync-logs/{id}/retries"),
    ("exportSyncs", "GET", "/sync-logs/export"),
    ("exportRecordOutcomes", "GET", "/sync-logs/{id}/records/export"),
    ("getRecordJourney", "GET", "/source-records/{source_record_type}/{source_record_id}/journey"),
    ("listIncidents", "GET", "/incidents"),
    ("acknowledgeIncident", "POST", "/incidents/{id}/acknowledge"),
    ("listNotifications", "GET", "/notifications"),
    ("readNotification", "POST", "/notifications/{id}/read"),
    ("readAllNotifications", "POST", "/notifications/read-all"),
    ("streamEvents", "GET", "/events"),
];

/// Every operation of a document, by method and path.
fn operations(document: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if operation["operationId"].is_string() {
                found.insert(format!("{} {path}", method.to_uppercase()), operation);
            }
        }
    }
    found
}

#[tokio::test]
async fn the_served_description_is_the_committed_one() {
    let committed = committed();
    let server = TestServer::without_worker().await;
    let document = server.anonymous().request_at(Method::GET, "/api/openapi.json").send().await.expect(200);
    let (expected, offered) = (operations(&committed), operations(&document));
    assert!(offered.len() > 30, "{}", offered.len());
    assert_eq!(offered.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, operation) in offered {
        assert_eq!(operation, expected[&name], "{name}");
    }
    assert_eq!(document["components"], committed["components"]);
}

#[test]
fn every_fixed_point_is_there() {
    let committed = committed();
    let operations = operations(&committed);
    for (id, method, path) in FIXED {
        let name = format!("{method} /api/v1{path}");
        let operation = operations.get(&name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(operation["operationId"], id, "{name}");
    }
}

#[test]
fn every_list_that_goes_on_says_how() {
    let committed = committed();
    let lists = operations(&committed);
    for (name, operation) in &lists {
        let names: Vec<&str> =
            operation["parameters"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
        assert_eq!(names.contains(&"cursor"), names.contains(&"limit"), "{name}");
        let bounded = operation["parameters"].as_array().into_iter().flatten().filter(|one| one["name"] == "limit");
        for limit in bounded {
            assert_eq!((&limit["schema"]["minimum"], &limit["schema"]["maximum"]), (&1.into(), &200.into()), "{name}");
        }
    }
    for path in ["sync-logs", "sync-logs/{id}/records", "incidents", "notifications"] {
        let list = lists[&format!("GET /api/v1/{path}")];
        assert!(list["parameters"].to_string().contains("\"cursor\""), "{path}");
    }
}
