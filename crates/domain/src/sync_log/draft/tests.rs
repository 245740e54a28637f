use chrono::Duration;

use super::*;
use crate::sync_log::SyncStatus as S;

fn now() -> DateTime<Utc> {
    "2026-11-20T13:00:00.000400Z".parse().unwrap()
}

fn user() -> Uuid {
    Uuid::from_u128(9)
}

fn draft() -> StartDraft {
    StartDraft {
        connector_type: ConnectorType::Xledger,
        sync_type: SyncType::AccountingPush,
        triggered_by: TriggeredBy::Automatic,
        records_total: Some(40),
        source_record_type: Some("reimbursement_approvals".to_owned()),
        source_record_id: Some(Uuid::from_u128(1)),
        started_at: None,
        lease_seconds: None,
        client_run_id: Some("run-1".to_owned()),
    }
}

fn facts() -> StartFacts {
    StartFacts {
        integration: Some(ConnectorType::Xledger),
        reporter: Reporter::Machine,
        earliest: "2025-10-01T00:00:00Z".parse().unwrap(),
        now: now(),
    }
}

fn completion() -> Completion {
    Completion { succeeded: true, started_at: now() - Duration::seconds(5), ..Completion::default() }
}

fn failure() -> Completion {
    Completion { succeeded: false, error_code: Some("X".into()), error_message: Some("no".into()), ..completion() }
}

type Places = Vec<(Rule, String)>;

fn places(found: Vec<Violation>) -> Places {
    found.into_iter().map(|violation| (violation.rule, violation.pointer)).collect()
}

fn start_breaks(change: impl FnOnce(&mut StartDraft, &mut StartFacts)) -> Places {
    let (mut draft, mut facts) = (draft(), facts());
    change(&mut draft, &mut facts);
    validate_start(&draft, &facts).map_or_else(places, |_| vec![])
}

fn completion_breaks(base: Completion, change: impl FnOnce(&mut Completion)) -> Places {
    let mut completion = base;
    change(&mut completion);
    validate_completion(&completion, now()).map_or_else(places, |_| vec![])
}

fn at(pointer: &str, rule: Rule) -> Places {
    vec![(rule, pointer.to_owned())]
}

#[test]
fn a_sound_start_is_taken_over() {
    let valid = validate_start(&draft(), &facts()).unwrap();
    assert_eq!(
        valid,
        ValidStart {
            started_at: whole_millis(now()),
            records_total: Some(40),
            triggered_by_user_id: None,
            lease_seconds: DEFAULT_LEASE_SECONDS,
        }
    );
    let manual = StartDraft { triggered_by: TriggeredBy::Manual, lease_seconds: Some(86_400), ..draft() };
    let valid = validate_start(&manual, &StartFacts { reporter: Reporter::Person(user()), ..facts() }).unwrap();
    assert_eq!((valid.triggered_by_user_id, valid.lease_seconds), (Some(user()), 86_400));
    // A person may report what was not started by hand: then the sync names nobody.
    let valid = validate_start(&draft(), &StartFacts { reporter: Reporter::Person(user()), ..facts() }).unwrap();
    assert_eq!(valid.triggered_by_user_id, None);
}

#[test]
fn clock_skew_is_let_through_and_clamped() {
    for (ahead, taken) in [(-3_600_000, true), (0, true), (4_999, true), (5_000, true), (5_001, false)] {
        let draft = StartDraft { started_at: Some(now() + Duration::milliseconds(ahead)), ..draft() };
        match validate_start(&draft, &facts()) {
            Ok(valid) => {
                assert!(taken, "{ahead}");
                assert_eq!(valid.started_at, whole_millis(now() + Duration::milliseconds(ahead.min(0))));
            }
            Err(found) => {
                assert!(!taken, "{ahead}");
                assert_eq!(places(found), at("/started_at", Rule::StartedAtNotInFuture));
            }
        }
    }
}

