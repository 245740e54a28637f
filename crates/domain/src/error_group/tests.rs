use proptest::prelude::*;

use super::*;

fn error(code: &str, field: Option<&str>, message: &str) -> RecordError {
    RecordError { code: code.into(), field: field.map(Into::into), message: message.into(), ..RecordError::default() }
}

fn says(message: &str) -> RecordError {
    error("INVALID_VALUE", None, message)
}

#[test]
fn messages_that_differ_in_identifiers_alone_are_one_kind() {
    for (one, other) in [
        (
            "Supplier {550e8400-e29b-41d4-a716-446655440000} is unknown",
            "Supplier {0192F0C1-1234-7234-8234-4111111111AB} is unknown",
        ),
        ("Rejected at 2026-11-20T13:03:11Z", "Rejected at 2026-11-21 04:00:00.123+01:00"),
        ("Avvist 20.11.2026 13:03", "Avvist 1.2.2026 kl. 04:00:01"),
        ("Rejected at 11/20/2026 1:03:11 PM", "Rejected at 1/2/2026 11:03:11 AM"),
        ("Last seen Fri, 20 Nov 2026 13:03:11 GMT", "Last seen Sat, 21 Nov 2026 01:03:11 GMT"),
        ("Voucher 20261043 is locked", "Voucher 100001 is locked"),
        ("Request 6bf12345678903f26bf12345678903f2 failed", "Request 00f12345678903f26bf12345678903aa failed"),
        ("Supplier  unknown ", "Supplier unknown"),
    ] {
        assert_eq!(fingerprint(&says(one)), fingerprint(&says(other)), "{one} / {other}");
    }
}

#[test]
fn what_the_reader_must_mend_tells_kinds_apart() {
    for (one, other) in [
        ("Invalid cost center code: 9999", "Invalid cost center code: 8888"),
        ("Invalid cost center code: '9999'", "Invalid cost center code: '8888'"),
        ("Account 30000 is unknown", "Account 30001 is unknown"),
        ("Period 2026-10 is closed", "Period 2026-09 is closed"),
        ("Amount 10.00 is too low", "Amount 10.01 is too low"),
        ("Department ABC is unknown", "Department ABD is unknown"),
    ] {
        assert_ne!(fingerprint(&says(one)), fingerprint(&says(other)), "{one} / {other}");
    }
    let plain = error("A", Some("/cost_center"), "no");
    for other in [error("B", Some("/cost_center"), "no"), error("A", Some("/account"), "no"), error("A", None, "no")] {
        assert_ne!(fingerprint(&plain), fingerprint(&other));
    }
}

#[test]
fn array_indexes_in_fields_do_not_matter() {
    for (pointer, general) in [
        ("/cost_center", "/cost_center"),
        ("/lines/0/account", "/lines/*/account"),
        ("/lines/12/dimensions/3", "/lines/*/dimensions/*"),
        ("/0", "/0"),
        ("/0/1", "/0/*"),
        ("/lines/a1", "/lines/a1"),
        ("", ""),
        ("/", "/"),
    ] {
        assert_eq!(general_field(pointer), general);
    }
    let on = |field| fingerprint(&error("A", Some(field), "no"));
    assert_eq!(on("/lines/0/account"), on("/lines/7/account"));
    assert_ne!(on("/lines/0/account"), on("/lines/0/project"));
}

#[test]
fn a_records_own_names_do_not_matter_where_they_are_quoted() {
    let own = |message: &str, name: &str| fingerprint_among(&says(message), &[name, ""]);
    assert_eq!(own("Claim \"C-1043\" is locked", "C-1043"), own("Claim \"C-7\" is locked", "C-7"));
    assert_eq!(own("Bilag «C-1043» er sperret", "C-1043"), own("Bilag «C-7» er sperret", "C-7"));
    assert_ne!(own("Claim 'C-1043' is locked", "C-7"), own("Claim 'C-7' is locked", "C-7"));
    // A value that happens to be spelt like a part of the name stays.
    assert_ne!(own("Invalid cost center code: 9999", "9999"), own("Invalid cost center code: 8888", "8888"));
}

