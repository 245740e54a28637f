//! Amounts of money as they may come in: decimal strings, never numbers, which would lose digits on the way.

use std::borrow::Cow;

use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Reads an optional amount such as `"1250.00"` or `"-3"`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    let Some(text) = Option::<Cow<'de, str>>::deserialize(deserializer)? else { return Ok(None) };
    let amount = if is_plain(&text) { text.parse::<Decimal>().ok() } else { None };
    amount.map(Some).ok_or_else(|| D::Error::custom("an amount is a decimal text like 1250.00"))
}

/// A sign, digits without leading zeros, a point and digits: no plus, no exponent, no separators.
fn is_plain(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits)
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
        assert_eq!(read("\"-3\""), Some(Decimal::new(-3, 0)));
        assert_eq!(read("\"0.5\""), Some(Decimal::new(5, 1)));
        assert_eq!(read("null"), None);
    }

    #[test]
    fn numbers_and_other_spellings_are_refused() {
        for json in ["1250", "1.5", "\"\"", "\"1e3\"", "\"+1\"", "\".5\"", "\"5.\"", "\"1_000\"", "\"007\"", "\"-\""] {
            assert!(is_refused(json), "{json}");
        }
        let endless = format!("\"{}\"", "9".repeat(40));
        assert!(is_refused(&endless));
    }
}