#[test]
fn each_rule_of_a_start_alone() {
    type Change = fn(&mut StartDraft, &mut StartFacts);
    let cases: [(Change, Rule, &str); 17] = [
        (|_, facts| facts.integration = None, Rule::IntegrationConfigIdMustExist, "/integration_config_id"),
        (|draft, _| draft.connector_type = ConnectorType::Other, Rule::ConnectorTypeMustMatch, "/connector_type"),
        (|draft, _| draft.started_at = Some(now() + Duration::hours(1)), Rule::StartedAtNotInFuture, "/started_at"),
        (|draft, _| draft.started_at = Some(DateTime::<Utc>::MAX_UTC), Rule::StartedAtNotInFuture, "/started_at"),
        (
            |draft, facts| draft.started_at = Some(facts.earliest - Duration::milliseconds(1)),
            Rule::StartedAtOutOfRange,
            "/started_at",
        ),
        (|draft, _| draft.started_at = Some(DateTime::<Utc>::MIN_UTC), Rule::StartedAtOutOfRange, "/started_at"),
        (|draft, _| draft.records_total = Some(-1), Rule::RecordsProcessedNonNegative, "/records_total"),
        (|draft, _| draft.records_total = Some(2_147_483_648), Rule::OutOfRange, "/records_total"),
        (
            |draft, _| draft.source_record_type = None,
            Rule::SourceRecordTypeRequiredWhenIdPresent,
            "/source_record_type",
        ),
        (|draft, _| draft.source_record_type = Some(String::new()), Rule::InvalidFormat, "/source_record_type"),
        (|draft, _| draft.source_record_type = Some("a/b".to_owned()), Rule::InvalidFormat, "/source_record_type"),
        (|draft, _| draft.source_record_type = Some("a".repeat(101)), Rule::InvalidFormat, "/source_record_type"),
        (
            |draft, _| draft.triggered_by = TriggeredBy::Manual,
            Rule::TriggeredByUserIdRequiredForManual,
            "/triggered_by",
        ),
        (|draft, _| draft.lease_seconds = Some(0), Rule::OutOfRange, "/lease_seconds"),
        (|draft, _| draft.lease_seconds = Some(86_401), Rule::OutOfRange, "/lease_seconds"),
        (|draft, _| draft.client_run_id = Some(" ".to_owned()), Rule::InvalidFormat, "/client_run_id"),
        (|draft, _| draft.client_run_id = Some("x".repeat(201)), Rule::TooLong, "/client_run_id"),
    ];
    for (place, (change, rule, pointer)) in cases.into_iter().enumerate() {
        assert_eq!(start_breaks(change), at(pointer, rule), "case {place}");
    }
    assert_eq!(
        start_breaks(|draft, _| draft.client_run_id = Some("a\0".to_owned())),
        at("/client_run_id", Rule::InvalidFormat)
    );
    assert_eq!(
        start_breaks(|draft, _| {
            draft.source_record_id = None;
            draft.client_run_id = None;
        }),
        []
    );
}

#[test]
fn all_rules_of_a_start_at_once() {
    let found = start_breaks(|draft, facts| {
        facts.integration = None;
        draft.started_at = Some(now() + Duration::days(1));
        draft.records_total = Some(-40);
        draft.source_record_type = None;
        draft.triggered_by = TriggeredBy::Manual;
        draft.lease_seconds = Some(-1);
        draft.client_run_id = Some("x".repeat(201));
    });
    let pointers: Vec<_> = found.iter().map(|(_, pointer)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/integration_config_id",
            "/started_at",
            "/records_total",
            "/source_record_type",
            "/triggered_by",
            "/lease_seconds",
            "/client_run_id"
        ]
    );
}

#[test]
fn sound_completions_are_taken_over() {
    let valid = validate_completion(&completion(), now()).unwrap();
    assert_eq!((valid.completed_at, valid.warnings), (whole_millis(now()), vec![]));
    let given = Completion {
        completed_at: Some(now() - Duration::seconds(1)),
        records_processed: Some(28),
        records_failed: Some(12),
        records_total: Some(40),
        http_status_code: Some(422),
        external_reference_id: Some("A-1".to_owned()),
        request_payload_hash: Some("0123456789abcdef".repeat(4)),
        ..failure()
    };
    let valid = validate_completion(&given, now()).unwrap();
    assert_eq!((valid.records_processed, valid.records_failed, valid.records_total), (Some(28), Some(12), Some(40)));
    assert_eq!((valid.http_status_code, valid.warnings), (Some(422), vec![]));
}

#[test]
fn each_rule_of_a_completion_alone() {
    type Change = fn(&mut Completion);
    let cases: [(bool, Change, Rule, &str); 24] = [
        (
            true,
            |c| c.completed_at = Some(c.started_at - Duration::milliseconds(1)),
            Rule::CompletedAtMustFollowStartedAt,
            "/completed_at",
        ),
        (
            true,
            |c| c.completed_at = Some(now() + Duration::hours(1)),
            Rule::CompletedAtMustFollowStartedAt,
            "/completed_at",
        ),
        (
            true,
            |c| c.completed_at = Some(DateTime::<Utc>::MIN_UTC),
            Rule::CompletedAtMustFollowStartedAt,
            "/completed_at",
        ),
        (true, |c| c.error_code = Some("X".into()), Rule::ErrorFieldsRequiredOnFailure, "/error_code"),
        (true, |c| c.error_message = Some("no".into()), Rule::ErrorFieldsRequiredOnFailure, "/error_message"),
        (false, |c| c.error_code = None, Rule::ErrorFieldsRequiredOnFailure, "/error_code"),
        (false, |c| c.error_code = Some(" ".into()), Rule::ErrorFieldsRequiredOnFailure, "/error_code"),
        (false, |c| c.error_message = None, Rule::ErrorFieldsRequiredOnFailure, "/error_message"),
        (false, |c| c.error_message = Some("\n".into()), Rule::ErrorFieldsRequiredOnFailure, "/error_message"),
        (false, |c| c.error_code = Some("x".repeat(201)), Rule::TooLong, "/error_code"),
        (false, |c| c.error_code = Some("x\0".into()), Rule::InvalidFormat, "/error_code"),
        (true, |c| c.records_processed = Some(-1), Rule::RecordsProcessedNonNegative, "/records_processed"),
        (true, |c| c.records_failed = Some(-1), Rule::RecordsProcessedNonNegative, "/records_failed"),
        (true, |c| c.records_total = Some(-1), Rule::RecordsProcessedNonNegative, "/records_total"),
        (true, |c| c.records_processed = Some(i64::MAX), Rule::OutOfRange, "/records_processed"),
        (true, |c| c.http_status_code = Some(99), Rule::HttpStatusCodeRange, "/http_status_code"),
        (true, |c| c.http_status_code = Some(600), Rule::HttpStatusCodeRange, "/http_status_code"),
        (true, |c| c.http_status_code = Some(-200), Rule::HttpStatusCodeRange, "/http_status_code"),
        (true, |c| c.http_status_code = Some(65_736), Rule::HttpStatusCodeRange, "/http_status_code"),
        (true, |c| c.external_reference_id = Some("x".repeat(501)), Rule::TooLong, "/external_reference_id"),
        (true, |c| c.external_reference_id = Some("\0".into()), Rule::InvalidFormat, "/external_reference_id"),
        (
            true,
            |c| c.request_payload_hash = Some("A".repeat(64)),
            Rule::RequestPayloadHashFormat,
            "/request_payload_hash",
        ),
        (
            true,
            |c| c.request_payload_hash = Some("a".repeat(63)),
            Rule::RequestPayloadHashFormat,
            "/request_payload_hash",
        ),
        (
            true,
            |c| c.request_payload_hash = Some(String::new()),
            Rule::RequestPayloadHashFormat,
            "/request_payload_hash",
        ),
    ];
    for (place, (succeeded, change, rule, pointer)) in cases.into_iter().enumerate() {
        let base = if succeeded { completion() } else { failure() };
        assert_eq!(completion_breaks(base, change), at(pointer, rule), "case {place}");
    }
}

