//! Moments as the API takes them.

use std::time::SystemTime;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// The present moment.
pub fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// A moment so long ago.
pub fn ago(length: TimeDelta) -> String {
    text(now() - length)
}

/// A moment with milliseconds.
pub fn text(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}
