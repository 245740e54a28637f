//! The one place where the demonstration looks at the clock.

use std::time::SystemTime;

use chrono::{DateTime, Utc};

/// The present moment.
pub(crate) fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}
