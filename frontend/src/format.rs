//! Numbers, money and times in the viewer's language and time zone, by the browser's `Intl`.

use std::cell::RefCell;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::health::Amount;
use js_sys::{Array, Function, Object, Reflect};
use rust_decimal::prelude::ToPrimitive;
use wasm_bindgen::{JsCast, JsValue};

use crate::text;

/// How figures are written; the browser does it on screen, tests do it plainly.
pub trait Format {
    /// A whole number with its separators.
    fn number(&self, number: i64) -> String;
    /// A sum of money.
    fn money(&self, amount: &Amount) -> String;
    /// A moment in short: weekday and time this week, else the date.
    fn moment(&self, moment: DateTime<Utc>) -> String;
}

/// The browser's own formatting.
#[derive(Clone, Copy, Debug, Default)]
pub struct Intl;

impl Format for Intl {
    fn number(&self, value: i64) -> String {
        number(value)
    }

    fn money(&self, amount: &Amount) -> String {
        money(amount)
    }

    fn moment(&self, moment: DateTime<Utc>) -> String {
        short(moment)
    }
}

thread_local! {
    static FORMATTERS: RefCell<HashMap<String, Function>> = RefCell::new(HashMap::new());
}

/// Forgets the formatters of the former language.
pub fn forget() {
    FORMATTERS.with_borrow_mut(HashMap::clear);
}

/// The `format` function of an `Intl` class, made once per language.
fn formatter(class: &str, options: &[(&str, JsValue)]) -> Option<Function> {
    let key = options.iter().fold(class.to_owned(), |key, (name, value)| format!("{key}|{name}={value:?}"));
    if let Some(known) = FORMATTERS.with_borrow(|all| all.get(&key).cloned()) {
        return Some(known);
    }
    let bag = Object::new();
    for (name, value) in options {
        Reflect::set(&bag, &JsValue::from_str(name), value).ok()?;
    }
    let intl = Reflect::get(&js_sys::global(), &"Intl".into()).ok()?;
    let class: Function = Reflect::get(&intl, &class.into()).ok()?.dyn_into().ok()?;
    let tags: Array = text::tags().iter().map(|tag| JsValue::from_str(tag)).collect();
    let made = Reflect::construct(&class, &Array::of2(&tags, &bag)).ok()?;
    let format: Function = Reflect::get(&made, &"format".into()).ok()?.dyn_into().ok()?;
    let bound = format.bind0(&made);
    FORMATTERS.with_borrow_mut(|all| all.insert(key, bound.clone()));
    Some(bound)
}

fn apply(class: &str, options: &[(&str, JsValue)], value: &JsValue) -> String {
    formatter(class, options)
        .and_then(|format| format.call1(&JsValue::NULL, value).ok())
        .and_then(|text| text.as_string())
        .unwrap_or_default()
}

