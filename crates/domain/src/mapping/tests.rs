mod properties;
mod violations;

use serde_json::json;

use super::*;
use crate::error_group::{ErrorClass, classify};
use crate::record::RecordError;

fn parsed(mapping: &Value) -> Mapping {
    Mapping::parse(mapping).unwrap_or_else(|found| panic!("{mapping}: {found:?}"))
}

/// A mapping of one field, `x`.
fn of_field(field: &Value) -> Mapping {
    parsed(&json!({ "entity": "things", "fields": { "x": field } }))
}

/// What one field becomes of the record's member `v`.
fn sent(field: &Value, given: &Value) -> Result<Vec<Node>, Vec<RecordError>> {
    of_field(field).apply(&json!({ "v": given }))
}

#[track_caller]
fn refused(field: &Value, given: &Value) -> RecordError {
    match sent(field, given).unwrap_err().as_slice() {
        [error] => error.clone(),
        errors => panic!("{errors:?}"),
    }
}

fn claims() -> Mapping {
    parsed(&json!({
        "entity": "addGLImportItems",
        "lines": "/lines",
        "fields": {
            "account.code": { "from": "/account", "as": "text", "required": true, "per_line": true },
            "amount": { "from": "/amount", "as": "money", "required": true, "per_line": true },
            "taxRule.code": { "from": "/kind", "map": { "meal": 5, "travel": "6" }, "per_line": true },
            "postedDate": { "from": "/date", "as": "date" },
            "text": { "from": "/employee/name", "as": "text", "personal": true },
            "currency": { "value": "NOK" },
        },
    }))
}

fn claim() -> Value {
    json!({
        "date": "2026-11-20", "employee": { "name": "Kari Nordmann" },
        "lines": [
            { "account": "7140", "amount": "1250.00", "kind": "travel" },
            { "account": 7350, "amount": -100, "kind": "meal" },
        ],
    })
}

#[test]
fn each_line_of_a_record_becomes_a_node() {
    let expected = json!([
        {
            "account": { "code": "7140" }, "amount": "1250.00", "taxRule": { "code": "6" },
            "postedDate": "2026-11-20", "text": "Kari Nordmann", "currency": "NOK",
        },
        {
            "account": { "code": "7350" }, "amount": "-100", "taxRule": { "code": 5 },
            "postedDate": "2026-11-20", "text": "Kari Nordmann", "currency": "NOK",
        },
    ]);
    assert_eq!(json!(claims().apply(&claim()).unwrap()), expected);
    assert_eq!(claims().size_of(&claim()), 2);
    assert_eq!(claims().entity(), "addGLImportItems");
    let names: Vec<_> = claims().names().map(str::to_owned).collect();
    assert_eq!(names, ["account.code", "amount", "currency", "postedDate", "taxRule.code", "text"]);
}

#[test]
fn each_kind_is_written_in_its_way() {
    for (kind, given, expected) in [
        ("text", json!("a"), json!("a")),
        ("text", json!(1000), json!("1000")),
        ("text", json!(true), json!("true")),
        ("integer", json!("42"), json!(42)),
        ("integer", json!(-1), json!(-1)),
        ("decimal", json!("1250.50"), json!(1250.5)),
        ("decimal", json!("1250.00"), json!(1250)),
        ("decimal", json!(3), json!(3)),
        ("money", json!("1250.00"), json!("1250.00")),
        ("money", json!("0.1234567890123456789"), json!("0.1234567890123456789")),
        ("money", json!(1250), json!("1250")),
        ("money", json!("-0.00"), json!("0.00")),
        ("date", json!("2024-02-29"), json!("2024-02-29")),
        ("datetime", json!("2026-11-20T13:03:06+01:00"), json!("2026-11-20T13:03:06+01:00")),
        ("datetime", json!("2026-11-20T12:03:06.5Z"), json!("2026-11-20T12:03:06.500Z")),
        ("boolean", json!(false), json!(false)),
        ("id", json!("9007199254740993"), json!("9007199254740993")),
        ("id", json!(9_007_199_254_740_993_i64), json!("9007199254740993")),
    ] {
        let nodes = sent(&json!({ "from": "/v", "as": kind }), &given).unwrap();
        assert_eq!(json!(nodes), json!([{ "x": expected }]), "{kind} of {given}");
    }
}

