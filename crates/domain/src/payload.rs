//! The hash that stands in the ledger for a payload.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// SHA-256 of the canonical payload (RFC 8785) as 64 lower-case hexadecimal characters.
pub fn payload_hash(payload: &Value) -> String {
    let canonical = serde_json_canonicalizer::to_vec(payload).unwrap_or_default();
    sha256_hex(&canonical)
}

/// Whether a text is a payload hash: 64 lower-case hexadecimal characters.
pub fn is_payload_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
