//! `/me`.

use domain::language::Language;
use serde_json::json;
use tests::server::TestServer;

use crate::scene::assert_members;

const MEMBERS: &[&str] =
    &["id", "name", "email", "role", "language", "email_on_incident", "organization", "organizations"];

#[tokio::test]
async fn a_person_reads_and_changes_their_own_settings() {
    let server = TestServer::start().await;
    let organization = server.organization("Forening").await;
    let viewer = organization.viewer().await;
    let me = viewer.get("/me").send().await.expect(200);
    assert_members(&me, MEMBERS);
    assert_eq!(
        (&me["role"], &me["language"], &me["email_on_incident"]),
        (&json!("org_viewer"), &json!("en"), &json!(true))
    );
    assert_eq!(me["organization"], json!({ "id": organization.id, "name": "Forening" }));

    let changed = viewer.patch("/me").json(&json!({ "language": "nb" })).send().await.expect(200);
    assert_eq!((&changed["language"], &changed["email_on_incident"]), (&json!("nb"), &json!(true)));
    let changed = viewer.patch("/me").json(&json!({ "email_on_incident": false })).send().await.expect(200);
    assert_eq!((&changed["language"], &changed["email_on_incident"]), (&json!("nb"), &json!(false)));
    assert_eq!(viewer.get("/me").send().await.expect(200), changed);
    for language in Language::ALL {
        let changed = viewer.patch("/me").json(&json!({ "language": language })).send().await.expect(200);
        assert_eq!(changed["language"], language.as_str());
    }
    // Nobody else's settings moved.
    assert_eq!(organization.admin().await.get("/me").send().await.expect(200)["language"], "en");
}

#[tokio::test]
async fn wrong_settings_change_nothing() {
    let server = TestServer::start().await;
    let viewer = server.organization("Forening").await.viewer().await;
    let before = viewer.get("/me").send().await.expect(200);
    viewer.patch("/me").json(&json!({ "language": "tlh" })).send().await.violations(&[("unknown_value", "/language")]);
    viewer.patch("/me").json(&json!({ "language": "EN" })).send().await.violations(&[("unknown_value", "/language")]);
    viewer.patch("/me").json(&json!({ "language": 1 })).send().await.violations(&[("invalid_format", "/language")]);
    let answer = viewer.patch("/me").json(&json!({ "role": "org_admin", "email_on_incident": "no" })).send().await;
    answer.violations(&[("unknown_field", "/role"), ("invalid_format", "/email_on_incident")]);
    assert_eq!(viewer.get("/me").send().await.expect(200), before);
}

#[tokio::test]
async fn the_languages_are_a_closed_set_in_the_document() {
    let server = TestServer::without_worker().await;
    let document = server.anonymous().request_at(reqwest::Method::GET, "/api/openapi.json").send().await.expect(200);
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Language"]["enum"], json!(["en", "nb", "nn"]));
    for body in ["Me", "MePatch"] {
        let language = schemas[body]["properties"]["language"].to_string();
        assert!(language.contains("#/components/schemas/Language"), "{body}: {language}");
    }
}

#[tokio::test]
async fn a_machine_is_told_what_it_is_and_has_no_settings() {
    let server = TestServer::start().await;
    let organization = server.organization("Forening").await;
    let machine = organization.machine_with(&["syncs:read"]).await;
    let me = machine.get("/me").send().await.expect(200);
    assert_members(&me, MEMBERS);
    assert_eq!((&me["role"], &me["email"]), (&json!("runner"), &json!(null)));
    machine.patch("/me").json(&json!({ "language": "nb" })).send().await.problem(403, "forbidden");
}