#[test]
fn what_does_not_fit_is_refused_where_it_stands() {
    for (kind, given) in [
        ("text", json!(1.5)),
        ("text", json!({})),
        ("text", json!(["a"])),
        ("integer", json!("1.0")),
        ("integer", json!("+1")),
        ("integer", json!("007")),
        ("integer", json!(u64::MAX)),
        ("decimal", json!("1e3")),
        ("decimal", json!(0.5)),
        ("decimal", json!("9007199254740993")),
        ("decimal", json!("0.12345678901234567890")),
        ("money", json!(1250.5)),
        ("money", json!("1 250,00")),
        ("money", json!("1.250,00")),
        ("money", json!(true)),
        ("date", json!("20.11.2026")),
        ("date", json!("2026-2-3")),
        ("date", json!("2026-02-30")),
        ("date", json!("+12026-01-01")),
        ("date", json!("2026-11-20T00:00:00Z")),
        ("date", json!(20_261_120)),
        ("datetime", json!("2026-11-20")),
        ("datetime", json!("2026-11-20T13:03:06")),
        ("boolean", json!("true")),
        ("boolean", json!(1)),
        ("id", json!("9223372036854775808")),
        ("id", json!("V-1")),
    ] {
        let error = refused(&json!({ "from": "/v", "as": kind }), &given);
        assert_eq!(error.code, MAPPING_INVALID_VALUE, "{kind} of {given}");
        assert_eq!((error.field.as_deref(), error.field_name.as_deref()), (Some("/v"), Some("x")));
        assert_eq!(classify(&error, None), ErrorClass::Value, "{error:?}");
    }
    let error = refused(&json!({ "from": "/v", "as": "money" }), &json!("Kari Nordmann"));
    assert_eq!(error.message, "x: the record's value is not an amount such as 1250.00, as a text, or a whole number");
}

#[test]
fn what_is_missing_is_left_out_or_refused() {
    for nothing in [json!(null), json!("")] {
        let nodes = sent(&json!({ "from": "/v", "as": "date" }), &nothing).unwrap();
        assert_eq!(json!(nodes), json!([{}]));
        let error = refused(&json!({ "from": "/v", "as": "date", "required": true }), &nothing);
        assert_eq!((error.code.as_str(), error.field.as_deref()), (MAPPING_MISSING_VALUE, Some("/v")));
        assert_eq!(classify(&error, None), ErrorClass::Missing);
    }
    let error = refused(&json!({ "from": "/v/deep~1er", "as": "text", "required": true }), &json!([1]));
    assert_eq!((error.code.as_str(), error.field.as_deref()), (MAPPING_MISSING_VALUE, Some("/v/deep~1er")));
}

#[test]
fn a_map_translates_words_and_offers_its_own() {
    let field = json!({ "from": "/v", "map": { "meal": 5, "1": "one", "true": false } });
    for (given, expected) in
        [(json!("meal"), json!(5)), (json!(1), json!("one")), (json!(true), json!(false)), (json!("1"), json!("one"))]
    {
        assert_eq!(json!(sent(&field, &given).unwrap()), json!([{ "x": expected }]));
    }
    let error = refused(&field, &json!("Meal"));
    assert_eq!((error.code.as_str(), error.field.as_deref()), (MAPPING_INVALID_VALUE, Some("/v")));
    assert_eq!(error.hints, ["1", "meal", "true"]);
    let field = json!({ "from": "/v", "as": "id", "map": { "meal": 5 } });
    assert_eq!(json!(sent(&field, &json!("meal")).unwrap()), json!([{ "x": "5" }]));
}

#[test]
fn a_row_is_referred_to_by_its_id_or_by_a_key() {
    let by_key = json!({ "from": "/v", "as": "bind", "set": "cr_centers", "key": "cr_code" });
    let reference = json!([{ "x@odata.bind": "/cr_centers(cr_code='O''Brien%20%26%20%C3%85s%2F1')" }]);
    assert_eq!(json!(sent(&by_key, &json!("O'Brien & Ås/1")).unwrap()), reference);
    let by_id = json!({ "from": "/v", "as": "bind", "set": "contacts" });
    let reference = json!([{ "x@odata.bind": "/contacts(0198c0de-0000-7000-8000-000000000001)" }]);
    assert_eq!(json!(sent(&by_id, &json!("0198C0DE-0000-7000-8000-000000000001")).unwrap()), reference);
    assert_eq!(refused(&by_id, &json!("1) or (1")).code, MAPPING_INVALID_VALUE);
    let constant = json!({ "value": "NOK", "as": "bind", "set": "transactioncurrencies", "key": "isocurrencycode" });
    let deep = parsed(&json!({ "entity": "claims", "fields": { "parent.currency": constant } }));
    let reference = json!([{
        "parent": { "currency@odata.bind": "/transactioncurrencies(isocurrencycode='NOK')" },
    }]);
    assert_eq!(json!(deep.apply(&json!({})).unwrap()), reference);
    assert_eq!(deep.binds().collect::<Vec<_>>(), ["parent.currency"]);
    assert_eq!(claims().binds().count(), 0);
}

