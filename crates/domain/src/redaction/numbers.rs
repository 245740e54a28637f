//! Numbers that name a person or an account, told from other numbers by their check digits.

use super::Finding;

const IDENTITY: &str = "[identity number]";
const ACCOUNT: &str = "[account number]";
const CARD: &str = "[card number]";
const IBAN: &str = "[iban]";

/// The first identity, account or card number from a place on.
pub(super) fn next_number(text: &str, from: usize) -> Option<Finding> {
    let bytes = text.as_bytes();
    let mut place = from;
    loop {
        let start = place + bytes[place..].iter().position(u8::is_ascii_digit)?;
        let end = run_end(bytes, start);
        if may_begin(text, start)
            && let Some((end, word)) = recognise(text, start, end)
        {
            return Some(Finding { start, end, word });
        }
        place = end;
    }
}

/// The first IBAN from a place on.
pub(super) fn next_iban(text: &str, from: usize) -> Option<Finding> {
    let bytes = text.as_bytes();
    // The check digits are looked for, since digits are rarer than letters.
    let mut place = from + 2;
    while place + 2 <= bytes.len() {
        let start = place - 2;
        if bytes[start].is_ascii_alphabetic()
            && bytes[start + 1].is_ascii_alphabetic()
            && bytes[place].is_ascii_digit()
            && bytes[place + 1].is_ascii_digit()
            && !text[..start].chars().next_back().is_some_and(char::is_alphanumeric)
            && let Some(end) = iban_end(text, start)
        {
            return Some(Finding { start, end, word: IBAN });
        }
        place += 1;
    }
    None
}

fn run_end(bytes: &[u8], start: usize) -> usize {
    bytes[start..].iter().position(|byte| !byte.is_ascii_digit()).map_or(bytes.len(), |length| start + length)
}

/// A number begins where no letter runs into it (a run inside a hash or a token is no number) and where it isn't the
/// fraction of another one. A comma parts the members of a list more often than it begins a fraction of eleven digits.
/// The letter of an escape such as `\n` doesn't belong to the number.
fn may_begin(text: &str, start: usize) -> bool {
    let before = &text[..start];
    let mut signs = before.chars().rev();
    match (signs.next(), signs.next()) {
        (Some('n' | 'r' | 't'), Some('\\')) | (None, _) => true,
        (Some('.'), Some('0'..='9')) => {
            let whole = before.bytes().rev().skip(1).take(4).take_while(u8::is_ascii_digit).count();
            whole > 3
        }
        (Some(neighbour), _) => !neighbour.is_alphanumeric(),
    }
}

/// A number ends where no letter and no digit follows.
fn may_end(text: &str, end: usize) -> bool {
    !text[end..].chars().next().is_some_and(char::is_alphanumeric)
}

/// Says what begins with the run of digits `start..end`, and where it ends.
fn recognise(text: &str, start: usize, end: usize) -> Option<(usize, &'static str)> {
    let first = &text[start..end];
    match first.len() {
        11 | 13..=19 if may_end(text, end) => Some((end, whole(first)?)),
        6 => {
            let rest = grouped(text, end, &[5])?;
            (rest.separator != '.' && is_identity_number(&rest.after(first))).then_some((rest.end, IDENTITY))
        }
        4 => {
            if let Some(rest) = grouped(text, end, &[2, 5])
                && rest.separator != '-'
                && is_account_number(&rest.after(first))
            {
                return Some((rest.end, ACCOUNT));
            }
            [&[4, 4, 4, 3][..], &[4, 4, 4], &[6, 5], &[6, 4]].into_iter().find_map(|shape| {
                let rest = grouped(text, end, shape)?;
                (rest.separator != '.' && is_card_number(&rest.after(first))).then_some((rest.end, CARD))
            })
        }
        _ => None,
    }
}

/// What a number written in one piece is.
fn whole(digits: &str) -> Option<&'static str> {
    // An identity number has an account number's check digit too, so it is asked for first.
    if is_identity_number(digits) {
        Some(IDENTITY)
    } else if is_account_number(digits) {
        Some(ACCOUNT)
    } else if is_card_number(digits) {
        Some(CARD)
    } else {
        None
    }
}

/// The groups of digits that follow a number's first one.
struct Rest {
    digits: String,
    separator: char,
    end: usize,
}

impl Rest {
    fn after(&self, first: &str) -> String {
        [first, &self.digits].concat()
    }
}

/// Reads groups of just these lengths, all with the same separator before them. Bounded by the shape's length.
fn grouped(text: &str, from: usize, shape: &[usize]) -> Option<Rest> {
    let separator = text[from..].chars().next().filter(|c| matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '.' | '-'))?;
    let mut rest = Rest { digits: String::new(), separator, end: from };
    for length in shape {
        let group = text[rest.end..].strip_prefix(separator)?;
        let digits = group.get(..*length).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        if group.as_bytes().get(*length).is_some_and(u8::is_ascii_digit) {
            return None;
        }
        rest.digits.push_str(digits);
        rest.end += separator.len_utf8() + length;
    }
    may_end(text, rest.end).then_some(rest)
}

