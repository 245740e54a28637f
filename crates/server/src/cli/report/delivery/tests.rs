//! What a refusal names, what is counted, and what is told of records that are another's.

use serde_json::json;

use super::*;

fn refusal(errors: &[&str]) -> Refusal {
    let errors: Vec<_> = errors.iter().map(|pointer| json!({ "pointer": pointer, "detail": "is wrong" })).collect();
    serde_json::from_value(json!({ "code": "validation_failed", "detail": "x", "errors": errors })).unwrap()
}

#[test]
fn refused_records_are_named_by_their_places() {
    let refused = refused_records(&refusal(&["/records/3/errors", "/records/0/amount", "/records/3/label"])).unwrap();
    assert_eq!(refused, HashMap::from([(3, "errors: is wrong".to_owned()), (0, "amount: is wrong".to_owned())]));
    assert!(refused_records(&refusal(&[])).is_none());
    assert!(refused_records(&refusal(&["/records/3/errors", "/attempt"])).is_none(), "not the records' fault alone");
}

fn line(id: Uuid, outcome: &str) -> Line {
    let report = json!({ "source_record_type": "claims", "source_record_id": id, "outcome": outcome });
    Line { number: 1, report: serde_json::from_value(report).unwrap() }
}

#[test]
fn a_record_counts_once_by_what_says_most() {
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let lines = [line(first, "sending"), line(first, "succeeded"), line(second, "failed"), line(second, "sending")];
    assert_eq!(counted(&lines), OutcomeCounts { processed: 1, failed: 1, ..OutcomeCounts::default() });
}

#[test]
fn what_never_ended_counts_as_it_does_when_its_attempt_has_ended() {
    let outcomes =
        ["succeeded", "warning", "failed", "unknown", "not_attempted", "sending", "queued", "skipped", "skipped"];
    let counts = counted(&outcomes.map(|outcome| line(Uuid::now_v7(), outcome)));
    assert_eq!((counts.processed, counts.undelivered(), counts.skipped, counts.open), (2, 5, 2, 0));
}

#[test]
fn records_of_another_sync_are_named_up_to_a_number() {
    let record =
        |number: u128| RecordKey { source_record_type: "claims".to_owned(), source_record_id: Uuid::from_u128(number) };
    assert_eq!(not_ours(&[]), None);
    let two = not_ours(&[record(1), record(2)]).unwrap();
    assert!(two.starts_with("2 of the job's records must not be sent") && !two.contains("further"), "{two}");
    assert!(
        two.ends_with(": claims 00000000-0000-0000-0000-000000000001, claims 00000000-0000-0000-0000-000000000002")
    );
    let many: Vec<RecordKey> = (1..=50).map(record).collect();
    assert!(not_ours(&many).unwrap().ends_with("000000000003 and 47 further"));
}