fn date(options: &[(&str, &str)], moment: DateTime<Utc>) -> String {
    let options: Vec<(&str, JsValue)> = options.iter().map(|(name, value)| (*name, (*value).into())).collect();
    apply("DateTimeFormat", &options, &js_date(moment))
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
fn js_date(moment: DateTime<Utc>) -> JsValue {
    js_sys::Date::new(&JsValue::from_f64(moment.timestamp_millis() as f64)).into()
}

/// A whole number.
#[expect(clippy::cast_precision_loss, reason = "shown numbers are far below 2^53")]
pub fn number(value: i64) -> String {
    apply("NumberFormat", &[], &(value as f64).into())
}

/// A share of one, as a percentage.
pub fn percent(share: f64) -> String {
    apply("NumberFormat", &[("style", "percent".into()), ("maximumFractionDigits", 1.into())], &share.into())
}

/// A sum of money; whole sums without decimals.
pub fn money(amount: &Amount) -> String {
    let value = amount.amount.to_f64().unwrap_or_default();
    let digits = if amount.amount.fract().is_zero() { 0 } else { 2 };
    let text = apply(
        "NumberFormat",
        &[
            ("style", "currency".into()),
            ("currency", amount.currency.as_str().into()),
            ("currencyDisplay", "code".into()),
            ("minimumFractionDigits", digits.into()),
            ("maximumFractionDigits", digits.into()),
        ],
        &value.into(),
    );
    if text.is_empty() { format!("{} {}", amount.currency, amount.amount) } else { text }
}

/// Weekday and time within the last days, else the date and time.
pub fn short(moment: DateTime<Utc>) -> String {
    let distance = crate::browser::now().signed_duration_since(moment).num_hours();
    if (-144..144).contains(&distance) {
        date(&[("weekday", "short"), ("hour", "2-digit"), ("minute", "2-digit")], moment)
    } else if distance.abs() < 24 * 300 {
        date(&[("day", "numeric"), ("month", "short"), ("hour", "2-digit"), ("minute", "2-digit")], moment)
    } else {
        date(&[("day", "numeric"), ("month", "short"), ("year", "numeric")], moment)
    }
}

/// Date and time to the second.
pub fn full(moment: DateTime<Utc>) -> String {
    date(&[("dateStyle", "medium"), ("timeStyle", "medium")], moment)
}

/// Hours and minutes.
pub fn clock(moment: DateTime<Utc>) -> String {
    date(&[("hour", "2-digit"), ("minute", "2-digit")], moment)
}

/// A day with its weekday.
pub fn day(moment: DateTime<Utc>) -> String {
    date(&[("weekday", "long"), ("day", "numeric"), ("month", "long")], moment)
}

/// A day counted in UTC, in few letters, for axes.
pub fn day_short_utc(moment: DateTime<Utc>) -> String {
    date(&[("day", "numeric"), ("month", "short"), ("timeZone", "UTC")], moment)
}

/// The viewer's calendar day, as `2026-11-20`.
pub fn local_day(moment: DateTime<Utc>) -> String {
    let local = js_sys::Date::from(js_date(moment));
    format!("{:04}-{:02}-{:02}", local.get_full_year(), local.get_month() + 1, local.get_date())
}

/// The first moment of the viewer's calendar day, and of the one `days` later.
pub fn local_midnight(day: &str, days: i32) -> Option<DateTime<Utc>> {
    let mut parts = day.split('-');
    let year: u32 = parts.next()?.parse().ok()?;
    let month: i32 = parts.next()?.parse().ok()?;
    let date: i32 = parts.next()?.parse().ok()?;
    let millis = js_sys::Date::new_with_year_month_day(year, month - 1, date + days).get_time();
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit an i64")]
    DateTime::from_timestamp_millis(millis as i64)
}

/// The name of the viewer's time zone, for example `Europe/Oslo`.
pub fn zone() -> String {
    let resolved = js_sys::Intl::DateTimeFormat::new(&Array::new(), &Object::new()).resolved_options();
    Reflect::get(&resolved, &"timeZone".into())
        .ok()
        .and_then(|zone| zone.as_string())
        .unwrap_or_else(|| "UTC".to_owned())
}

fn unit(value: f64, unit: &str, digits: i32) -> String {
    apply(
        "NumberFormat",
        &[
            ("style", "unit".into()),
            ("unit", unit.into()),
            ("unitDisplay", "short".into()),
            ("maximumFractionDigits", digits.into()),
        ],
        &value.into(),
    )
}

/// A duration in the two largest units that matter.
#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53 ms")]
pub fn duration(millis: i64) -> String {
    match millis {
        ..1_000 => unit(millis.max(0) as f64, "millisecond", 0),
        1_000..10_000 => unit(millis as f64 / 1_000.0, "second", 1),
        10_000..60_000 => unit((millis / 1_000) as f64, "second", 0),
        60_000..3_600_000 => two(millis / 60_000, "minute", millis % 60_000 / 1_000, "second"),
        _ => two(millis / 3_600_000, "hour", millis % 3_600_000 / 60_000, "minute"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    let large = unit(large as f64, large_unit, 0);
    if small == 0 { large } else { format!("{large} {}", unit(small as f64, small_unit, 0)) }
}

/// How long ago, or in how long.
pub fn relative(moment: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = moment.signed_duration_since(now).num_seconds();
    let (value, unit) = match seconds.abs() {
        0..45 => return tr!(time.now),
        45..3_570 => ((seconds.abs() + 30) / 60, "minute"),
        3_570..129_600 => ((seconds.abs() + 1_800) / 3_600, "hour"),
        _ => ((seconds.abs() + 43_200) / 86_400, "day"),
    };
    let value = value * seconds.signum();
    let unit_value: JsValue = unit.into();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    formatter("RelativeTimeFormat", &[("numeric", "always".into())])
        .and_then(|format| format.call2(&JsValue::NULL, &(value as f64).into(), &unit_value).ok())
        .and_then(|text| text.as_string())
        .unwrap_or_default()
}
