use std::time::Instant;

use proptest::prelude::*;

use super::*;

#[test]
fn personal_data_gives_way_to_words() {
    for (text, clean) in [
        // Synthetic identity numbers (month + 80, + 40), an ordinary form and a D-number.
        ("Person 01010750160 is unknown", "Person [identity number] is unknown"),
        ("Person 010107 50160 is unknown", "Person [identity number] is unknown"),
        ("Person 010107\u{a0}50160.", "Person [identity number]."),
        ("fnr=01010750160&x=1", "fnr=[identity number]&x=1"),
        ("line\\n01010750160\\nline", "line\\n[identity number]\\nline"),
        // Accounts.
        ("konto 1234.56.78903 finnes ikke", "konto [account number] finnes ikke"),
        ("konto 1234 56 78903 finnes ikke", "konto [account number] finnes ikke"),
        ("konto 12345678903, takk", "konto [account number], takk"),
        ("konto:12345678903.", "konto:[account number]."),
        // IBANs.
        ("IBAN NO9386011117947 is closed", "IBAN [iban] is closed"),
        ("IBAN NO93 8601 1117 947 is closed", "IBAN [iban] is closed"),
        ("no93 8601 1117 947", "[iban]"),
        ("(GB82WEST12345698765432)", "([iban])"),
        ("DE89 3704 0044 0532 0130 00;", "[iban];"),
        ("BE68 5390 0754 7034", "[iban]"),
        ("MT84MALT011000012345MTLCAST001S", "[iban]"),
        // E-mail.
        ("Kari <kari.nordmann+app@example.no>", "Kari <[e-mail]>"),
        ("mailto:ola@sub.example.co.uk.", "mailto:[e-mail]."),
        ("user=ola%40example.com", "user=[e-mail]"),
        ("kåre@blåbær.no finnes fra før", "[e-mail] finnes fra før"),
        ("a@b.no,c@d.no", "[e-mail],[e-mail]"),
        // Cards.
        ("card 4111111111111111 declined", "card [card number] declined"),
        ("card 4111 1111 1111 1111 declined", "card [card number] declined"),
        ("card 4111-1111-1111-1111", "card [card number]"),
        ("378282246310005", "[card number]"),
        ("3782 822463 10005", "[card number]"),
        ("5555555555554444 / 2223003122003222", "[card number] / [card number]"),
        // Several, beside other numbers.
        ("2 010107 50160 7", "2 [identity number] 7"),
        ("01010750160 12345678903", "[identity number] [account number]"),
        ("[01010750160,12345678903]", "[[identity number],[account number]]"),
        ("9999,12345678903,Kari;1043.12345678903", "9999,[account number],Kari;1043.[account number]"),
    ] {
        assert_eq!(redact(text), clean);
    }
}

#[test]
fn what_the_reader_needs_stays() {
    for text in [
        "",
        "Invalid cost center code: 9999",
        "Invoice 20261043 from 2026-11-20 is missing",
        "KID 1234567890128, faktura 100023",
        "2026-11-20T13:03:11.123456Z",
        "20.11.2026 13:03:11",
        "1700000000000 and 1700000000000000000",
        "20261121033800",
        "00000000-0000-0000-0000-000000000000",
        "0192f0c1-1234-7234-8234-411111111111",
        "550e8400-e29b-41d4-a716-446655440000",
        "D0 93860111179470000000",
        "organization 123 456 785, phone +47 22 33 44 55",
        "amount 1234567890.50 and 1234567890,50",
        "factor 0.12345678903",
        "a hash: 6bf12345678903f2",
        "12345678904",
        "01010750161",
        "010107 50161",
        "010107.50160",
        "1234-56-78903",
        "lodash@4.17.21 and @handle and a@b",
        "NO93 8601 1117 948",
        "4111111111111112",
        "[e-mail] [iban] [card number] [account number] [identity number]",
    ] {
        assert_eq!(redact(text), text);
    }
}

/// An identity number made of its parts, if the check digits exist.
fn identity_number(day: u32, month: u32, year: u32, individual: u32) -> Option<String> {
    let body = format!("{day:02}{month:02}{year:02}{individual:03}");
    let check = |text: &str, weights: &[u32]| {
        let sum: u32 = text.chars().zip(weights).map(|(c, w)| c.to_digit(10).unwrap_or(0) * w).sum();
        Some((11 - sum % 11) % 11).filter(|digit| *digit < 10)
    };
    let first = check(&body, &[3, 7, 6, 1, 8, 9, 4, 5, 2])?;
    let body = format!("{body}{first}");
    let second = check(&body, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2])?;
    Some(format!("{body}{second}"))
}

proptest! {
    #[test]
    fn every_identity_number_goes(
        day in 1_u32..29, month in 1_u32..13, year in 0_u32..100, individual in 0_u32..1000,
        d_number in any::<bool>(), synthetic in prop::sample::select(vec![0_u32, 40, 80]),
    ) {
        let day = if d_number { day + 40 } else { day };
        let number = identity_number(day, month + synthetic, year, individual);
        prop_assume!(number.is_some());
        let number = number.unwrap();
        prop_assert_eq!(redact(&format!("for {number}: no")), "for [identity number]: no");
        let (date, rest) = number.split_at(6);
        prop_assert_eq!(redact(&format!("for {date} {rest}: no")), "for [identity number]: no");
    }

    #[test]
    fn no_uuid_is_touched(bits in any::<u128>(), decimal in any::<bool>()) {
        let mut text = uuid::Uuid::from_u128(bits).to_string();
        if decimal {
            text = text.chars().map(|c| if c.is_ascii_alphabetic() { '4' } else { c }).collect();
        }
        prop_assert_eq!(redact(&text), text.clone());
        let braced = format!("({text})");
        prop_assert_eq!(redact(&braced), braced);
    }

    #[test]
    fn no_short_number_and_no_date_is_touched(number in 0_u64..10_000_000_000, y in 1900..2100, m in 1..13, d in 1..29) {
        for text in [format!("{number}"), format!("{y}-{m:02}-{d:02}"), format!("{d:02}.{m:02}.{y}"), format!("{y}{m:02}{d:02}")] {
            prop_assert_eq!(redact(&text), text);
        }
    }

    #[test]
    fn any_text_is_bearable_and_clean_text_stays_clean(text in "\\PC{0,80}") {
        let once = redact(&text);
        prop_assert_eq!(redact(&once), once);
    }

    #[test]
    fn dense_texts_are_bearable(text in "[0-9a-fNOno @.%é\u{a0}\\\\-]{0,120}") {
        redact(&text);
    }
}

/// Ten times the text must not take much more than ten times as long, whatever the text is made of.
#[test]
fn time_grows_with_length_alone() {
    let large = 1_000_000;
    for seed in
        ["a", "1", "1 ", "4111 ", "a@", "a.", "a@b.", "a@b.no.1.", "NO93 ", "NO93", "no", "@", "é ", "0101075016"]
    {
        let text = seed.repeat(large / seed.len());
        let small = &text[..text.len() / 10 / seed.len() * seed.len()];
        let took = |text: &str| {
            let begin = Instant::now();
            std::hint::black_box(redact(text));
            begin.elapsed()
        };
        took(&text[..seed.len() * 1000]);
        // A machine that stands still for a moment spoils one measurement; what grows faster spoils every one.
        let spoilt: Vec<_> = (0..5)
            .map(|_| (took(small), took(&text)))
            .take_while(|(few, many)| many.as_millis() >= 100 + 40 * few.as_millis())
            .collect();
        assert!(spoilt.len() < 5, "{seed:?} grew from the former to the latter: {spoilt:?}");
    }
}
