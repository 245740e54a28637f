//! Reading the domain's values out of columns.

use std::str::FromStr;

use domain::violation::UnknownWord;
use rust_decimal::Decimal;

use crate::error::StoreError;

/// A closed word from a column.
pub(crate) fn word<T: FromStr<Err = UnknownWord>>(text: &str) -> Result<T, StoreError> {
    Ok(text.parse()?)
}

/// A sum of money with at least two decimals and no superfluous ones.
pub(crate) fn money(amount: Decimal) -> Decimal {
    let mut amount = amount.normalize();
    if amount.scale() < 2 {
        amount.rescale(2);
    }
    amount
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_two_decimals_or_as_many_as_it_needs() {
        let shown = |text: &str| money(text.parse().unwrap()).to_string();
        assert_eq!(shown("1250.0000"), "1250.00");
        assert_eq!(shown("0.1250"), "0.125");
        assert_eq!(shown("7"), "7.00");
    }
}
