//! Whatever Dynamics 365 answers to a batch: its parts are read without a panic, and there is a place for the answer to
//! each operation and for no other.
#![no_main]

use connectors::fuzz::read_any_batch;
use libfuzzer_sys::fuzz_target;

/// Operations that were asked for.
const OPERATIONS: usize = 3;

// The first line is the content type, the rest the body.
fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (content_type, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let content_type = String::from_utf8_lossy(content_type);
    for whole in [false, true] {
        if let Some((statuses, stopped_at)) = read_any_batch(content_type.trim_end(), body, OPERATIONS, whole) {
            assert_eq!(statuses.len(), OPERATIONS);
            assert!(statuses.iter().flatten().all(|status| (100..600).contains(status)), "no status");
            if let Some(last) = stopped_at {
                assert!(whole, "an answer that broke off tells nobody where its system stopped");
                assert!(last < OPERATIONS && statuses[last].is_some_and(|status| status >= 400), "no failure");
                assert!(statuses[last + 1..].iter().all(Option::is_none), "answered, and said not to be attempted");
            }
        }
    }
});
