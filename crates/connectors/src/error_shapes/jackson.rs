//! What Jackson says of a document that it cannot read into an object: the place and the refused value stand only in the
//! sentence, and Spring hands the sentence on.

use super::{MAX_SEGMENTS, Segment, path};

/// Before the way to the member, each step as `Type["member"]` or `Type[2]`.
const CHAIN: &str = "(through reference chain: ";
/// Before what Spring appends to its own sentence, which is Jackson's again.
const NESTED: &str = "; nested exception is ";
/// Before where it was read, which may quote the whole document.
const SOURCE: &str = "\n at [";
/// Before the refused value, between the marks that end it.
const ECHOES: [(&str, &str, char); 2] = [(" from String", " \"", '"'), ("Unrecognized token", " '", '\'')];

/// The way to the refused member.
pub(super) fn place(message: &str) -> Option<Vec<Segment>> {
    let mut rest = message.split_once(CHAIN)?.1;
    let mut found = Vec::new();
    while found.len() < MAX_SEGMENTS
        && let Some((_, after)) = rest.split_once('[')
    {
        let (named, behind) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once("\"]")?,
            None => after.split_once(']')?,
        };
        found.push(path::step(named));
        match behind.strip_prefix("->") {
            Some(further) => rest = further,
            None => break,
        }
    }
    (!found.is_empty()).then_some(found)
}

/// The sentence without the value that it quotes, without the document, and said once; `None` if it is not Jackson's.
pub(super) fn without_echo(message: &str) -> Option<String> {
    let source = message.find(SOURCE);
    let nested = message.find(NESTED).filter(|_| source.is_some() || message.contains(CHAIN));
    let end = [source, nested].into_iter().flatten().min();
    let said = &message[..end.unwrap_or(message.len())];
    let quoted = ECHOES.iter().find_map(|(before, open, close)| {
        let (start, value) = said.split_once(&format!("{before}{open}"))?;
        // The last of its mark: the value may hold the same. Without one the sentence was cut within the value.
        let behind = value.rfind(&format!("{close}:")).map_or("", |at| &value[at + close.len_utf8()..]);
        Some(format!("{start}{before}{behind}"))
    });
    quoted.or_else(|| end.map(|_| said.to_owned()))
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
    fn a_refused_value_is_not_kept_whatever_it_holds() {
        for value in ["S3CRET", "S3CRET\": a", "a \"S3CRET\"", ""] {
            let once = format!("{NUMBER} \"{value}\": not a valid representation");
            let twice = format!("JSON parse error: {once}{NESTED}x: {once}\n at [] {CHAIN}Claim[\"amount\"])");
            for (said, before) in [(&once, ""), (&twice, "JSON parse error: ")] {
                let kept = without_echo(said).unwrap();
                assert_eq!(kept, format!("{before}{NUMBER}: not a valid representation"), "{said}");
            }
        }
        let token = without_echo("JSON parse error: Unrecognized token 'S3CRET': was expecting JSON");
        assert_eq!(token.unwrap(), "JSON parse error: Unrecognized token: was expecting JSON");
        let cut = without_echo(&format!("{NUMBER} \"S3CRET, and the sentence was cut")).unwrap();
        assert_eq!(cut, NUMBER);
        let source = without_echo("No content\n at [Source: (String)\"S3CRET\"; line: 1, column: 0]").unwrap();
        assert_eq!(source, "No content");
        assert_eq!(without_echo("it was not taken; nested exception is one of String \"x\""), None);
    }
}
