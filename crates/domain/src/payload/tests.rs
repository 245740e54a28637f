use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The canonical bytes, for vectors that give those and not a hash.
fn canonical(text: &str) -> String {
    let value: Value = serde_json::from_str(text).unwrap();
    let bytes = serde_json_canonicalizer::to_vec(&value).unwrap();
    assert_eq!(payload_hash(&value), sha256_hex(&bytes));
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_example_of_rfc_8785() {
    let text = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#,
    );
    assert_eq!(canonical(text), expected);
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(payload_hash(&value), "2d5e01a318d0f0879ab568c4be289c8b1f64ef8921a53c6277d5e069978baacb");
}

#[test]
fn members_are_sorted_as_rfc_8785_says() {
    let text = r#"{
        "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control\u007f", "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(payload_hash(&value), "741eb039ec942f906d981b7a59f8fc4e2394b27b88d0947677f244132433a649");
}

#[test]
fn numbers_are_written_as_rfc_8785_says() {
    for (number, text) in [
        ("0", "0"),
        ("-0.0", "0"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("9007199254740992", "9007199254740992"),
        ("295147905179352830000", "295147905179352830000"),
        ("9.999999999999997e22", "9.999999999999997e+22"),
        ("1e23", "1e+23"),
        ("999999999999999900000", "999999999999999900000"),
        ("1e21", "1e+21"),
        ("9.999999999999997e-7", "9.999999999999997e-7"),
        ("0.000001", "0.000001"),
        ("333333333.33333325", "333333333.33333325"),
        ("1424953923781206.2", "1424953923781206.2"),
        ("1250.00", "1250"),
    ] {
        assert_eq!(canonical(number), text);
    }
}

#[test]
fn a_hash_is_64_lower_case_hexadecimal_characters() {
    let hash = payload_hash(&json!({}));
    assert_eq!(hash, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
    assert!(is_payload_hash(&hash));
    for other in [String::new(), hash.to_uppercase(), hash[1..].to_owned(), format!("{hash}0"), hash.replace('4', "g")]
    {
        assert!(!is_payload_hash(&other), "{other}");
    }
    assert!(!is_payload_hash(&"é".repeat(32)));
}

proptest! {
    #[test]
    fn order_of_members_does_not_matter_and_values_do(members in prop::collection::btree_map("[a-zæøå]{1,6}", any::<i32>(), 1..8)) {
        let pairs: Vec<_> = members.iter().map(|(name, value)| format!("{name:?}: {value}")).collect();
        let backwards: Vec<_> = pairs.iter().rev().cloned().collect();
        let hash = |pairs: &[String]| payload_hash(&serde_json::from_str(&format!("{{{}}}", pairs.join(", "))).unwrap());
        prop_assert_eq!(hash(&pairs), hash(&backwards));
        let mut other = members.clone();
        for value in other.values_mut() {
            *value = value.wrapping_add(1);
        }
        prop_assert_ne!(payload_hash(&json!(members)), payload_hash(&json!(other)));
    }
}
