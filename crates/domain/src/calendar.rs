//! Norwegian working days, for freshness windows that follow a business calendar.

use chrono::{DateTime, Datelike as _, MappedLocalTime, NaiveDate, TimeDelta, TimeZone as _, Utc, Weekday};
use chrono_tz::Europe::Oslo;

/// Easter Sunday of a year, by the Gregorian calendar; `None` outside the years that can be reckoned with.
pub fn easter_sunday(year: i32) -> Option<NaiveDate> {
    // The anonymous Gregorian algorithm (Meeus, Jones, Butcher).
    let golden = year.rem_euclid(19);
    let (century, of_century) = (year.div_euclid(100), year.rem_euclid(100));
    let correction = (8 * century + 13).div_euclid(25);
    let epact = (19 * golden + century - century.div_euclid(4) - correction + 15).rem_euclid(30);
    let weekday = (32 + 2 * century.rem_euclid(4) + 2 * of_century.div_euclid(4) - epact - of_century.rem_euclid(4))
        .rem_euclid(7);
    let moved = (golden + 11 * epact + 22 * weekday).div_euclid(451);
    let days = epact + weekday - 7 * moved + 114;
    NaiveDate::from_ymd_opt(
        year,
        u32::try_from(days.div_euclid(31)).ok()?,
        u32::try_from(days.rem_euclid(31) + 1).ok()?,
    )
}

/// Whether a date is a Norwegian public holiday (Sundays that are no feast don't count as one).
pub fn is_public_holiday(date: NaiveDate) -> bool {
    // New Year's Day, Labour Day, Constitution Day, Christmas Day and the day after.
    if matches!((date.month(), date.day()), (1, 1) | (5, 1 | 17) | (12, 25 | 26)) {
        return true;
    }
    // Maundy Thursday, Good Friday, Easter Sunday and Monday, Ascension Day, Whit Sunday and Monday.
    easter_sunday(date.year())
        .is_some_and(|easter| matches!((date - easter).num_days(), -3 | -2 | 0 | 1 | 39 | 49 | 50))
}

/// Whether a date is a Norwegian working day: Monday to Friday, and no public holiday.
pub fn is_business_day(date: NaiveDate) -> bool {
    !matches!(date.weekday(), Weekday::Sat | Weekday::Sun) && !is_public_holiday(date)
}

/// Most hours [`add_business_hours`] reckons with (ten times the longest freshness window); more count as this many.
pub const MAX_BUSINESS_HOURS: u32 = 10 * 24 * 366;

/// The moment `hours` working-day hours after `from`: Saturdays, Sundays and Norwegian public holidays (in Oslo's
/// time) do not count.
///
/// The result is always a moment of a working day: hours that are used up at the end of a Friday last until Monday
/// begins. Moments far from any that Syncwatch deals with come back as they are.
pub fn add_business_hours(from: DateTime<Utc>, hours: u32) -> DateTime<Utc> {
    if !(1900..3000).contains(&from.year()) {
        return from;
    }
    let mut left = TimeDelta::hours(i64::from(hours.min(MAX_BUSINESS_HOURS)));
    let mut moment = from;
    loop {
        let date = moment.with_timezone(&Oslo).date_naive();
        let Some(midnight) = date.succ_opt().and_then(start_of_day) else {
            return moment;
        };
        if is_business_day(date) {
            let until_midnight = midnight - moment;
            if left < until_midnight {
                return moment + left;
            }
            left -= until_midnight;
        }
        moment = midnight;
    }
}

/// Oslo's clocks change between 02:00 and 03:00, so that midnight exists once every day.
fn start_of_day(date: NaiveDate) -> Option<DateTime<Utc>> {
    match Oslo.from_local_datetime(&date.and_hms_opt(0, 0, 0)?) {
        MappedLocalTime::Single(moment) | MappedLocalTime::Ambiguous(moment, _) => Some(moment.with_timezone(&Utc)),
        MappedLocalTime::None => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn oslo(text: &str) -> DateTime<Utc> {
        Oslo.from_local_datetime(&text.parse().unwrap()).unwrap().with_timezone(&Utc)
    }

    #[test]
    fn easter_falls_on_the_published_days() {
        for (year, day) in [
            (1954, "1954-04-18"),
            (2000, "2000-04-23"),
            (2008, "2008-03-23"),
            (2011, "2011-04-24"),
            (2024, "2024-03-31"),
            (2025, "2025-04-20"),
            (2026, "2026-04-05"),
            (2027, "2027-03-28"),
            (2038, "2038-04-25"),
            (2049, "2049-04-18"),
        ] {
            assert_eq!(easter_sunday(year), Some(date(day)), "{year}");
        }
    }

    #[test]
    fn the_holidays_of_2026() {
        let days = date("2026-01-01").iter_days().take(365).filter(|day| is_public_holiday(*day));
        let found: Vec<_> = days.map(|day| day.format("%m-%d").to_string()).collect();
        let expected = [
            "01-01", "04-02", "04-03", "04-05", "04-06", "05-01", "05-14", "05-17", "05-24", "05-25", "12-25", "12-26",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn working_days_are_weekdays_without_holidays() {
        assert!(is_business_day(date("2026-11-20")));
        assert!(!is_business_day(date("2026-11-21")), "a Saturday");
        assert!(!is_business_day(date("2026-11-22")), "a Sunday");
        assert!(!is_business_day(date("2026-05-14")), "Ascension Day");
        assert!(is_business_day(date("2026-04-01")), "the Wednesday before Easter");
        assert!(is_business_day(date("2026-12-24")), "Christmas Eve is no public holiday");
    }

    #[test]
    fn windows_leave_weekends_and_holidays_out() {
        for (from, hours, to) in [
            ("2026-11-16T06:00:00", 48, "2026-11-18T06:00:00"),
            // Over a weekend.
            ("2026-11-20T06:00:00", 48, "2026-11-24T06:00:00"),
            // Begun on a Sunday.
            ("2026-11-22T15:00:00", 24, "2026-11-24T00:00:00"),
            // Easter: Wednesday to Wednesday, and the change to summer time in between is a Sunday.
            ("2027-03-24T12:00:00", 24, "2027-03-30T12:00:00"),
            // Used up as Friday ends: the weekend still belongs to the window.
            ("2026-11-19T00:00:00", 48, "2026-11-23T00:00:00"),
            ("2026-11-21T12:00:00", 0, "2026-11-23T00:00:00"),
            ("2026-11-20T12:00:00", 0, "2026-11-20T12:00:00"),
        ] {
            assert_eq!(add_business_hours(oslo(from), hours), oslo(to), "{from} + {hours} h");
        }
    }

    #[test]
    fn absurd_windows_end() {
        let from = oslo("2026-11-20T12:00:00");
        assert_eq!(add_business_hours(from, u32::MAX), add_business_hours(from, MAX_BUSINESS_HOURS));
        assert_eq!(add_business_hours(DateTime::<Utc>::MAX_UTC, 48), DateTime::<Utc>::MAX_UTC);
    }

    proptest! {
        #[test]
        fn windows_add_up_and_end_on_working_days(start in 0_i64..315_360_000, first in 0_u32..200, second in 0_u32..200) {
            let from = oslo("2020-01-01T00:00:00") + TimeDelta::seconds(start);
            let to = add_business_hours(from, first + second);
            prop_assert!(to >= from + TimeDelta::hours(i64::from(first + second)));
            prop_assert!(is_business_day(to.with_timezone(&Oslo).date_naive()));
            prop_assert_eq!(add_business_hours(add_business_hours(from, first), second), to);
        }
    }
}
