//! Amounts as texts: plain decimals, so that no digit is lost on the way.

use rust_decimal::Decimal;

/// Reads a plain decimal such as `1250.00` or `-3`: a sign, digits without leading zeros, a point and digits; no plus,
/// no exponent, no separators, and no more digits than are kept exactly.
pub fn parse_amount(text: &str) -> Option<Decimal> {
    if is_plain(text) { Decimal::from_str_exact(text).ok() } else { None }
}

/// Whether the ledger can keep an amount: at most four decimals, and fourteen digits before the point.
pub fn can_be_kept(amount: Decimal) -> bool {
    amount.scale() <= 4 && amount.abs() < Decimal::from(100_000_000_000_000_i64)
}

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

    #[test]
    fn an_amount_is_a_plain_decimal() {
        assert_eq!(parse_amount("1250.00"), Some(Decimal::new(125_000, 2)));
        assert_eq!(parse_amount("-3"), Some(Decimal::new(-3, 0)));
        assert_eq!(parse_amount("0.5"), Some(Decimal::new(5, 1)));
        for text in ["", "1e3", "+1", ".5", "5.", "1_000", "1 000", "1,5", "007", "-", "0x1", "٣"] {
            assert_eq!(parse_amount(text), None, "{text}");
        }
    }

    #[test]
    fn the_ledger_keeps_amounts_of_its_own_size() {
        let kept = |text: &str| can_be_kept(parse_amount(text).unwrap());
        assert!(["0", "1250.0000", "-99999999999999.9999"].into_iter().all(kept));
        assert!(!["0.00001", "100000000000000", "-100000000000000"].into_iter().any(kept));
    }

    #[test]
    fn what_would_lose_digits_is_no_amount() {
        assert_eq!(parse_amount(&"9".repeat(40)), None);
        assert_eq!(parse_amount(&format!("0.{}1", "0".repeat(28))), None);
        assert!(parse_amount(&format!("0.{}1", "0".repeat(27))).is_some());
    }
}
