use serde_json::json;

use super::*;
use crate::dynamics365::settings::parse;
use crate::guard::OutboundPolicy;

fn settings(write: &str) -> Settings {
    let settings = json!({
        "environment": "https://contoso.crm4.dynamics.com", "tenant": "contoso", "key_attribute": "sw_syncid",
        "write": write,
        "mapping": { "entity": "sw_claims", "fields": { "sw_amount": { "from": "/amount", "as": "decimal" } } },
    });
    let credentials = json!({ "type": "client_credentials", "client_id": "sync", "client_secret": "s3cret-text" });
    parse(&settings, Some(&credentials), &OutboundPolicy::public_only()).unwrap().0
}

fn record() -> OutboundRecord {
    OutboundRecord {
        source_record_type: "expense_claims".to_owned(),
        source_record_id: Uuid::from_u128(7),
        payload: json!({ "amount": "1.50" }),
        payload_hash: "0".repeat(64),
        idempotency_key: "key".to_owned(),
        in_doubt: false,
    }
}

fn written(settings: &Settings) -> Outgoing {
    let rows = settings.mapping.apply(&record().payload).unwrap();
    write(settings, &record(), &rows[0]).unwrap()
}

fn header<'a>(outgoing: &'a Outgoing, name: &str) -> Option<&'a str> {
    outgoing.headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn a_row_is_written_by_its_key() {
    let outgoing = written(&settings("create"));
    assert_eq!(
        (outgoing.method.as_str(), outgoing.url.as_str()),
        (
            "PATCH",
            "https://contoso.crm4.dynamics.com/api/data/v9.2/sw_claims(sw_syncid='00000000-0000-0000-0000-000000000007')"
        )
    );
    assert_eq!(outgoing.body.as_deref(), Some(r#"{"sw_amount":1.5}"#));
    for (name, value) in [
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("odata-version", "4.0"),
        ("odata-maxversion", "4.0"),
        ("prefer", EXPLAINED),
    ] {
        assert_eq!(header(&outgoing, name), Some(value));
    }
    for (mode, none_match, matches) in
        [("create", Some("*"), None), ("upsert", None, None), ("update", None, Some("*"))]
    {
        let outgoing = written(&settings(mode));
        assert_eq!(
            (header(&outgoing, "if-none-match"), header(&outgoing, "if-match")),
            (none_match, matches),
            "{mode}"
        );
    }
}

#[test]
fn rows_are_looked_up_by_the_same_key() {
    let settings = settings("create");
    let row =
        "https://contoso.crm4.dynamics.com/api/data/v9.2/sw_claims(sw_syncid='00000000-0000-0000-0000-000000000007')";
    let outgoing = look_up(&settings, &record()).unwrap();
    assert_eq!((outgoing.method.as_str(), outgoing.url.as_str()), ("GET", format!("{row}?$select=sw_syncid").as_str()));
    let root = "https://contoso.crm4.dynamics.com/api/data/v9.2/";
    assert_eq!(who_am_i(&settings).unwrap().url.as_str(), format!("{root}WhoAmI"));
    assert_eq!(any_row(&settings).unwrap().url.as_str(), format!("{root}sw_claims?$select=sw_syncid&$top=1"));
}

#[test]
fn several_leave_in_one_request() {
    let settings = settings("create");
    let parts = [written(&settings), look_up(&settings, &record()).unwrap()];
    let outgoing = together(&settings, &parts).unwrap();
    assert_eq!(outgoing.url.as_str(), "https://contoso.crm4.dynamics.com/api/data/v9.2/$batch");
    assert_eq!(header(&outgoing, "prefer"), Some("odata.continue-on-error"));
    assert_eq!(header(&outgoing, "content-type"), Some("multipart/mixed; boundary=batch_syncwatch"));
    let body = outgoing.body.unwrap();
    let key = "/api/data/v9.2/sw_claims(sw_syncid='00000000-0000-0000-0000-000000000007')";
    for part in [
        "--batch_syncwatch\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: 1\r\n\r\n",
        &format!("\r\n\r\nPATCH {key} HTTP/1.1\r\n"),
        "\r\nif-none-match: *\r\n",
        "\r\n\r\n{\"sw_amount\":1.5}\r\n--batch_syncwatch\r\n",
        "\r\nContent-ID: 2\r\n\r\n",
        &format!("\r\n\r\nGET {key}?$select=sw_syncid HTTP/1.1\r\n"),
    ] {
        assert!(body.contains(part), "{part} in {body}");
    }
    assert!(body.ends_with("\r\n\r\n\r\n--batch_syncwatch--\r\n"), "{body}");
}
