//! Staged source records.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::macros::wire;

wire! {
    /// The current data of one record.
    #[serde(deny_unknown_fields)]
    pub struct StageRecord {
        /// What will be sent; sealed at rest, deleted once delivered.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub payload: Value,
        /// A human label, for example "Claim 1043".
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 200))]
        pub label: Option<String>,
        /// Its amount, as a decimal string.
        #[serde(default, deserialize_with = "crate::amount::deserialize", skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = r"^-?(0|[1-9][0-9]{0,13})(\.[0-9]{1,4})?$"))]
        pub amount: Option<Decimal>,
        /// ISO 4217 code of the amount.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Z]{3}$"))]
        pub currency: Option<String>,
    }

    /// Where a staged record stands. The payload itself is never returned.
    pub struct StagedRecord {
        /// `staged`, `sending`, `delivered`, `failed`, `unknown` or `handled`.
        pub state: domain::record::RecordState,
        /// SHA-256 of the canonical payload.
        pub payload_hash: String,
        /// A human label.
        pub label: Option<String>,
        /// Its amount.
        pub amount: Option<Decimal>,
        /// ISO 4217 code of the amount.
        pub currency: Option<String>,
        /// The external system's id, once delivered.
        pub external_reference_id: Option<String>,
    }
}
