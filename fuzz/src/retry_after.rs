//! Whatever an external system says of when it wants to hear again: it is read without a panic, and waits are bounded.
#![no_main]

use std::time::Duration;

use connectors::fuzz::any_retry_after;
use libfuzzer_sys::fuzz_target;

/// The longest wait that is believed.
const LONGEST: Duration = Duration::from_secs(60 * 60);

// The first line is `Retry-After`, the second `Date`.
fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let (retry_after, date) = (lines.next().unwrap_or_default(), lines.next());
    if let Some(wait) = any_retry_after(retry_after, date) {
        assert!(wait <= LONGEST, "{wait:?}");
    }
});
