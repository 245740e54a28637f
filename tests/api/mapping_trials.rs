//! `/integrations/mapping-trials`.

use serde_json::{Value, json};
use tests::client::Answer;
use tests::database::dump;
use tests::server::TestServer;

use crate::scene::{Scene, assert_members};

const PATH: &str = "/integrations/mapping-trials";

fn mapping() -> Value {
    json!({
        "entity": "addGLImportItems", "lines": "/lines",
        "fields": {
            "account.code": { "from": "/account", "as": "text", "required": true, "per_line": true },
            "amount": { "from": "/amount", "as": "money", "required": true, "per_line": true },
            "postedDate": { "from": "/date", "as": "date" },
            "currency": { "value": "NOK" },
        },
    })
}

fn claim(lines: &Value) -> Value {
    json!({ "date": "2026-11-20", "lines": lines })
}

async fn scene() -> Scene {
    Scene::on(TestServer::without_worker().await, json!({})).await
}

async fn attempt(scene: &Scene, mapping: &Value, payload: &Value) -> Answer {
    scene.admin.post(PATH).json(&json!({ "mapping": mapping, "payload": payload })).send().await
}

#[tokio::test]
async fn a_trial_says_what_would_be_sent_and_keeps_nothing() {
    let scene = scene().await;
    let superuser = scene.server.superuser().await;
    let before = dump(&superuser, None).await;
    let lines = json!([{ "account": "7140", "amount": "1250.00" }, { "account": 7350, "amount": 40 }]);
    let trial = attempt(&scene, &mapping(), &claim(&lines)).await.expect(200);
    assert_members(&trial, &["nodes", "errors"]);
    let nodes = json!([
        { "account": { "code": "7140" }, "amount": "1250.00", "postedDate": "2026-11-20", "currency": "NOK" },
        { "account": { "code": "7350" }, "amount": "40", "postedDate": "2026-11-20", "currency": "NOK" },
    ]);
    assert_eq!(trial, json!({ "nodes": nodes, "errors": [] }));
    assert_eq!(dump(&superuser, None).await, before);
}

#[tokio::test]
async fn a_record_that_does_not_fit_is_told_where() {
    let scene = scene().await;
    let lines = json!([{ "account": "7140", "amount": "1250.00" }, { "account": "", "amount": 1250.5 }]);
    let trial = attempt(&scene, &mapping(), &claim(&lines)).await.expect(200);
    assert_eq!(trial["nodes"], json!([]), "one line alone is not sent");
    let told: Vec<[&str; 3]> = trial["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| ["code", "field", "field_name"].map(|member| error[member].as_str().unwrap()))
        .collect();
    let expected = [
        ["MAPPING_MISSING_VALUE", "/lines/1/account", "account.code"],
        ["MAPPING_INVALID_VALUE", "/lines/1/amount", "amount"],
    ];
    assert_eq!(told, expected);
    let trial = attempt(&scene, &mapping(), &json!({})).await.expect(200);
    assert_eq!(trial["errors"][0]["field"], "/lines");
}

#[tokio::test]
async fn everything_wrong_with_a_mapping_is_named() {
    let scene = scene().await;
    let mut wrong = mapping();
    wrong["entity"] = json!(null);
    wrong["colour"] = json!("red");
    wrong["fields"]["amount"]["as"] = json!("float");
    wrong["fields"]["a/b"] = json!({ "from": "b", "as": "text" });
    attempt(&scene, &wrong, &json!([])).await.violations(&[
        ("required", "/mapping/entity"),
        ("unknown_field", "/mapping/colour"),
        ("unknown_value", "/mapping/fields/amount/as"),
        ("invalid_format", "/mapping/fields/a~1b"),
        ("invalid_format", "/mapping/fields/a~1b/from"),
        ("invalid_format", "/payload"),
    ]);
    attempt(&scene, &json!("none"), &json!({})).await.violations(&[("invalid_format", "/mapping")]);
    let bare = json!({ "payload": {}, "connector": "xledger" });
    let answer = scene.admin.post(PATH).json(&bare).send().await;
    answer.violations(&[("required", "/mapping"), ("unknown_field", "/connector")]);
}

#[tokio::test]
async fn the_names_are_those_of_the_system_that_is_named() {
    let scene = scene().await;
    let mut mapping = mapping();
    let of_xledger =
        |mapping: &Value| json!({ "connector_type": "xledger", "mapping": mapping, "payload": claim(&json!([])) });
    scene.admin.post(PATH).json(&of_xledger(&mapping)).send().await.expect(200);
    mapping["fields"]["colour"] = json!({ "value": "red" });
    attempt(&scene, &mapping, &claim(&json!([]))).await.expect(200);
    let answer = scene.admin.post(PATH).json(&of_xledger(&mapping)).send().await;
    answer.violations(&[("unknown_field", "/mapping/fields/colour")]);
    mapping["entity"] = json!("addColours");
    let answer = scene.admin.post(PATH).json(&of_xledger(&mapping)).send().await;
    answer.violations(&[("unknown_value", "/mapping/entity")]);
    // Dataverse alone knows its tables and columns; but a row has neither lines nor members.
    let fields = json!({ "sw_amount": { "from": "/amount", "as": "decimal" } });
    let row = json!({ "entity": "sw_claims", "fields": fields });
    let claim = json!({ "amount": "1.00" });
    let of_dynamics =
        |mapping: &Value| json!({ "connector_type": "dynamics365", "mapping": mapping, "payload": &claim });
    scene.admin.post(PATH).json(&of_dynamics(&row)).send().await.expect(200);
    let mut lined = row;
    lined["lines"] = json!("/lines");
    lined["fields"]["sw_amount"]["per_line"] = json!(true);
    lined["fields"]["owner.name"] = json!({ "from": "/owner", "as": "text" });
    let answer = scene.admin.post(PATH).json(&of_dynamics(&lined)).send().await;
    answer.violations(&[("invalid_format", "/mapping/fields/owner.name"), ("invalid_format", "/mapping/lines")]);
}

#[tokio::test]
async fn only_administrators_try_mappings() {
    let scene = scene().await;
    let body = json!({ "mapping": mapping(), "payload": {} });
    scene.machine.post(PATH).json(&body).send().await.problem(403, "forbidden");
    scene.organization.viewer().await.post(PATH).json(&body).send().await.problem(403, "forbidden");
    scene.server.anonymous().post(PATH).json(&body).send().await.problem(401, "unauthenticated");
    let answer = scene.admin.get(PATH).send().await;
    assert_eq!(answer.header("allow"), "POST");
    answer.problem(405, "method_not_allowed");
}
