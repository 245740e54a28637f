//! What a connection test found, and what to do about it.

/// In plain words, by the code of what was found. What the external system said itself stands beside it.
pub fn connection(code: &str) -> String {
    match code {
        "OK" => tr!(connection.ok),
        "REACHED" => tr!(connection.reached),
        "CREDENTIALS_REFUSED"
        | "TOKEN_REFUSED"
        | "access_denied"
        | "invalid_client"
        | "invalid_grant"
        | "unauthorized_client"
        | "ACCESS_DENIED" => tr!(connection.credentials_refused),
        "invalid_resource" | "invalid_scope" => tr!(connection.scope),
        "NO_TOKEN" | "TOKEN_SERVICE_FAILED" | "TOKEN_TOO_LATE" => tr!(connection.token_service),
        "CREDENTIALS_UNREADABLE" => tr!(connection.credentials_unreadable),
        "SETTINGS_REFUSED" => tr!(connection.settings_refused),
        "DNS_FAILURE" => tr!(connection.dns),
        "CONNECTION_REFUSED" => tr!(connection.refused),
        "UNREACHABLE" => tr!(connection.unreachable),
        "CONNECT_TIMEOUT" | "TIMEOUT" => tr!(connection.slow),
        "TLS_FAILURE" => tr!(connection.tls),
        "NO_ANSWER" => tr!(connection.no_answer),
        "DESTINATION_REFUSED" => tr!(connection.destination),
        "INVALID_REQUEST" => tr!(connection.request),
        "HTTP_404" | "HTTP_410" => tr!(connection.missing),
        "NOT_JSON" => tr!(connection.not_json),
        "SOURCE_UNCLEAR" => tr!(connection.unclear),
        "ANSWER_TOO_LARGE" => tr!(connection.too_large),
        "DATABASE_MISSING" => tr!(connection.no_database),
        "ROLE_TOO_POWERFUL" => tr!(connection.powerful),
        "QUERY_REFUSED" => tr!(connection.query),
        "QUERY_WRITES" => tr!(connection.writes),
        "REJECTED" => tr!(connection.rejected),
        _ if code.starts_with("HTTP_3") => tr!(connection.redirect),
        _ if code.starts_with("HTTP_5") => tr!(connection.server_error),
        _ if code.starts_with("HTTP_4") || code.starts_with("SQLSTATE_") => tr!(connection.rejected),
        _ => tr!(connection.unexpected),
    }
}

/// What the test of a source found: which of its two ways to a record does not work, and why.
pub fn source_test(ok: bool, code: &str) -> String {
    match code.strip_prefix("FETCH_") {
        _ if ok => connection(code),
        Some(why) => format!("{} {}", tr!(connection.not_fetched), connection(why)),
        None => format!("{} {}", tr!(connection.not_listed), connection(code)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::text;

    const CODES: &[&str] = &[
        "OK",
        "REACHED",
        "CREDENTIALS_REFUSED",
        "invalid_scope",
        "TOKEN_SERVICE_FAILED",
        "CREDENTIALS_UNREADABLE",
        "SETTINGS_REFUSED",
        "DNS_FAILURE",
        "CONNECTION_REFUSED",
        "UNREACHABLE",
        "TIMEOUT",
        "TLS_FAILURE",
        "NO_ANSWER",
        "DESTINATION_REFUSED",
        "INVALID_REQUEST",
        "HTTP_302",
        "HTTP_404",
        "HTTP_500",
        "NOT_JSON",
        "SOURCE_UNCLEAR",
        "ANSWER_TOO_LARGE",
        "DATABASE_MISSING",
        "ROLE_TOO_POWERFUL",
        "QUERY_REFUSED",
        "QUERY_WRITES",
        "REJECTED",
        "BAD_REQUEST.UNHEARD_OF",
    ];

    #[test]
    fn each_finding_has_words_of_its_own_in_each_language() {
        let told = text::LANGUAGES.map(|(locale, _)| {
            text::set_locale(locale);
            let told: BTreeSet<String> = CODES.iter().map(|code| connection(code)).collect();
            assert_eq!(told.len(), CODES.len());
            told
        });
        let different: BTreeSet<&String> = told.iter().flatten().collect();
        assert_eq!(different.len(), CODES.len() * told.len());
    }

    #[test]
    fn whoever_complains_was_reached() {
        // A table that is not there, and a database with too many connections.
        for code in ["HTTP_400", "SQLSTATE_53300"] {
            assert_eq!(connection(code), connection("REJECTED"), "{code}");
        }
        assert_ne!(connection("HTTP_404"), connection("REJECTED"));
    }

    #[test]
    fn of_a_source_it_is_said_whether_its_list_or_a_record_could_not_be_read() {
        for (locale, _) in text::LANGUAGES {
            text::set_locale(locale);
            let why = connection("HTTP_404");
            let [list, record] = ["HTTP_404", "FETCH_HTTP_404"].map(|code| source_test(false, code));
            assert!(list.ends_with(&why) && record.ends_with(&why) && list != record, "{list} {record}");
            assert_ne!(list, why);
            assert_eq!(source_test(true, "OK"), connection("OK"));
        }
    }
}
