//! What Jackson says of a document that it cannot read into an object: the place and the refused value stand only in the
//! sentence, and Spring hands the sentence on.

use super::{MAX_SEGMENTS, Segment, path};

/// Before the way to the member, each step as `Type["member"]` or `Type[2]`; it ends the sentence.
const CHAIN: &str = "(through reference chain: ";
/// Before where it was read, which may quote the whole document; and before the sentence when Spring says it again.
const AFTER: [&str; 2] = ["\n at [", "; nested exception is com.fasterxml.jackson."];
/// What a refused value follows, the value's own mark last.
const ECHOES: [&str; 9] = [
    " from String \"",
    " from String value (",
    " from String value \"",
    " from String value '",
    " from Number value (",
    "` from number ",
    " from Floating-point value (",
    "Numeric value (",
    "Unrecognized token '",
];
/// What may follow a refused value.
const REASONS: [&str; 3] =
    [": not a valid representation", " out of range", ": not one of the values accepted for Enum class"];
/// After the last of them, before the values that are accepted.
const ACCEPTED: &str = "accepted for Enum class: [";

/// The way to the refused member.
pub(super) fn place(message: &str) -> Option<Vec<Segment>> {
    let mut rest = message.trim_end().strip_suffix(')')?.rsplit_once(CHAIN)?.1;
    let mut found = Vec::new();
    while found.len() < MAX_SEGMENTS
        && let Some((_, mut after)) = rest.split_once('[')
    {
        // An array's type ends with brackets of its own.
        while let Some(further) = after.strip_prefix("][") {
            after = further;
        }
        let (named, behind) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once("\"]")?,
            None => after.split_once(']').filter(|(named, _)| *named != "?")?,
        };
        found.push(path::step(named));
        match behind.strip_prefix("->") {
            Some(further) => rest = further,
            None => break,
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The sentence without the value and the document that it quotes; `None` if there is neither.
pub(super) fn without_echo(message: &str) -> Option<String> {
    let end = AFTER.iter().filter_map(|mark| message.find(mark)).min();
    let said = &message[..end.unwrap_or(message.len())];
    let echo = ECHOES.iter().filter_map(|mark| said.find(mark).map(|at| at + mark.len())).min();
    let Some(echo) = echo else { return end.map(|_| said.to_owned()) };
    let (before, rest) = said.split_at(echo);
    // Of what follows only what it says anyway: the value may hold anything, and be cut anywhere.
    let reason = REASONS.iter().find(|reason| rest.contains(**reason)).copied().unwrap_or_default();
    let accepted = rest.rsplit_once(ACCEPTED).and_then(|(_, after)| Some(after.split_once(']')?.0));
    let accepted = accepted.map_or_else(String::new, |values| format!(": [{values}]"));
    let before = before.trim_end_matches(['"', '\'', '(', ' ']);
    Some(format!("{before}{reason}{accepted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: &str = "Cannot deserialize value of type `java.math.BigDecimal` from String";

    #[test]
    fn the_way_leads_through_lists_and_names_of_any_kind() {
        let cases = [
            ("Batch[\"items\"]->java.util.ArrayList[1]->Claim[\"amount\"]", "items.1.amount"),
            ("java.util.ArrayList[0]", "0"),
            ("Claim[\"cost center\"])", "cost center"),
            ("Object[][0]->Claim[\"lines\"]->Line[][2]->Line[\"amount\"]", "0.lines.2.amount"),
            ("Claim[\"lines\"]->java.util.HashSet[?]", ""),
            ("Claim", ""),
            ("Claim[\"amount", ""),
        ];
        for (chain, expected) in cases {
            let found = place(&format!("no {CHAIN}{chain})")).unwrap_or_default();
            assert_eq!(path::to_text(&found), expected, "{chain}");
        }
        assert_eq!(place("Claim[\"amount\"]"), None);
    }

    #[test]
    fn only_the_end_of_the_sentence_is_the_way() {
        let said = format!("of String \"{CHAIN}X[\"S3CRET\"])\": no {CHAIN}Claim[\"amount\"])");
        assert_eq!(path::to_text(&place(&said).unwrap()), "amount");
        assert_eq!(place(&format!("of String \"{CHAIN}X[\"S3CRET\"]), and cut")), None);
    }

    #[test]
    fn a_refused_value_is_not_kept_whatever_it_holds() {
        for value in ["S3CRET", "S3CRET\": a", "a \"S3CRET\"", "\n at [S3CRET", "; nested exception is S3CRET", ""] {
            let once = format!("{NUMBER} \"{value}\": not a valid representation");
            let twice = format!("JSON parse error: {once}; nested exception is com.fasterxml.jackson.X: {once}\n at [");
            for said in [&once, &twice] {
                let kept = without_echo(said).unwrap();
                assert!(kept.contains(NUMBER) && !kept.contains("S3CRET"), "{said}: {kept}");
            }
        }
        let cases = [
            (" \"S3CRET\": not a valid representation", ": not a valid representation"),
            (
                " \"S3CRET\": not one of the values accepted for Enum class: [NOK, SEK]",
                ": not one of the values accepted for Enum class: [NOK, SEK]",
            ),
            (
                " \"S3CRET\": Failed to deserialize java.time.LocalDate: Text 'S3CRET' could not be parsed at index 0",
                "",
            ),
            (" \"S3CRET, and the sentence was cut", ""),
            (" value ('S3CRET')", " value"),
        ];
        for (said, kept) in cases {
            assert_eq!(without_echo(&format!("{NUMBER}{said}")).unwrap(), format!("{NUMBER}{kept}"));
        }
        let cases = [
            ("Unrecognized token 'S3CRET': was expecting JSON", "Unrecognized token"),
            ("Numeric value (5550199) out of range of int", "Numeric value out of range"),
            ("No content\n at [Source: (String)\"S3CRET\"; line: 1, column: 0]", "No content"),
        ];
        for (said, kept) in cases {
            assert_eq!(without_echo(said).unwrap(), kept);
        }
        assert_eq!(without_echo("it was not taken; nested exception is one of String \"x\""), None);
    }
}