#[test]
fn all_rules_of_a_completion_at_once() {
    let found = completion_breaks(completion(), |c| {
        c.succeeded = false;
        c.completed_at = Some(c.started_at - Duration::seconds(1));
        c.records_processed = Some(-1);
        c.records_failed = Some(-1);
        c.records_total = Some(-1);
        c.http_status_code = Some(0);
        c.external_reference_id = Some("x".repeat(501));
        c.request_payload_hash = Some("x".to_owned());
    });
    let pointers: Vec<_> = found.iter().map(|(_, pointer)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/completed_at",
            "/error_code",
            "/error_message",
            "/records_processed",
            "/records_failed",
            "/records_total",
            "/http_status_code",
            "/external_reference_id",
            "/request_payload_hash"
        ]
    );
}

#[test]
fn an_end_is_compared_as_it_was_reported() {
    let moment = |micros: i64| now() + Duration::microseconds(micros);
    for (started, completed, sound) in [
        // Within one millisecond, and at the very same moment.
        (-100, Some(-300), true),
        (0, Some(0), true),
        // Within the skew, where both are clamped to now.
        (4_000_000, Some(4_500_000), true),
        (4_000_000, Some(1_000_000), false),
        (4_000_000, None, true),
        (-10_000, Some(-20_000), false),
    ] {
        let completion =
            Completion { started_at: moment(started), completed_at: completed.map(moment), ..completion() };
        let valid = validate_completion(&completion, now());
        assert_eq!(valid.is_ok(), sound, "{started} {completed:?}");
        assert!(valid.is_err() || valid.unwrap().completed_at <= now());
    }
}

#[test]
fn more_failed_than_were_in_scope_is_a_warning() {
    let completion = Completion { records_failed: Some(3), records_total: Some(2), ..failure() };
    let warnings = validate_completion(&completion, now()).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].code, "records_failed_not_exceed_total");
    assert_eq!(warnings[0].pointer.as_deref(), Some("/records_failed"));
    let completion = Completion { records_total: Some(3), ..completion };
    assert_eq!(validate_completion(&completion, now()).unwrap().warnings, []);
}

#[test]
fn counts_that_do_not_add_up_are_warnings() {
    for (total, accounted, expects, codes) in [
        (Some(40), 40, true, vec![]),
        (None, 40, true, vec![]),
        (Some(40), 39, true, vec!["counts_must_add_up"]),
        (Some(40), 41, false, vec!["counts_must_add_up"]),
        (Some(40), 0, true, vec!["counts_must_add_up"]),
        (Some(0), 0, true, vec!["zero_records"]),
        (None, 0, true, vec!["zero_records"]),
        (Some(0), 0, false, vec![]),
    ] {
        let warnings = count_warnings(total, accounted, expects);
        assert_eq!(
            warnings.iter().map(|warning| warning.code.as_str()).collect::<Vec<_>>(),
            codes,
            "{total:?} {accounted}"
        );
        assert!(warnings.iter().all(|warning| warning.pointer.as_deref() == Some("/records_total")));
    }
}

#[test]
fn a_finished_sync_is_reported_as_success_or_failure_only() {
    for status in S::ALL {
        let expected = match status {
            S::Success => Some(true),
            S::Failed => Some(false),
            _ => None,
        };
        assert_eq!(finished_status(*status), expected);
    }
}
