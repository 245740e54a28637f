//! Amounts of money as they may come in: decimal strings, never numbers, which would lose digits on the way.

use std::borrow::Cow;

use domain::amount::parse_amount;
use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Reads an optional amount such as `"1250.00"` or `"-3"`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    let Some(text) = Option::<Cow<'de, str>>::deserialize(deserializer)? else { return Ok(None) };
    parse_amount(&text).map(Some).ok_or_else(|| D::Error::custom("an amount is a decimal text like 1250.00"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Decimal> {
        deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap()
    }

    fn is_refused(json: &str) -> bool {
        deserialize(&mut serde_json::Deserializer::from_str(json)).is_err()
    }

    #[test]
    fn an_amount_is_a_plain_decimal_text() {
        assert_eq!(read("\"1250.00\""), Some(Decimal::new(125_000, 2)));
        assert_eq!(read("null"), None);
    }

    #[test]
    fn numbers_and_other_spellings_are_refused() {
        for json in ["1250", "1.5", "\"\"", "\"1e3\"", "\"-\""] {
            assert!(is_refused(json), "{json}");
        }
    }
}
