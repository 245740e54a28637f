//! Why a record failed, in plain words above the external system's own.

use domain::asking::AWAITING_POSTING;
use domain::error_group::{ErrorClass, UNSPECIFIED};
use domain::pacing::{SYSTEM_BUSY, SYSTEM_UNAVAILABLE};

/// Words for a failure: by its code where that says enough, and otherwise by its kind. None where neither says anything.
pub fn cause(code: &str, class: ErrorClass) -> Option<String> {
    by_code(code).or_else(|| by_class(class))
}

/// Whether the words that come with a code are Syncwatch's, and not the external system's.
pub fn is_own(code: &str) -> bool {
    matches!(
        code,
        "SOURCE_GONE"
            | "SOURCE_UNAVAILABLE"
            | "NO_DATA"
            | "DATA_UNREADABLE"
            | "NEVER_SENT"
            | "ALREADY_ACTIVE"
            | "ALREADY_DELIVERED"
            | "HANDLED_MANUALLY"
            | "MAPPING_MISSING_VALUE"
            | "MAPPING_INVALID_VALUE"
            | "MAPPING_TOO_LARGE"
            | "ALREADY_THERE"
            | "BATCH_REJECTED"
            | "BATCH_STOPPED"
            | "PARTIAL_ANSWER"
            | "PARTLY_ACCEPTED"
            | "RESULTS_MISSING"
            | "NOT_JSON"
            | "UNEXPECTED_ANSWER"
            | "ANSWER_TOO_LARGE"
            | "NO_ANSWER"
            | "LOOK_UP_INCOMPLETE"
            | "LOOK_UP_MISMATCH"
            | "LOOK_UP_UNCLEAR"
            | "NO_LOOK_UP"
            | "PARTLY_POSTED"
            | "POSTING_UNCLEAR"
            | AWAITING_POSTING
            | "INVALID_RECORD_TYPE"
            | "NO_TOKEN"
            | "TOKEN_SERVICE_FAILED"
            | "TOKEN_TOO_LATE"
            | "DNS_FAILURE"
            | "TLS_FAILURE"
            | "CONNECT_TIMEOUT"
            | "CONNECTION_REFUSED"
            | "UNREACHABLE"
            | "DESTINATION_REFUSED"
            | SYSTEM_BUSY
            | SYSTEM_UNAVAILABLE
            | "CONNECTOR_UNAVAILABLE"
            | "WORKER_STOPPED"
            | "ATTEMPT_ABANDONED"
    )
}

fn by_code(code: &str) -> Option<String> {
    Some(match code {
        "SOURCE_GONE" => tr!(cause.source_gone),
        "SOURCE_UNAVAILABLE" => tr!(cause.source_unavailable),
        "NO_DATA" => tr!(cause.no_data),
        "DATA_UNREADABLE" => tr!(cause.data_unreadable),
        "NEVER_SENT" => tr!(cause.never_sent),
        "ALREADY_ACTIVE" => tr!(cause.already_active),
        "ALREADY_DELIVERED" => tr!(cause.already_delivered),
        "HANDLED_MANUALLY" => tr!(cause.handled_manually),
        "MAPPING_MISSING_VALUE" => tr!(cause.mapping_missing),
        "MAPPING_INVALID_VALUE" => tr!(cause.mapping_invalid),
        "MAPPING_TOO_LARGE" => tr!(cause.mapping_large),
        "BATCH_REJECTED" | "BATCH_STOPPED" => tr!(cause.batch_rejected),
        "PARTIAL_ANSWER" | "RESULTS_MISSING" => tr!(cause.partial_answer),
        "PARTLY_ACCEPTED" => tr!(cause.partly_accepted),
        "LOOK_UP_INCOMPLETE" | "LOOK_UP_MISMATCH" | "LOOK_UP_UNCLEAR" => tr!(cause.look_up),
        "NO_LOOK_UP" => tr!(record.fate_unknown),
        "POSTING_FAILED" => tr!(cause.posting_failed),
        "PARTLY_POSTED" | "POSTING_UNCLEAR" => tr!(cause.posting_unclear),
        AWAITING_POSTING => tr!(record.awaiting_posting),
        "NOT_JSON" | "ANSWER_TOO_LARGE" | "UNEXPECTED_ANSWER" => tr!(cause.not_json),
        "TIMEOUT" | "NO_ANSWER" => tr!(cause.no_answer),
        "DNS_FAILURE" | "TLS_FAILURE" | "CONNECT_TIMEOUT" | "CONNECTION_REFUSED" | "UNREACHABLE" => {
            tr!(cause.unreachable)
        }
        "DESTINATION_REFUSED" => tr!(cause.destination),
        "CREDENTIALS_REFUSED"
        | "HTTP_401"
        | "HTTP_403"
        | "TOKEN_REFUSED"
        | "access_denied"
        | "invalid_client"
        | "invalid_grant"
        | "unauthorized_client" => tr!(cause.credentials),
        "TOKEN_SERVICE_FAILED" | "TOKEN_TOO_LATE" => tr!(cause.token_service),
        SYSTEM_BUSY => tr!(record.system_busy),
        SYSTEM_UNAVAILABLE => tr!(record.system_unavailable),
        // Nothing of a record is wrong where nobody is let in for what the settings name.
        "CONNECTOR_UNAVAILABLE" | "invalid_resource" | "invalid_scope" => tr!(cause.connector),
        "WORKER_STOPPED" | "ATTEMPT_ABANDONED" => tr!(cause.interrupted),
        UNSPECIFIED => tr!(record.no_message),
        _ => return None,
    })
}

