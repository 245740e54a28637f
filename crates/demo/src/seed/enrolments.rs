//! Course enrolments: the integration where everything goes well.

use chrono::{Days, NaiveDate};

use super::history::Past;
use super::plan::{Expected, Plan, Round, record};

const COURSES: [&str; 3] = ["PEER-101", "PEER-201", "FIRST-AID"];
const ENROLMENTS: u32 = 24;

pub(super) fn plan(today: NaiveDate) -> Plan {
    let records = (1..=ENROLMENTS)
        .map(|index| {
            let number = 2_000 + index;
            let start = today + Days::new(14 + u64::from(index % 3) * 7);
            record(
                2,
                number,
                format!("Enrolment {number}"),
                &[
                    ("course_code", COURSES[index as usize % COURSES.len()].to_owned()),
                    ("participant", format!("Deltaker Oppdiktet {index:02}")),
                    ("start_date", start.to_string()),
                ],
            )
        })
        .collect();
    let total = u64::from(ENROLMENTS);
    Plan {
        name: "Kursportal",
        sync_type: "portal_event",
        path: "enrolments",
        title_en: "Course enrolments",
        title_nb: "Kurspåmeldinger",
        record_type: "course_enrolments",
        endpoint: "/api/participants",
        batch_size: 1,
        cron: "0 7,15 * * 1-5",
        partial_failure: "error",
        rounds: vec![Round { records, expected: Expected { status: "success", total, processed: total, failed: 0 } }],
        light: "green",
        past: Past { hours: &[7, 15], records: 3..19, milliseconds_each: 70, failing_days: &[9], gap_day: None },
    }
}
