use std::collections::BTreeSet;

use actix_web::{App, HttpServer, rt};

use super::*;
use crate::accounting;

mod ledger;

use ledger::Ledger;

/// The real accounting service, in this process.
fn accounting() -> (String, accounting::Office) {
    let office = accounting::Office::open(None, "token").unwrap();
    let shared = office.clone();
    let server = HttpServer::new(move || {
        let shared = shared.clone();
        App::new().configure(move |config| accounting::routes(config, &shared))
    })
    .workers(1)
    .bind(("127.0.0.1", 0))
    .unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    rt::spawn(server.run());
    (url, office)
}

fn arguments(directory: &std::path::Path, ledger: &Ledger, accounting: &str) -> Arguments {
    let key_file = directory.join("key.json");
    std::fs::write(&key_file, r#"{"client_id":"demo-key","client_secret":"demo-secret"}"#).unwrap();
    Arguments {
        server: ledger.url.clone(),
        accounting: accounting.to_owned(),
        source_app_base: "http://127.0.0.1:4100/".to_owned(),
        state_dir: directory.join("state"),
        admin_email: "admin@demoforbundet.example".to_owned(),
        admin_password: "password".to_owned(),
        key_file: Some(key_file),
        accounting_token: "token".to_owned(),
    }
}

fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[actix_web::test]
async fn the_organization_is_filled_once() {
    install_tls();
    let directory = tempfile::tempdir().unwrap();
    let (ledger, (url, _)) = (Ledger::start(), accounting());
    let arguments = arguments(directory.path(), &ledger, &url);

    let summary = seed(&arguments).await.unwrap();
    let lights: Vec<_> = summary["integrations"].as_array().unwrap().iter().map(|item| item["light"].clone()).collect();
    assert_eq!(lights, ["red", "green", "yellow"]);
    let first = ledger.writes();
    #[expect(clippy::disallowed_methods, reason = "the demonstration's own addresses")]
    let log: Value = reqwest::get(format!("{url}/api/log")).await.unwrap().json().await.unwrap();
    let booked = |kind: &str| log["items"].as_array().unwrap().iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!((booked("voucher"), booked("participant"), booked("member")), (33, 24, 57));

    let again = seed(&arguments).await.unwrap();
    assert_eq!(again["first_run"], false);
    assert_eq!(ledger.writes(), first, "a second run writes nothing");
    std::fs::remove_file(arguments.state_dir.join("seed.json")).unwrap();
    seed(&arguments).await.unwrap();
    assert_eq!(ledger.writes(), first, "nor does one that lost its notes");
}

#[actix_web::test]
async fn peers_that_moved_are_found_again_and_corrections_stay() {
    install_tls();
    let directory = tempfile::tempdir().unwrap();
    let (ledger, (url, _)) = (Ledger::start(), accounting());
    let mut arguments = arguments(directory.path(), &ledger, &url);
    seed(&arguments).await.unwrap();
    let file = arguments.state_dir.join("records.json");
    let mut records = Records::read(&file).unwrap();
    let mended = records.collections[0].records[6].corrected(&[("cost_center".to_owned(), "1100".to_owned())]);
    records.replace("claims", mended);
    records.write(&file).unwrap();

    let (moved, _) = accounting();
    arguments.accounting.clone_from(&moved);
    seed(&arguments).await.unwrap();
    let settings = ledger.integration("Fjordregnskap – utlegg");
    assert_eq!(settings["settings"]["url"], format!("{moved}/api/vouchers"));
    assert_eq!(settings["settings"]["idempotency_header"], "Idempotency-Key");
    assert_eq!(Records::read(&file).unwrap(), records);
}

#[actix_web::test]
async fn a_refusal_names_every_field() {
    install_tls();
    let directory = tempfile::tempdir().unwrap();
    let ledger = Ledger::start();
    let mut arguments = arguments(directory.path(), &ledger, "not an address");
    let refusal = format!("{:#}", seed(&arguments).await.unwrap_err());
    assert!(refusal.contains("POST /integrations: 422"), "{refusal}");
    assert!(refusal.contains("validation_failed") && refusal.contains("/settings/url invalid_format"), "{refusal}");
    arguments.admin_password = "wrong".to_owned();
    let refusal = format!("{:#}", seed(&arguments).await.unwrap_err());
    assert!(refusal.contains("POST /auth/login: 401") && refusal.contains("invalid_credentials"), "{refusal}");
    assert!(!refusal.contains("wrong"), "{refusal}");
}

#[test]
fn forty_claims_have_twelve_faults_of_three_kinds() {
    let plan = claims::plan("2026-11-21".parse().unwrap());
    let records = &plan.rounds[1].records;
    assert_eq!(records.len(), 40);
    let having = |field: &str, value: &str| records.iter().filter(|record| record.payload[field] == value).count();
    assert_eq!(having("cost_center", "9999"), 9);
    assert_eq!(having("period", "2026-08"), 2);
    assert_eq!(having("amount", "62400.00"), 1);
    assert_eq!(plan.collection(Uuid::nil()).records.len(), 45);
    let claim = records.iter().find(|record| record.label == "Claim 1043").unwrap();
    assert_eq!(claim.id.to_string(), "de300001-0000-8000-8000-000000001043");
    assert_eq!(claim.id.get_version_num(), 8);
}

#[test]
fn no_two_records_share_an_id() {
    let plans = plan::all("2026-11-21".parse().unwrap());
    let ids: Vec<_> =
        plans.iter().flat_map(|plan| plan.collection(Uuid::nil()).records).map(|record| record.id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[test]
fn history_is_plausible_and_the_same_every_time() {
    for today in ["2026-11-21", "2026-11-23", "2026-03-31", "2027-01-04"] {
        let today = today.parse().unwrap();
        for plan in plan::all(today) {
            let items = history::items(&plan, Uuid::nil(), today);
            assert_eq!(items, history::items(&plan, Uuid::nil(), today));
            assert!((28..=60).contains(&items.len()), "{} has {}", plan.name, items.len());
            let mut runs = BTreeSet::new();
            let mut failed_before = false;
            for item in &items {
                let count = |name: &str| item[name].as_u64().unwrap();
                assert_eq!(count("records_total"), count("records_processed") + count("records_failed"));
                assert_eq!(item["metadata"], json!({ "demonstration": true }));
                let time = |name: &str| item[name].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
                assert!(time("started_at") < time("completed_at") && time("completed_at").date_naive() < today);
                let failed = item["status"] == "failed";
                assert_eq!(failed, item.get("error_code").is_some() && item.get("error_message").is_some());
                assert!(!(failed && failed_before), "two failures in a row would have opened an incident");
                failed_before = failed;
                assert!(runs.insert(item["client_run_id"].as_str().unwrap().to_owned()));
            }
            assert!(!failed_before, "the past ends well");
            assert!(items.iter().any(|item| item["status"] == "failed"));
        }
    }
}
