use super::*;
use crate::connector::Permanence;
use crate::exchange::Trouble;

static CREDENTIALS: Credentials = Credentials::None;

fn look_up() -> LookUp<'static> {
    LookUp { credentials: &CREDENTIALS }
}

fn lines(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn wanted() -> Vec<Vec<String>> {
    vec![lines(&["a-0"]), lines(&["b-0", "b-1"]), lines(&["c-0"])]
}

fn answered(status: u16, body: &str) -> Exchange {
    Exchange::Answered(Answer {
        status,
        content_type: None,
        location: None,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        completeness: Completeness::Whole,
    })
}

fn connection(nodes: &[Value]) -> Exchange {
    let edges: Vec<Value> = nodes.iter().map(|node| json!({ "node": node })).collect();
    let edges = if edges.is_empty() { Value::Null } else { json!(edges) };
    answered(200, &json!({ "data": { "items": { "edges": edges, "pageInfo": { "hasNextPage": false } } } }).to_string())
}

fn items(there: &[(&str, u32)]) -> Exchange {
    let nodes: Vec<Value> =
        there.iter().map(|(key, id)| json!({ "extIdentifier": key, "dbId": id.to_string() })).collect();
    connection(&nodes)
}

/// What is said of each record, in short.
fn said(there: &[(&str, u32)], failed: &[u32], posting: Option<TimeDelta>) -> Vec<String> {
    let there = look_up().items(&items(there), &wanted()).unwrap();
    let nodes: Vec<Value> = failed
        .iter()
        .map(|id| json!({ "dbId": id, "message": "The period is closed.", "errorLevel": { "code": "E", "name": "Error" } }))
        .collect();
    let failed = look_up().errors(&connection(&nodes), &there).unwrap();
    let short = |lines: &Vec<String>| match look_up().said(lines, &there, &failed, posting) {
        Asked::Found { reference } => format!("found {}", reference.unwrap_or_default()),
        Asked::Taken { reference, .. } => format!("taken {}", reference.unwrap_or_default()),
        Asked::Refused(errors) => format!("refused {}", errors[0].message),
        Asked::Absent => "absent".to_owned(),
        Asked::Unclear(error) => error.code,
    };
    wanted().iter().map(short).collect()
}

#[test]
fn a_record_is_there_with_all_its_lines() {
    assert_eq!(said(&[("a-0", 1), ("b-1", 3), ("b-0", 2)], &[], None), ["found 1", "found 2,3", "absent"]);
    assert_eq!(said(&[("b-0", 2)], &[], None), ["absent", "PARTLY_ACCEPTED", "absent"]);
    assert_eq!(said(&[], &[], None), ["absent", "absent", "absent"]);
    // Twice is there too.
    assert_eq!(said(&[("a-0", 1), ("a-0", 9)], &[], None)[0], "found 1,9");
}

#[test]
fn what_was_taken_can_fail_to_be_posted() {
    let posting = Some(TimeDelta::seconds(30));
    let there = [("a-0", 1), ("b-0", 2), ("b-1", 3), ("c-0", 4), ("c-0", 5)];
    assert_eq!(said(&there, &[], posting), ["taken 1", "taken 2,3", "taken 4,5"]);
    let closed = "refused The period is closed.";
    assert_eq!(said(&there, &[1, 2, 3], posting), [closed, closed, "taken 4,5"]);
    assert_eq!(said(&there, &[2, 4], posting), ["taken 1", "PARTLY_POSTED", "taken 4,5"]);
    assert_eq!(said(&there, &[4, 5], posting)[2], closed);
}

#[test]
fn what_is_not_called_an_error_leaves_a_doubt() {
    let there = look_up().items(&items(&[("a-0", 1)]), &wanted()).unwrap();
    let levels = [json!({ "code": "W", "name": "Warning" }), json!({ "code": "I", "name": null }), json!(null)];
    for level in levels {
        let remark = json!({ "dbId": 1, "message": "The period closes soon.", "errorLevel": level });
        let failed = look_up().errors(&connection(&[remark]), &there).unwrap();
        let said = look_up().said(&wanted()[0], &there, &failed, Some(TimeDelta::seconds(30)));
        assert!(matches!(&said, Asked::Unclear(error) if error.code == "POSTING_UNCLEAR"), "{level}: {said:?}");
    }
}

#[test]
fn only_a_whole_answer_about_what_was_asked_is_believed() {
    let row = json!({ "extIdentifier": "a-0", "dbId": "1" });
    let page = |edges: Value, more: Value| {
        json!({ "data": { "items": { "edges": edges, "pageInfo": { "hasNextPage": more } } } }).to_string()
    };
    for (exchange, code) in [
        (answered(200, ""), "LOOK_UP_UNCLEAR"),
        (answered(200, "[]"), "LOOK_UP_UNCLEAR"),
        (answered(200, "{}"), "LOOK_UP_UNCLEAR"),
        (answered(200, "{\"data\": null}"), "LOOK_UP_UNCLEAR"),
        (answered(200, "{\"data\": {\"items\": null}}"), "LOOK_UP_UNCLEAR"),
        (answered(200, "{\"data\": {\"items\": {}}}"), "LOOK_UP_UNCLEAR"),
        (answered(200, &page(json!([null]), json!(false))), "LOOK_UP_UNCLEAR"),
        (answered(200, &page(json!([{ "node": row }]), json!(true))), "LOOK_UP_INCOMPLETE"),
        (answered(200, &page(json!([{ "node": row }]), json!(null))), "LOOK_UP_INCOMPLETE"),
        (answered(200, &page(json!([]), json!(true))), "LOOK_UP_INCOMPLETE"),
        (items(&[("a-0", 1), ("x-0", 2)]), "LOOK_UP_MISMATCH"),
        (connection(&[json!({ "extIdentifier": "a-0" })]), "LOOK_UP_MISMATCH"),
        (connection(&[Value::Null]), "LOOK_UP_MISMATCH"),
        (answered(502, "{}"), "HTTP_502"),
        (answered(200, "{\"data\": {\"items\": {\"edges\": null}}, \"errors\": [{\"message\": \"no\"}]}"), "REJECTED"),
        (
            answered(200, "{\"errors\": [{\"message\": \"no\", \"code\": \"BAD_REQUEST.BURST_RATE_LIMIT_REACHED\"}]}"),
            "BAD_REQUEST.BURST_RATE_LIMIT_REACHED",
        ),
        (
            Exchange::NoAnswer(Trouble {
                code: "TIMEOUT",
                message: "No answer came in time.".to_owned(),
                permanence: Permanence::Transient,
            }),
            "TIMEOUT",
        ),
    ] {
        let error = look_up().items(&exchange, &wanted()).unwrap_err();
        assert_eq!(error.code, code, "{exchange:?}");
    }
    let there = look_up().items(&items(&[("a-0", 1)]), &wanted()).unwrap();
    let other = connection(&[json!({ "dbId": "7", "message": "no" })]);
    assert_eq!(look_up().errors(&other, &there).unwrap_err().code, "LOOK_UP_MISMATCH");
}

#[test]
fn the_queries_name_every_line_and_every_item() {
    let query = items_query(Mutation::find("addGLImportItems").unwrap(), &wanted());
    assert_eq!(query["variables"]["ids"], json!(["a-0", "b-0", "b-1", "c-0"]));
    assert_eq!(
        query["query"],
        "query($ids: [String!]!) { items: glImportItems(first: 1000, filter: { extIdentifier_in: $ids }) \
         { edges { node { dbId extIdentifier } } pageInfo { hasNextPage } } }"
    );
    let there = look_up().items(&items(&[("b-1", 3), ("b-0", 2)]), &wanted()).unwrap();
    assert_eq!(errors_query(&there).unwrap()["variables"]["ids"], json!(["2", "3"]));
    assert_eq!(errors_query(&There::new()), None);
}