#[test]
fn a_record_has_lines_and_not_too_many() {
    let fails = |payload: Value| -> (String, Option<String>) {
        let errors = claims().apply(&payload).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        (errors[0].code.clone(), errors[0].field.clone())
    };
    let at_lines = |code: &str| (code.to_owned(), Some("/lines".to_owned()));
    for nothing in [json!({}), json!({ "lines": null }), json!({ "lines": [] })] {
        assert_eq!(claims().size_of(&nothing), 1);
        assert_eq!(fails(nothing), at_lines(MAPPING_MISSING_VALUE));
    }
    assert_eq!(fails(json!({ "lines": {} })), at_lines(MAPPING_INVALID_VALUE));
    assert_eq!(fails(json!({ "lines": vec![claim()["lines"][0].clone(); 501] })), at_lines(MAPPING_TOO_LARGE));
    // Of many errors as many are told as are kept.
    assert_eq!(claims().apply(&json!({ "lines": vec![json!({}); 500] })).unwrap_err().len(), 50);
}

#[test]
fn a_short_record_does_not_become_a_long_one() {
    let long = json!({ "value": "x".repeat(4_000) });
    let mapping = parsed(&json!({
        "entity": "things", "lines": "/lines",
        "fields": { "a": long, "b": long, "c": long, "n": { "from": "/n", "as": "text", "per_line": true } },
    }));
    assert_eq!(mapping.apply(&json!({ "lines": [{}, {}] })).unwrap().len(), 2);
    let errors = mapping.apply(&json!({ "lines": vec![json!({}); 500] })).unwrap_err();
    assert_eq!((errors.len(), errors[0].code.as_str()), (1, MAPPING_TOO_LARGE));
}

#[test]
fn a_field_is_traced_to_its_place_in_the_record() {
    let mapping = claims();
    for (node, name, place) in [
        (0, "account.code", Some("/lines/0/account")),
        (1, "account.code", Some("/lines/1/account")),
        (1, "account", Some("/lines/1/account")),
        (0, "Account.Code", Some("/lines/0/account")),
        (2, "postedDate", Some("/date")),
        (0, "posteddate", Some("/date")),
        (0, "currency", None),
        (0, "code", None),
        (0, "acc", None),
        (0, "account.code.more", None),
        (0, "", None),
    ] {
        assert_eq!(mapping.trace(node, name).as_deref(), place, "{name} of node {node}");
    }
    let mapping = parsed(&json!({ "entity": "things", "fields": {
        "a.b": { "from": "/b", "as": "text" }, "a.c": { "from": "/c", "as": "text" }, "a.d": { "value": 1 },
        "r": { "from": "/r", "as": "bind", "set": "rows" },
    } }));
    assert_eq!(mapping.trace(0, "a"), None, "two fields lie there");
    assert_eq!(mapping.trace(0, "r@odata.bind").as_deref(), Some("/r"));
    assert_eq!(mapping.trace(1, "a.b"), None, "there is one node");
}

#[test]
fn personal_values_are_taken_out_of_an_answer() {
    let mapping = parsed(&json!({ "entity": "things", "lines": "/lines", "fields": {
        "name": { "from": "/name", "as": "text", "personal": true },
        "born": { "from": "/born", "as": "datetime", "personal": true, "per_line": true },
        "child": { "from": "/child", "map": { "1": "Ola" }, "personal": true, "per_line": true },
        "account": { "from": "/account", "as": "text", "per_line": true },
    } }));
    let payload = json!({ "name": "Kari", "lines": [
        { "born": "1980-02-03T04:05:06.5Z", "child": 1, "account": "7140" }, { "born": "", "account": "Karianne" },
    ] });
    for (words, clean) in [
        ("no Kari, no Karianne and no 7140", "no [value], no Karianne and no 7140"),
        ("'Kari' and Kari", "'[value]' and [value]"),
        ("born 1980-02-03T04:05:06.5Z or 1980-02-03T04:05:06.500Z", "born [value] or [value]"),
        ("1 child Ola of 21", "[value] child [value] of 21"),
        ("Ø Kariø øKari", "Ø Kariø øKari"),
        ("", ""),
    ] {
        assert_eq!(mapping.without_personal(&payload, words), clean);
    }
    assert_eq!(mapping.without_personal(&json!({}), "Kari"), "Kari");
}
