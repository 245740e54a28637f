use super::*;

fn draft() -> IntegrationDraft {
    IntegrationDraft {
        name: "Xledger".to_owned(),
        connector_type: ConnectorType::GenericHttp,
        runner: Runner::External,
        schedule: Some(Schedule { cron: "0 6 * * 1-5".to_owned(), time_zone: "Europe/Oslo".to_owned() }),
        policy: HealthPolicy::default(),
        record_url_template: Some("https://app.example/claims/{id}".to_owned()),
        retry_webhook_url: Some("https://app.example/hooks".to_owned()),
    }
}

fn broken(change: impl FnOnce(&mut IntegrationDraft)) -> Vec<(Rule, String)> {
    let mut draft = draft();
    change(&mut draft);
    draft.violations().into_iter().map(|violation| (violation.rule, violation.pointer)).collect()
}

#[test]
fn a_sound_draft_breaks_nothing() {
    assert_eq!(broken(|_| {}), []);
    assert_eq!(broken(|draft| draft.name = "æ".repeat(120)), []);
    assert_eq!(broken(|draft| draft.connector_type = ConnectorType::Other), []);
    assert_eq!(broken(|draft| draft.record_url_template = Some("http://[::1]:8080/{type}/{id}".to_owned())), []);
}

#[test]
fn each_rule_alone() {
    type Change = fn(&mut IntegrationDraft);
    let cases: [(Change, Rule, &str); 16] = [
        (|draft| draft.name = " ".to_owned(), Rule::Required, "/name"),
        (|draft| draft.name = "x".repeat(121), Rule::TooLong, "/name"),
        (|draft| draft.name = "a\0b".to_owned(), Rule::InvalidFormat, "/name"),
        (|draft| draft.policy.freshness_hours = 0, Rule::OutOfRange, "/freshness_hours"),
        (|draft| draft.policy.freshness_hours = 24 * 366 + 1, Rule::OutOfRange, "/freshness_hours"),
        (|draft| draft.policy.failure_threshold = 0, Rule::OutOfRange, "/failure_threshold"),
        (|draft| draft.policy.failure_threshold = 31, Rule::OutOfRange, "/failure_threshold"),
        (|draft| draft.schedule.as_mut().unwrap().cron = String::new(), Rule::InvalidFormat, "/schedule/cron"),
        (
            |draft| draft.schedule.as_mut().unwrap().time_zone = "Oslo".to_owned(),
            Rule::UnknownValue,
            "/schedule/time_zone",
        ),
        (
            |draft| draft.record_url_template = Some("https://app.example/".to_owned()),
            Rule::InvalidFormat,
            "/record_url_template",
        ),
        (
            |draft| draft.record_url_template = Some("javascript:{id}".to_owned()),
            Rule::InvalidFormat,
            "/record_url_template",
        ),
        (
            |draft| draft.record_url_template = Some("https:///{id}".to_owned()),
            Rule::InvalidFormat,
            "/record_url_template",
        ),
        (
            |draft| draft.retry_webhook_url = Some("ftp://app.example".to_owned()),
            Rule::InvalidFormat,
            "/retry_webhook_url",
        ),
        (|draft| draft.retry_webhook_url = Some("https://".to_owned()), Rule::InvalidFormat, "/retry_webhook_url"),
        (|draft| draft.retry_webhook_url = Some("https://a b".to_owned()), Rule::InvalidFormat, "/retry_webhook_url"),
        (|draft| draft.runner = Runner::Managed, Rule::InvalidFormat, "/retry_webhook_url"),
    ];
    for (place, (change, rule, pointer)) in cases.into_iter().enumerate() {
        assert_eq!(broken(change), [(rule, pointer.to_owned())], "case {place}");
    }
    let other = broken(|draft| {
        draft.connector_type = ConnectorType::Other;
        draft.runner = Runner::Managed;
        draft.retry_webhook_url = None;
    });
    assert_eq!(other, [(Rule::InvalidFormat, "/runner".to_owned())]);
}

#[test]
fn all_rules_at_once() {
    let found = broken(|draft| {
        draft.name = String::new();
        draft.connector_type = ConnectorType::Other;
        draft.runner = Runner::Managed;
        draft.policy.freshness_hours = 0;
        draft.policy.failure_threshold = 0;
        draft.schedule = Some(Schedule { cron: "x".to_owned(), time_zone: "x".to_owned() });
        draft.record_url_template = Some("x".to_owned());
    });
    let pointers: Vec<_> = found.iter().map(|(_, pointer)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/name",
            "/runner",
            "/freshness_hours",
            "/failure_threshold",
            "/schedule/cron",
            "/schedule/time_zone",
            "/record_url_template",
            "/retry_webhook_url"
        ]
    );
}

#[test]
fn record_addresses_are_filled_in() {
    let id = uuid::Uuid::from_u128(7);
    assert_eq!(
        record_url("https://app.example/{type}/{id}", "claims", id),
        "https://app.example/claims/00000000-0000-0000-0000-000000000007"
    );
}
