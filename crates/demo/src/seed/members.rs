//! The roster of members, in batches: the integration that takes a few failures as a warning.

use chrono::{Days, NaiveDate};

use super::history::Past;
use super::plan::{Expected, Plan, Round, record};

const BRANCHES: [&str; 5] = ["Bergen", "Oslo", "Stavanger", "Tromsø", "Trondheim"];
const MEMBERS: u32 = 60;
/// Members of a branch that does not exist.
const UNKNOWN_BRANCH: [u32; 2] = [5_017, 5_044];
/// The member who joined on the thirtieth of February.
const IMPOSSIBLE_DATE: u32 = 5_032;

pub(super) fn plan(today: NaiveDate) -> Plan {
    let records = (1..=MEMBERS)
        .map(|index| {
            let number = 5_000 + index;
            let branch =
                if UNKNOWN_BRANCH.contains(&number) { "Nordpolen" } else { BRANCHES[index as usize % BRANCHES.len()] };
            let joined = if number == IMPOSSIBLE_DATE {
                "2025-02-30".to_owned()
            } else {
                (today - Days::new(90 + u64::from(index) * 37)).to_string()
            };
            record(
                3,
                number,
                format!("Member {number}"),
                &[
                    ("member_number", number.to_string()),
                    ("name", format!("Medlem Oppdiktet {index:02}")),
                    ("branch", branch.to_owned()),
                    ("joined", joined),
                    ("status", if index % 9 == 0 { "passive" } else { "active" }.to_owned()),
                ],
            )
        })
        .collect();
    let (total, failed) = (u64::from(MEMBERS), 3);
    Plan {
        name: "Medlemsregister",
        sync_type: "roster_sync",
        path: "members",
        title_en: "Members",
        title_nb: "Medlemmer",
        record_type: "members",
        endpoint: "/api/members/batch",
        batch_size: 20,
        cron: "30 5 * * 1-5",
        partial_failure: "warning",
        rounds: vec![Round {
            records,
            expected: Expected { status: "success", total, processed: total - failed, failed },
        }],
        light: "yellow",
        past: Past { hours: &[5], records: 40..75, milliseconds_each: 30, failing_days: &[3], gap_day: Some(21) },
    }
}
