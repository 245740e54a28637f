//! What no honest caller sends: figures at their edges, texts at theirs, and bytes that are none.

use serde_json::{Value, json};
use tests::client::{Answer, id};
use tests::organization::merge;
use uuid::Uuid;

use crate::scene::{Scene, assert_has, record};

const MOST: i64 = 2_147_483_647;

async fn finish(scene: &Scene, more: Value) -> Answer {
    scene.machine.post("/sync-logs/finished").json(&scene.finished_body(more)).send().await
}

/// A body as it is, with one member's value written by hand.
async fn with_raw(scene: &Scene, member: &str, value: &str) -> Answer {
    let mut body = scene.finished_body(json!({}));
    body[member] = json!("the value");
    let body = body.to_string().replace("\"the value\"", value);
    scene.machine.post("/sync-logs/finished").body("application/json", body).send().await
}

#[tokio::test]
async fn counts_at_the_edge_are_kept_and_those_beyond_refused() {
    let scene = Scene::new().await;
    let all = json!({ "records_total": MOST, "records_processed": MOST, "records_failed": 0 });
    assert_has(&finish(&scene, all.clone()).await.expect(201), &all);
    for member in ["records_total", "records_processed", "records_failed"] {
        let pointer = format!("/{member}");
        // A total is told where a sync begins and where it ends.
        let times = if member == "records_total" { 2 } else { 1 };
        for beyond in [json!(MOST + 1), json!(i64::MAX)] {
            finish(&scene, json!({ member: beyond }))
                .await
                .violations(&vec![("out_of_range", pointer.as_str()); times]);
        }
        for beyond in [json!(-1), json!(i64::MIN)] {
            let rule = "records_processed_non_negative";
            finish(&scene, json!({ member: beyond })).await.violations(&vec![(rule, pointer.as_str()); times]);
        }
        for no_count in ["9223372036854775808", "-9223372036854775809", "1.5", "\"40\"", "true", "[]"] {
            let problem = with_raw(&scene, member, no_count).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], json!(pointer), "{no_count}: {problem}");
        }
        for no_json in ["1e999", "NaN", "0x28", "--1", "040"] {
            with_raw(&scene, member, no_json).await.problem(400, "malformed_body");
        }
    }
}

#[tokio::test]
async fn counts_whose_sum_is_beyond_every_count_are_a_warning() {
    let scene = Scene::new().await;
    let both = json!({ "records_total": MOST, "records_processed": MOST, "records_failed": MOST });
    let sync = finish(&scene, both).await.expect(201);
    assert_has(&sync, &json!({ "records_processed": MOST, "records_failed": MOST }));

    // Three attempts that each delivered as many as there can be.
    let sync = scene.start(json!({ "records_total": MOST })).await;
    let end = async |attempt: u16| {
        let body = json!({
            "attempt": attempt, "error_code": "X", "error_message": "x", "records_processed": MOST, "records_failed": MOST,
        });
        scene.machine.post(&format!("/sync-logs/{sync}/fail")).json(&body).send().await.expect(200)
    };
    end(0).await;
    for attempt in 1..=2 {
        scene.retry(sync).await.expect(202);
        scene.claim(sync).await.expect(201);
        let ended = end(attempt).await;
        assert_has(&ended, &json!({ "status": "retried_failed", "records_processed": MOST }));
    }
    let path = format!("/integrations/{}/trends", scene.integration);
    let trends = scene.admin.get(&path).send().await.expect(200);
    let processed: i64 =
        trends["items"].as_array().unwrap().iter().map(|day| day["records_processed"].as_i64().unwrap()).sum();
    assert_eq!(processed, 2 * MOST);
}

#[tokio::test]
async fn counts_that_do_not_add_up_are_a_warning_whichever_is_wrong() {
    let scene = Scene::new().await;
    let mut number = 0;
    for (total, processed, failed, warned) in [
        (40, 40, 0, false),
        (40, 39, 0, true),
        (40, 41, 0, true),
        (0, 1, 0, true),
        (40, 0, 0, true),
        (12, 28, 12, true),
    ] {
        number += 1;
        let counts = json!({
            "records_total": total, "records_processed": processed, "records_failed": failed,
            "client_run_id": format!("run-{number}"),
        });
        let sync = finish(&scene, counts).await.expect(201);
        let codes: Vec<&Value> = sync["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
        assert_eq!(codes.contains(&&json!("counts_must_add_up")), warned, "{sync}");
    }
}

#[tokio::test]
async fn attempts_beyond_every_number_are_refused() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let path = format!("/sync-logs/{sync}");
    for attempt in [json!(65_536), json!(-1), json!(i64::MAX), json!(1.5), json!("0"), json!(null)] {
        for report in [
            scene.machine.patch(&path).json(&json!({ "attempt": attempt })).send().await,
            scene.machine.post(&format!("{path}/succeed")).json(&json!({ "attempt": attempt })).send().await,
            scene
                .machine
                .post(&format!("{path}/records"))
                .json(&json!({ "attempt": attempt, "records": [] }))
                .send()
                .await,
        ] {
            let problem = report.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], "/attempt", "{attempt}: {problem}");
        }
    }
    for attempt in [1, 11, 32_767, 32_768, 65_535] {
        scene.succeed(sync, attempt).await.problem(409, "invalid_transition");
    }
    assert_eq!(scene.sync(sync).await["status"], "in_progress");
}

