//! Why a database could not be read, in words and in a stable code.
//!
//! Of what PostgreSQL says, its message and its code are told; the details beside them may hold what records say.

use std::error::Error as _;
use std::io::ErrorKind;

use tokio_postgres::Error;
use tokio_postgres::error::DbError;

use crate::guard::Unconnected;
use crate::source::SourceTrouble;

/// Why nothing was read.
pub(super) fn trouble(code: &str, message: impl Into<String>) -> SourceTrouble {
    SourceTrouble { code: code.to_owned(), message: message.into() }
}

/// It took too long.
pub(super) fn too_slow() -> SourceTrouble {
    trouble("TIMEOUT", "No answer came in time.")
}

/// There was more than is read.
pub(super) fn too_large() -> SourceTrouble {
    trouble("ANSWER_TOO_LARGE", "The database's answer is longer than 8 MiB. A smaller page_size makes it shorter.")
}

/// Why there is no connection.
pub(super) fn of_connecting(error: &Unconnected) -> SourceTrouble {
    match error {
        Unconnected::Refused(_) => trouble("DESTINATION_REFUSED", "The address leads to where requests may not go."),
        Unconnected::Name => trouble("DNS_FAILURE", "The database's name could not be resolved."),
        Unconnected::Time => trouble("CONNECT_TIMEOUT", "The database didn't accept the connection in time."),
        Unconnected::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            trouble("CONNECTION_REFUSED", "The database refused the connection.")
        }
        Unconnected::Io(_) => trouble("UNREACHABLE", "The database could not be reached."),
    }
}

/// Why nobody was let in on a connection.
pub(super) fn of_letting_in(error: &Error, secure: bool) -> SourceTrouble {
    if let Some(said) = error.as_db_error() {
        return of_words(said, None);
    }
    let kind = error.to_string();
    let io = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    if secure && kind.contains("TLS") {
        let why = match io {
            Some(io) => match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(why) => why.to_string(),
                None => "the database broke it off".to_owned(),
            },
            None => "the database offers none".to_owned(),
        };
        return trouble("TLS_FAILURE", format!("No secure connection came about: {why}."));
    }
    if kind.contains("authentication") {
        let message = "The database was reached, and asks for the password in a way that is not known, or does not show \
                       that it knows it.";
        return trouble("CREDENTIALS_REFUSED", message);
    }
    if io.is_some() || error.is_closed() {
        return trouble("NO_ANSWER", "The connection was lost before an answer came.");
    }
    trouble("SOURCE_UNCLEAR", "What answered is no PostgreSQL database.")
}

/// Why a query was not answered.
pub(super) fn of_asking(error: &Error, query: &str) -> SourceTrouble {
    match error.as_db_error() {
        Some(said) => of_words(said, Some(query)),
        None if error.is_closed() => trouble("NO_ANSWER", "The connection was lost before an answer came."),
        None => trouble("SOURCE_UNCLEAR", "The database answered with something that nothing can be made of."),
    }
}

fn of_words(said: &DbError, query: Option<&str>) -> SourceTrouble {
    let state = said.code().code();
    let words = format!("{} ({state})", said.message().trim_end_matches('.'));
    let query = query.unwrap_or("to let anybody in");
    match state {
        _ if state.starts_with("28") => {
            trouble("CREDENTIALS_REFUSED", format!("The database was reached, and refused the credentials: {words}."))
        }
        "3D000" => trouble("DATABASE_MISSING", format!("There is no such database on this server: {words}.")),
        "25006" => trouble("QUERY_WRITES", format!("PostgreSQL refuses {query}, which may only read: {words}.")),
        "42501" => trouble("ACCESS_DENIED", format!("The role may not read what is asked for: {words}.")),
        "57014" => trouble("TIMEOUT", format!("PostgreSQL took too long for {query}, and ended it: {words}.")),
        "42703" | "42883" | "42846" | "22P02" => trouble(
            "QUERY_REFUSED",
            format!("PostgreSQL refuses {query}: {words}. A query needs a column id of the type uuid."),
        ),
        _ if ["42", "22", "0A"].iter().any(|class| state.starts_with(class)) => {
            trouble("QUERY_REFUSED", format!("PostgreSQL refuses {query}: {words}."))
        }
        _ => trouble(&format!("SQLSTATE_{state}"), format!("The database answered: {words}.")),
    }
}
