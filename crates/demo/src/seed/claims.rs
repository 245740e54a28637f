//! Expense claims: the integration that fails, for reasons that a person can mend.

use chrono::{Datelike, Months, NaiveDate};
use rust_decimal::Decimal;

use super::history::Past;
use super::plan::{Expected, Plan, Round, record};
use crate::source_app::records::Record;

/// Claims with a cost centre that does not exist.
const UNKNOWN_COST_CENTER: [u32; 9] = [1007, 1011, 1014, 1019, 1024, 1028, 1033, 1038, 1043];
/// Claims for a month that was closed long ago.
const CLOSED_PERIOD: [u32; 2] = [1021, 1040];
/// The claim above the limit.
const TOO_LARGE: u32 = 1030;
/// Those of the faulty claims that were sent a first time, and edited since without being mended.
const EDITED: [u32; 3] = [1007, 1011, 1014];

const PURPOSES: [&str; 8] = [
    "Travel to a peer support meeting in Bergen",
    "Mileage, home visit",
    "Honorarium, evening talk",
    "Room for a local branch meeting",
    "Train to the course weekend",
    "Refreshments for a youth evening",
    "Honorarium, course leader",
    "Parking at the hospital",
];
const MEMBERS: [&str; 6] = [
    "Prøve Eksempelsen",
    "Demo Testesen",
    "Mønster Oppdiktet",
    "Utkast Kladdesen",
    "Skisse Modellsen",
    "Fiktiv Navnesen",
];
const COST_CENTERS: [&str; 5] = ["1000", "1100", "1200", "1300", "1400"];
const ACCOUNTS: [&str; 4] = ["7140", "7100", "5330", "6860"];

pub(super) fn plan(today: NaiveDate) -> Plan {
    let first: Vec<_> = (1001..=1005).chain(EDITED).map(|number| claim(number, today, false)).collect();
    let second: Vec<_> = (1006..=1045).map(|number| claim(number, today, EDITED.contains(&number))).collect();
    Plan {
        name: "Fjordregnskap – utlegg",
        sync_type: "accounting_push",
        path: "claims",
        title_en: "Expense claims",
        title_nb: "Utlegg",
        record_type: "expense_claims",
        endpoint: "/api/vouchers",
        batch_size: 1,
        cron: "0 6 * * 1-5",
        partial_failure: "error",
        rounds: vec![
            Round { records: first, expected: Expected { status: "failed", total: 8, processed: 5, failed: 3 } },
            Round { records: second, expected: Expected { status: "failed", total: 40, processed: 28, failed: 12 } },
        ],
        light: "red",
        past: Past { hours: &[6], records: 24..58, milliseconds_each: 95, failing_days: &[6, 17], gap_day: Some(12) },
    }
}

fn claim(number: u32, today: NaiveDate, edited: bool) -> Record {
    let pick = |list: &[&'static str], step: u32| list[(number / step) as usize % list.len()];
    let cost_center = if UNKNOWN_COST_CENTER.contains(&number) { "9999" } else { pick(&COST_CENTERS, 1) };
    let month = if CLOSED_PERIOD.contains(&number) { today - Months::new(3) } else { today };
    let amount = if number == TOO_LARGE { Decimal::new(6_240_000, 2) } else { amount(number) };
    let currency = if number.is_multiple_of(13) && number != TOO_LARGE { "EUR" } else { "NOK" };
    let purpose = pick(&PURPOSES, 1);
    let text = if edited { format!("{purpose} (receipt added)") } else { purpose.to_owned() };
    record(
        1,
        number,
        format!("Claim {number}"),
        &[
            ("claim_number", number.to_string()),
            ("member", pick(&MEMBERS, 2).to_owned()),
            ("text", text),
            ("cost_center", cost_center.to_owned()),
            ("account", pick(&ACCOUNTS, 1).to_owned()),
            ("amount", amount.to_string()),
            ("currency", currency.to_owned()),
            ("period", format!("{:04}-{:02}", month.year(), month.month())),
        ],
    )
}

/// Between 180 and some 4 700, uneven as amounts are.
fn amount(number: u32) -> Decimal {
    Decimal::new(18_000 + i64::from(number * 7_919 % 4_523) * 100 + i64::from(number % 4) * 25, 2)
}