fn by_class(class: ErrorClass) -> Option<String> {
    Some(match class {
        ErrorClass::Value => tr!(cause.value),
        ErrorClass::Missing => tr!(cause.missing),
        ErrorClass::Duplicate => tr!(cause.duplicate),
        ErrorClass::Permission => tr!(cause.permission),
        ErrorClass::Throttled => tr!(cause.throttled),
        ErrorClass::ClosedPeriod => tr!(cause.closed_period),
        ErrorClass::Outage => tr!(cause.outage),
        ErrorClass::Other => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::i18n::Locale;
    use crate::text;

    #[test]
    fn each_kind_has_words_of_its_own_in_each_language() {
        let told = text::LANGUAGES.map(|(locale, _)| {
            text::set_locale(locale);
            let told: BTreeSet<String> = ErrorClass::ALL.iter().filter_map(|class| by_class(*class)).collect();
            assert_eq!(told.len(), ErrorClass::ALL.len() - 1);
            told
        });
        let different: BTreeSet<&String> = told.iter().flatten().collect();
        assert_eq!(different.len(), told.iter().map(BTreeSet::len).sum::<usize>());
        assert_eq!(cause("E1043", ErrorClass::Other), None);
    }

    #[test]
    fn a_code_says_more_than_its_kind() {
        text::set_locale(Locale::en);
        assert_ne!(cause("SOURCE_GONE", ErrorClass::Missing), cause("E1043", ErrorClass::Missing));
        assert!(is_own("SYSTEM_BUSY") && cause("SYSTEM_BUSY", ErrorClass::Other).is_some());
        assert!(is_own("SOURCE_GONE") && !is_own("INVALID_VALUE") && !is_own("TIMEOUT"));
        // The words of the first are the system's, whose posting it was; those of the others are not.
        assert!(!is_own("POSTING_FAILED") && is_own("POSTING_UNCLEAR") && is_own("LOOK_UP_UNCLEAR"));
    }

    #[test]
    fn what_syncwatch_finds_out_itself_is_told_whatever_its_kind() {
        text::set_locale(Locale::en);
        let codes = [
            AWAITING_POSTING,
            "LOOK_UP_MISMATCH",
            "NO_LOOK_UP",
            "PARTLY_POSTED",
            "POSTING_FAILED",
            "MAPPING_TOO_LARGE",
            "TOKEN_TOO_LATE",
            UNSPECIFIED,
        ];
        let told: BTreeSet<String> = codes.iter().filter_map(|code| cause(code, ErrorClass::Other)).collect();
        assert_eq!(told.len(), codes.len(), "{told:?}");
        // Nobody is let in for that scope: nothing of the record is to be corrected.
        assert_ne!(cause("invalid_scope", ErrorClass::Value), cause("E1043", ErrorClass::Value));
    }
}