#[test]
fn groups_count_records_and_show_the_first() {
    let cost =
        |code: &str| vec![error("INVALID_VALUE", Some("/cost_center"), &format!("Invalid cost center code: {code}"))];
    let twice = vec![
        error("REQUIRED", Some("/lines/0/account"), "Account is required"),
        error("REQUIRED", Some("/lines/1/account"), "Account is required"),
        error("INVALID_VALUE", Some("/cost_center"), "Invalid cost center code: 9999"),
    ];
    let all = [cost("9999"), cost("8888"), cost("9999"), twice, vec![], cost("9999")];
    let records = all.iter().enumerate().map(|(record, errors)| FailedRecord { record, identifiers: vec![], errors });
    let groups: Vec<_> = group(records)
        .into_iter()
        .map(|group| (group.code, group.field.unwrap_or_default(), group.message, group.count, group.sample))
        .collect();
    let row = |code: &str, field: &str, message: &str, count, sample| {
        (code.to_owned(), field.to_owned(), message.to_owned(), count, sample)
    };
    assert_eq!(
        groups,
        [
            row("INVALID_VALUE", "/cost_center", "Invalid cost center code: 9999", 4, 0),
            row("INVALID_VALUE", "/cost_center", "Invalid cost center code: 8888", 1, 1),
            row("REQUIRED", "/lines/*/account", "Account is required", 1, 3),
            row("UNSPECIFIED", "", "The external system gave no reason.", 1, 4),
        ]
    );
}

#[test]
fn a_record_stands_in_the_groups_of_its_fingerprints() {
    let all = [vec![says("Claim 'A' is locked"), says("Too much")], vec![says("Claim 'B' is locked")], vec![]];
    let names = ["A", "B", "C"];
    let records = all.iter().enumerate().map(|(record, errors)| FailedRecord {
        record,
        identifiers: vec![names[record]],
        errors,
    });
    for group in group(records) {
        let members =
            all.iter().zip(names).filter(|(errors, name)| fingerprints(errors, &[*name]).contains(&group.fingerprint));
        assert_eq!(members.count() as u64, group.count, "{}", group.message);
    }
}

#[test]
fn syncwatchs_own_codes_tell_the_class() {
    for (code, class) in [
        ("TIMEOUT", ErrorClass::Outage),
        ("NO_ANSWER", ErrorClass::Outage),
        ("CONNECTION_REFUSED", ErrorClass::Outage),
        ("UNREACHABLE", ErrorClass::Outage),
        ("TLS_FAILURE", ErrorClass::Outage),
        ("NOT_JSON", ErrorClass::Outage),
        ("RESULTS_MISSING", ErrorClass::Outage),
        ("PARTIAL_ANSWER", ErrorClass::Outage),
        ("TOKEN_SERVICE_FAILED", ErrorClass::Outage),
        ("server_error", ErrorClass::Outage),
        ("SYSTEM_UNAVAILABLE", ErrorClass::Outage),
        ("SYSTEM_BUSY", ErrorClass::Throttled),
        ("SOURCE_UNAVAILABLE", ErrorClass::Outage),
        ("SOURCE_GONE", ErrorClass::Missing),
        ("NO_DATA", ErrorClass::Missing),
        ("ALREADY_THERE", ErrorClass::Duplicate),
        ("CREDENTIALS_REFUSED", ErrorClass::Permission),
        ("DESTINATION_REFUSED", ErrorClass::Permission),
        ("TOKEN_REFUSED", ErrorClass::Permission),
        ("invalid_scope", ErrorClass::Permission),
        ("MAPPING_MISSING_VALUE", ErrorClass::Missing),
        ("MAPPING_INVALID_VALUE", ErrorClass::Value),
    ] {
        assert_eq!(classify(&error(code, None, "x"), None), class, "{code}");
    }
}

#[test]
fn codes_and_statuses_tell_the_class() {
    for (code, status, message, class) in [
        ("BAD_REQUEST.BURST_RATE_LIMIT_REACHED", Some(200), "", ErrorClass::Throttled),
        ("BAD_REQUEST.INSUFFICIENT_CREDITS", None, "", ErrorClass::Throttled),
        ("0x80072322", Some(429), "", ErrorClass::Throttled),
        ("", Some(429), "Permission denied", ErrorClass::Throttled),
        ("INVALID_VALUE", Some(422), "Invalid cost center code: 9999", ErrorClass::Value),
        ("ARGUMENTS_OF_CORRECT_TYPE", Some(200), "", ErrorClass::Value),
        ("INVALID_VALUE", Some(422), "The period 2026-10 is closed", ErrorClass::ClosedPeriod),
        ("INVALID_VALUE", Some(422), "Value missing a hyphen", ErrorClass::Value),
        ("0x80044331", Some(400), "A validation error occurred", ErrorClass::Value),
        ("0x80040333", Some(500), "", ErrorClass::Duplicate),
        ("0x80060892", Some(412), "", ErrorClass::Duplicate),
        ("0x80040217", Some(404), "", ErrorClass::Missing),
        ("0x80040220", Some(403), "", ErrorClass::Permission),
        ("PERIOD_CLOSED", Some(422), "", ErrorClass::ClosedPeriod),
        ("parameter_missing", Some(400), "", ErrorClass::Missing),
        ("required", Some(400), "This field is required.", ErrorClass::Missing),
        ("invalid_client", Some(400), "", ErrorClass::Permission),
        ("", Some(403), "", ErrorClass::Permission),
        ("", Some(503), "", ErrorClass::Outage),
        ("", Some(500), "", ErrorClass::Outage),
        ("", Some(500), "A duplicate record was found", ErrorClass::Duplicate),
        ("", Some(412), "", ErrorClass::Duplicate),
        ("", Some(404), "", ErrorClass::Missing),
        ("", Some(418), "", ErrorClass::Other),
        ("", None, "", ErrorClass::Other),
    ] {
        assert_eq!(classify(&error(code, None, message), status), class, "{code} {status:?} {message}");
    }
    assert_eq!(classify(&error("", Some("/amount"), "nope"), Some(422)), ErrorClass::Value);
}

