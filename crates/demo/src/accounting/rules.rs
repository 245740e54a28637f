//! What Fjordregnskap accepts. All complaints about a record are made at once.

use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde_json::Value;

/// The cost centres in the books.
pub(super) const COST_CENTERS: [(&str, &str); 5] = [
    ("1000", "Administration"),
    ("1100", "Peer support"),
    ("1200", "Courses"),
    ("1300", "Local branches"),
    ("1400", "Youth work"),
];
/// The accounts that take expenses and honoraria.
pub(super) const ACCOUNTS: [(&str, &str); 4] =
    [("5330", "Honoraria"), ("6860", "Meetings and courses"), ("7100", "Mileage"), ("7140", "Travel")];
/// The courses one can enrol in.
pub(super) const COURSES: [&str; 3] = ["PEER-101", "PEER-201", "FIRST-AID"];
/// The branches members belong to.
pub(super) const BRANCHES: [&str; 5] = ["Bergen", "Oslo", "Stavanger", "Tromsø", "Trondheim"];
const CURRENCIES: [&str; 2] = ["EUR", "NOK"];
const STATUSES: [&str; 2] = ["active", "passive"];
/// The most that one voucher may say.
const LIMIT: Decimal = Decimal::from_parts(50_000, 0, 0, false, 0);

/// One complaint about one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// JSON Pointer, without the `#`.
    pub pointer: String,
    pub code: &'static str,
    pub detail: String,
}

impl Complaint {
    pub(super) fn new(pointer: &str, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.to_owned(), code, detail: detail.into() }
    }
}

/// A month of the books, as months since the year 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Period(i32);

impl Period {
    pub(super) fn of(moment: DateTime<Utc>) -> Self {
        Self::from_month0(moment.year(), moment.month0())
    }

    fn from_month0(year: i32, month0: u32) -> Self {
        Self(year * 12 + i32::try_from(month0).unwrap_or(0))
    }

    /// The oldest month that is still open when this one is the present: last month's vouchers may come late.
    pub(super) fn oldest_open(self) -> Self {
        Self(self.0 - 1)
    }
}

impl std::fmt::Display for Period {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

impl FromStr for Period {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let first = NaiveDate::from_str(&format!("{text}-01")).map_err(|_| ())?;
        let period = Self::from_month0(first.year(), first.month0());
        if period.to_string() == text { Ok(period) } else { Err(()) }
    }
}

/// One expense claim or honorarium.
pub(super) fn voucher(record: &Value, present: Period) -> Vec<Complaint> {
    let mut form = Form::new(record);
    form.text("claim_number", 20);
    form.text("member", 100);
    form.text("text", 200);
    if let Some(code) = form.text("cost_center", 20)
        && !COST_CENTERS.iter().any(|(known, _)| *known == code)
    {
        form.complain("cost_center", "invalid_cost_center", format!("Invalid cost center code: {code}"));
    }
    if let Some(code) = form.text("account", 20)
        && !ACCOUNTS.iter().any(|(known, _)| *known == code)
    {
        form.complain("account", "invalid_account", format!("Account {code} does not take vouchers"));
    }
    if let Some(currency) = form.text("currency", 3) {
        form.one_of("currency", "invalid_currency", currency, &CURRENCIES);
    }
    if let Some(text) = form.text("amount", 20) {
        form.amount(text);
    }
    if let Some(text) = form.text("period", 7) {
        form.period(text, present);
    }
    form.complaints
}

/// One course enrolment.
pub(super) fn participant(record: &Value) -> Vec<Complaint> {
    let mut form = Form::new(record);
    form.text("participant", 100);
    if let Some(code) = form.text("course_code", 20) {
        form.one_of("course_code", "unknown_course", code, &COURSES);
    }
    if let Some(text) = form.text("start_date", 10) {
        form.date("start_date", text);
    }
    form.complaints
}

/// One member of the roster.
pub(super) fn member(record: &Value, today: NaiveDate) -> Vec<Complaint> {
    let mut form = Form::new(record);
    form.text("member_number", 20);
    form.text("name", 100);
    if let Some(branch) = form.text("branch", 40) {
        form.one_of("branch", "unknown_branch", branch, &BRANCHES);
    }
    if let Some(status) = form.text("status", 20) {
        form.one_of("status", "unknown_status", status, &STATUSES);
    }
    if let Some(text) = form.text("joined", 10)
        && let Some(date) = form.date("joined", text)
        && date > today
    {
        form.complain("joined", "date_in_future", format!("Nobody can have joined on {date}, which is yet to come"));
    }
    form.complaints
}

/// A record and the complaints about it so far.
struct Form<'a> {
    record: &'a Value,
    complaints: Vec<Complaint>,
}

impl<'a> Form<'a> {
    fn new(record: &'a Value) -> Self {
        let complaints = if record.is_object() {
            Vec::new()
        } else {
            vec![Complaint::new("", "not_an_object", "A JSON object is needed")]
        };
        Self { record, complaints }
    }

    fn complain(&mut self, field: &str, code: &'static str, detail: String) {
        self.complaints.push(Complaint::new(&format!("/{field}"), code, detail));
    }

    /// A text that is there, is no mere blank, and is not too long.
    fn text(&mut self, field: &str, max: usize) -> Option<&'a str> {
        if !self.record.is_object() {
            return None;
        }
        match self.record.get(field) {
            None | Some(Value::Null) => self.complain(field, "required", format!("{field} is missing")),
            Some(Value::String(text)) if text.trim().is_empty() => {
                self.complain(field, "required", format!("{field} is empty"));
            }
            Some(Value::String(text)) if text.chars().count() > max => {
                self.complain(field, "too_long", format!("{field} has more than {max} characters"));
            }
            Some(Value::String(text)) => return Some(text),
            Some(_) => self.complain(field, "not_a_text", format!("{field} must be a text")),
        }
        None
    }

    fn one_of(&mut self, field: &str, code: &'static str, found: &str, known: &[&str]) {
        if !known.contains(&found) {
            self.complain(field, code, format!("{found} is not known; known are {}", known.join(", ")));
        }
    }

    fn amount(&mut self, text: &str) {
        let digits_and_point = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
        match Decimal::from_str_exact(text) {
            Ok(amount) if digits_and_point && amount.scale() <= 2 => {
                if amount <= Decimal::ZERO {
                    self.complain("amount", "amount_not_positive", format!("The amount {text} is not above zero"));
                } else if amount > LIMIT {
                    let detail = format!("The amount {text} is above the limit of {LIMIT}.00 for one voucher");
                    self.complain("amount", "amount_above_limit", detail);
                }
            }
            _ => self.complain("amount", "invalid_amount", format!("{text} is not an amount such as 1250.00")),
        }
    }

    fn period(&mut self, text: &str, present: Period) {
        let oldest = present.oldest_open();
        match Period::from_str(text) {
            Ok(period) if period < oldest => {
                let detail = format!("Period {text} is closed for posting; the oldest open period is {oldest}");
                self.complain("period", "period_closed", detail);
            }
            Ok(period) if period > present => {
                self.complain("period", "period_not_open", format!("Period {text} is not open yet"));
            }
            Ok(_) => {}
            Err(()) => self.complain("period", "invalid_period", format!("{text} is not a period such as {present}")),
        }
    }

    fn date(&mut self, field: &str, text: &str) -> Option<NaiveDate> {
        let date = NaiveDate::from_str(text).ok().filter(|date| date.to_string() == text);
        if date.is_none() {
            self.complain(field, "invalid_date", format!("{text} is not a date"));
        }
        date
    }
}