fn weighted(digits: &str, weights: &[u32]) -> u32 {
    digits.bytes().zip(weights).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum()
}

/// Both check digits, and a day and month that exist: with 40 added to the day for D-numbers, and 40 or 80 to the
/// month for synthetic persons.
fn is_identity_number(digits: &str) -> bool {
    if digits.len() != 11 {
        return false;
    }
    let two = |place: usize| weighted(&digits[place..place + 2], &[10, 1]);
    matches!(two(0), 1..=31 | 41..=71)
        && matches!(two(2), 1..=12 | 41..=52 | 81..=92)
        && weighted(digits, &[3, 7, 6, 1, 8, 9, 4, 5, 2, 1]).is_multiple_of(11)
        && weighted(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// Eleven digits of which the last one checks the others, modulo 11.
fn is_account_number(digits: &str) -> bool {
    digits.len() == 11 && weighted(digits, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11)
}

/// A length and beginning that a card scheme uses, and the check digit of Luhn. Without the beginning, every tenth
/// timestamp and every payment reference (KID) would be taken for a card.
fn is_card_number(digits: &str) -> bool {
    let length = digits.len();
    if !(13..=19).contains(&length) {
        return false;
    }
    let scheme = match weighted(&digits[..4], &[1000, 100, 10, 1]) {
        2221..=2720 | 5100..=5599 => length == 16,
        3400..=3499 | 3700..=3799 => length == 15,
        3000..=3059 | 3600..=3699 | 3800..=3999 => length == 14 || length == 16,
        3528..=3589 => length >= 16,
        4000..=4999 => matches!(length, 13 | 16 | 19),
        5000..=5099 | 5600..=5899 | 6000..=6999 => length >= 13,
        _ => false,
    };
    scheme && luhn(digits)
}

fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(digit - b'0')) {
            (0, value) => value,
            (_, value) if value > 4 => 2 * value - 9,
            (_, value) => 2 * value,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Lengths of an IBAN by country (the IBAN registry).
const IBAN_LENGTHS: [(usize, &[&str]); 18] = [
    (15, &["NO"]),
    (16, &["BE"]),
    (18, &["DK", "FI", "FK", "FO", "GL", "NL", "SD"]),
    (19, &["MK", "SI"]),
    (20, &["AT", "BA", "EE", "KZ", "LT", "LU", "MN", "XK"]),
    (21, &["CH", "HR", "LI", "LV"]),
    (22, &["BG", "BH", "CR", "DE", "GB", "GE", "IE", "ME", "RS", "VA"]),
    (23, &["AE", "GI", "IL", "IQ", "OM", "SO", "TL"]),
    (24, &["AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"]),
    (25, &["LY", "PT", "ST"]),
    (26, &["IS", "TR"]),
    (27, &["BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"]),
    (28, &["AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"]),
    (29, &["BR", "EG", "PS", "QA", "UA"]),
    (30, &["JO", "KW", "MU", "YE"]),
    (31, &["MT", "SC"]),
    (32, &["LC"]),
    (33, &["RU"]),
];

/// Where the IBAN ends that begins at a place, written in one piece or in groups.
fn iban_end(text: &str, start: usize) -> Option<usize> {
    let country = text[start..start + 2].to_ascii_uppercase();
    let (length, _) = IBAN_LENGTHS.iter().find(|(_, countries)| countries.contains(&country.as_str()))?;
    let mut signs = Vec::with_capacity(*length);
    let mut end = start;
    let mut gap = false;
    for sign in text[start..].chars() {
        if sign.is_ascii_alphanumeric() {
            signs.push(sign.to_ascii_uppercase());
            gap = false;
        } else if matches!(sign, ' ' | '\u{a0}' | '\u{202f}') && !gap {
            gap = true;
        } else {
            return None;
        }
        end += sign.len_utf8();
        if signs.len() == *length {
            break;
        }
    }
    let complete = signs.len() == *length && !text[end..].chars().next().is_some_and(char::is_alphanumeric);
    (complete && iban_remainder(&signs) == 1).then_some(end)
}

/// ISO 7064 mod 97-10, with the country and check digits moved to the end.
fn iban_remainder(signs: &[char]) -> u32 {
    signs.iter().cycle().skip(4).take(signs.len()).fold(0, |remainder, sign| {
        let value = sign.to_digit(36).unwrap_or(0);
        let shift = if value > 9 { 100 } else { 10 };
        (remainder * shift + value) % 97
    })
}