#[tokio::test]
async fn a_message_has_four_thousand_characters_however_many_bytes() {
    let scene = Scene::new().await;
    for character in ["x", "ø", "語", "🦀", "e\u{301}"] {
        let characters = character.chars().count();
        for number in [3_999, 4_000, 4_001, 12_000] {
            let message: String = character.chars().cycle().take(number).collect();
            let mut failure = Scene::failure();
            merge(&mut failure, json!({ "error_message": message }));
            let kept: String = message.chars().take(4_000).collect();
            let sync = finish(&scene, failure).await.expect(201);
            assert_eq!(sync["error_message"], json!(kept), "{number} of {characters}");
            assert_eq!(scene.sync(id(&sync)).await["error_message"], json!(kept));
        }
    }
}

#[tokio::test]
async fn a_records_message_is_cut_too() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let bad = Uuid::now_v7();
    let mut failed = record(bad, "failed");
    failed["errors"] = json!([{ "code": "æ".repeat(201), "message": "🦀".repeat(4_001) }]);
    scene.append(sync, 0, &[failed]).await.expect(200);
    let records = scene.admin.get(&format!("/sync-logs/{sync}/records")).send().await.expect(200);
    let error = &records["items"][0]["errors"][0];
    assert_eq!((&error["code"], &error["message"]), (&json!("æ".repeat(200)), &json!("🦀".repeat(4_000))));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_malformed() {
    let scene = Scene::new().await;
    let body = scene.finished_body(json!({ "client_run_id": "the value" })).to_string();
    let texts: [&[u8]; 8] = [
        b"\xff",
        b"\xc3\x28",
        b"\xed\xa0\x80",         // a surrogate
        b"\xf8\x88\x80\x80\x80", // five bytes
        b"\xc0\xaf",             // longer than need be
        b"a\xe2\x82",            // ends early
        b"\\ud800",
        b"\\x41",
    ];
    for bytes in texts {
        let (before, after) = body.split_once("the value").unwrap();
        let raw = [before.as_bytes(), bytes, after.as_bytes()].concat();
        let answer = scene.machine.post("/sync-logs/finished").body("application/json", raw).send().await;
        answer.problem(400, "malformed_body");
    }
    for charset in ["iso-8859-1", "utf-16"] {
        let kind = format!("application/json; charset={charset}");
        scene
            .machine
            .post("/sync-logs/finished")
            .body(&kind, body.clone())
            .send()
            .await
            .problem(415, "unsupported_media_type");
    }
    for nothing in ["", " ", "null", "[]", "\"text\"", "{", "{}x", "\u{feff}{}"] {
        let answer = scene.machine.post("/sync-logs/finished").body("application/json", nothing).send().await;
        assert!(matches!(answer.status, 400 | 422), "{nothing:?}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[tokio::test]
async fn the_character_zero_is_refused_where_it_stands() {
    let scene = Scene::new().await;
    for (member, value, pointer) in [
        ("client_run_id", json!("a\0"), "/client_run_id"),
        ("external_reference_id", json!("\0"), "/external_reference_id"),
        ("source_record_type", json!("claims\0"), "/source_record_type"),
        ("metadata", json!({ "deep": [{ "down": "a\0b" }] }), "/metadata/deep/0/down"),
        ("warnings", json!([{ "code": "X\0", "message": "x" }]), "/warnings/0/code"),
    ] {
        finish(&scene, json!({ member: value })).await.violations(&[("invalid_format", pointer)]);
    }
    let mut failure = Scene::failure();
    merge(&mut failure, json!({ "error_code": "\0", "error_message": "a\0b" }));
    let problem = finish(&scene, failure).await.problem(422, "validation_failed");
    assert_eq!(problem["errors"].as_array().unwrap().len(), 2, "{problem}");
    let paths = ["/sync-logs?source_record_type=%00", "/sync-logs/export?status=%00"];
    for path in paths {
        scene.machine.get(path).send().await.problem(400, "invalid_parameter");
    }
}

#[tokio::test]
async fn words_outside_their_set_are_named() {
    let scene = Scene::new().await;
    for member in ["connector_type", "sync_type", "triggered_by", "status"] {
        let known = scene.finished_body(json!({}))[member].as_str().unwrap().to_owned();
        for word in
            [String::new(), known.to_uppercase(), format!(" {known}"), format!("{known},{known}"), "语".to_owned()]
        {
            finish(&scene, json!({ member: word })).await.violations(&[("unknown_value", &format!("/{member}"))]);
        }
        for no_word in [json!(null), json!(1), json!([known]), json!({ "word": known })] {
            let problem = finish(&scene, json!({ member: no_word })).await.problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], json!(format!("/{member}")), "{no_word}");
        }
    }
}

#[tokio::test]
async fn a_body_too_deep_or_too_large_is_refused() {
    let scene = Scene::new().await;
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    with_raw(&scene, "metadata", &deep).await.problem(400, "malformed_body");
    let large = format!("\"{}\"", "x".repeat(1_100_000));
    with_raw(&scene, "metadata", &large).await.problem(413, "body_too_large");
}
