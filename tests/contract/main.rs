//! The served description of the API is the committed one.

#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Method;
use serde_json::Value;
use tests::server::TestServer;

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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/openapi.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let server = TestServer::without_worker().await;
    let document = server.anonymous().request_at(Method::GET, "/api/openapi.json").send().await.expect(200);
    let (expected, offered) = (operations(&committed), operations(&document));
    assert!(offered.len() > 30, "{}", offered.len());
    assert_eq!(offered.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, operation) in offered {
        assert_eq!(operation, expected[&name], "{name}");
    }
}
