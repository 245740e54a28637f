//! How long what lies in the archive is kept.

use chrono::{Datelike as _, Months, NaiveDate};

use crate::integration::SyncType;

wire_enum! {
    /// A table of the ledger that is archived.
    LedgerTable {
        /// Syncs.
        SyncLogs = "sync_logs",
        /// Their attempts.
        SyncAttempts = "sync_attempts",
        /// What happened to each record.
        SyncRecordOutcomes = "sync_record_outcomes",
    }
}

wire_enum! {
    /// Why something is kept, which decides how long.
    RetentionClass {
        /// Accounting documentation: so many years after the end of the accounting year.
        Accounting = "accounting",
        /// Everything else: so many years after the month.
        Operational = "operational",
    }
}

/// Years for which Norwegian bookkeeping law keeps accounting documentation after the end of the accounting year.
pub const LEAST_ACCOUNTING_YEARS: u32 = 5;

/// Years for which each class is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionYears {
    /// After the end of the accounting year; never fewer than [`LEAST_ACCOUNTING_YEARS`].
    pub accounting: u32,
    /// After the end of the month.
    pub operational: u32,
}

impl RetentionClass {
    /// The class of what holds these kinds of syncs: the one that is kept longest.
    pub fn of(kinds: impl IntoIterator<Item = SyncType>) -> Self {
        if kinds.into_iter().any(|kind| kind == SyncType::AccountingPush) {
            Self::Accounting
        } else {
            Self::Operational
        }
    }

    /// The first day on which a month of this class may be deleted. The accounting year is the calendar year.
    pub fn expires_on(self, month: NaiveDate, years: RetentionYears) -> NaiveDate {
        let after = |first: NaiveDate, years: u32| {
            first.checked_add_months(Months::new(years.saturating_mul(12))).unwrap_or(NaiveDate::MAX)
        };
        match self {
            Self::Accounting => {
                let next_year = NaiveDate::from_ymd_opt(month.year() + 1, 1, 1).unwrap_or(NaiveDate::MAX);
                after(next_year, years.accounting.max(LEAST_ACCOUNTING_YEARS))
            }
            Self::Operational => {
                let next_month = month.with_day(1).and_then(|first| first.checked_add_months(Months::new(1)));
                after(next_month.unwrap_or(NaiveDate::MAX), years.operational)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    const YEARS: RetentionYears = RetentionYears { accounting: 5, operational: 2 };

    #[test]
    fn accounting_documentation_is_kept_five_years_after_its_year() {
        for month in ["2025-01-01", "2025-12-01"] {
            assert_eq!(RetentionClass::Accounting.expires_on(day(month), YEARS), day("2031-01-01"), "{month}");
        }
    }

    #[test]
    fn everything_else_is_kept_from_its_month_on() {
        assert_eq!(RetentionClass::Operational.expires_on(day("2025-12-01"), YEARS), day("2028-01-01"));
        assert_eq!(RetentionClass::Operational.expires_on(day("2025-01-01"), YEARS), day("2027-02-01"));
    }

    #[test]
    fn one_accounting_sync_makes_a_month_accounting_documentation() {
        assert_eq!(RetentionClass::of([SyncType::RosterSync, SyncType::AccountingPush]), RetentionClass::Accounting);
        assert_eq!(RetentionClass::of([SyncType::RosterSync, SyncType::PortalEvent]), RetentionClass::Operational);
        assert_eq!(RetentionClass::of([]), RetentionClass::Operational);
    }

    proptest! {
        #[test]
        fn no_setting_shortens_what_the_law_asks(year in 2000..2100_i32, month in 1..=12_u32, years in 0..20_u32) {
            let month = NaiveDate::from_ymd_opt(year, month, 1).unwrap();
            let set = RetentionYears { accounting: years, operational: years };
            let least = NaiveDate::from_ymd_opt(year + 6, 1, 1).unwrap();
            prop_assert!(RetentionClass::Accounting.expires_on(month, set) >= least);
        }
    }
}