#[test]
fn words_tell_the_class_in_two_languages() {
    for (message, class) in [
        ("The accounting period is closed", ErrorClass::ClosedPeriod),
        ("Cannot post to a closed period", ErrorClass::ClosedPeriod),
        ("Perioden 2026-10 er lukket for bokføring", ErrorClass::ClosedPeriod),
        ("Regnskapsår 2025 er avsluttet", ErrorClass::ClosedPeriod),
        ("Kan ikke føre på låst periode", ErrorClass::ClosedPeriod),
        ("Too many requests, slow down", ErrorClass::Throttled),
        ("For mange forespørsler", ErrorClass::Throttled),
        ("Invoice number has already been taken", ErrorClass::Duplicate),
        ("Fakturanummeret finnes fra før", ErrorClass::Duplicate),
        ("Kunden er allerede registrert", ErrorClass::Duplicate),
        ("You do not have permission to post", ErrorClass::Permission),
        ("Brukeren mangler tilgang til modulen", ErrorClass::Permission),
        ("The operation timed out", ErrorClass::Outage),
        ("Tjenesten er midlertidig utilgjengelig", ErrorClass::Outage),
        ("Account can't be blank", ErrorClass::Missing),
        ("Supplier 4711 not found", ErrorClass::Missing),
        ("Feltet må fylles ut.", ErrorClass::Missing),
        ("Leverandøren finnes ikke", ErrorClass::Missing),
        ("Invalid cost center code: 9999", ErrorClass::Value),
        ("Amount must be a positive integer", ErrorClass::Value),
        ("Ugyldig avdeling: 9999", ErrorClass::Value),
        ("Teksten er for lang", ErrorClass::Value),
        ("Nei", ErrorClass::Other),
    ] {
        assert_eq!(classify(&error("", None, message), Some(400)), class, "{message}");
    }
}

proptest! {
    #[test]
    fn short_values_always_tell_apart(one in 0_u32..100_000, other in 0_u32..100_000) {
        let on = |code: u32| fingerprint(&says(&format!("Invalid cost center code: {code}")));
        prop_assert_eq!(on(one) == on(other), one == other);
    }

    #[test]
    fn long_numbers_and_uuids_never_do(
        one in 100_000_u64.., other in 100_000_u64.., id in any::<u128>(), other_id in any::<u128>(),
    ) {
        let on = |number: u64, id: u128| fingerprint(&says(&format!("Order {number} of {} is gone", uuid::Uuid::from_u128(id))));
        prop_assert_eq!(on(one, id), on(other, other_id));
    }

    #[test]
    fn any_words_have_a_key_and_a_class(code in "\\PC{0,12}", field in proptest::option::of("[/0-9a-z*]{0,12}"), message in "\\PC{0,60}") {
        let error = error(&code, field.as_deref(), &message);
        prop_assert!(crate::payload::is_payload_hash(&fingerprint(&error)));
        classify(&error, None);
    }

    /// Every failed record is counted, and nothing depends on the records' order but the samples.
    #[test]
    fn groups_add_up(codes in prop::collection::vec(proptest::option::of(0_usize..4), 0..40)) {
        let all: Vec<_> = codes.iter().map(|code| code.map(|code| says(&format!("code {code}"))).into_iter().collect::<Vec<_>>()).collect();
        let grouped = |all: &[Vec<RecordError>]| {
            group(all.iter().map(|errors| FailedRecord { record: (), identifiers: vec![], errors }))
        };
        let groups = grouped(&all);
        prop_assert_eq!(groups.iter().map(|group| group.count).sum::<u64>(), all.len() as u64);
        prop_assert!(groups.is_sorted_by(|a, b| a.count >= b.count));
        let mut backwards = all.clone();
        backwards.reverse();
        prop_assert_eq!(grouped(&backwards), groups);
    }
}
