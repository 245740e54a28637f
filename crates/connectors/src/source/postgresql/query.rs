//! What a query is as far as that can be seen without asking a database: so that who saves it is told at once.
//!
//! None of this is what keeps a query from doing harm. That is the database's own doing: see [`session`](super::session).

/// The query as it is asked: so many records at most whose ids come after `$2`, in the order of their ids.
///
/// The order and the end are Syncwatch's: a query cannot forget them, and a list cannot go on where it was. The record is
/// made JSON once, and only where it is within the page. A comment at a query's end ends with its line.
pub(super) fn of_list(query: &str, most: usize) -> String {
    told(&format!(
        "SELECT q.* FROM (\n{query}\n) AS q WHERE $2::pg_catalog.uuid IS NULL OR q.id > $2 ORDER BY q.id LIMIT {most}"
    ))
}

/// The query as it is asked: two records at most, to see whether it is about one.
pub(super) fn of_record(query: &str) -> String {
    told(&format!("SELECT q.* FROM (\n{query}\n) AS q LIMIT 2"))
}

/// Rows in the form in which they are read: an amount keeps every digit.
fn told(rows: &str) -> String {
    format!(
        "
        SELECT page.id::pg_catalog.uuid, said.record ->> 'label', said.record ->> 'amount', said.record ->> 'currency',
            (said.record - ARRAY['id', 'label', 'amount', 'currency'])::pg_catalog.text
        FROM ({rows}) AS page
        CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(page.*) AS record OFFSET 0) AS said
        ORDER BY page.id
        "
    )
}

/// What is seen of a query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The numbers of its parameters.
    pub(super) parameters: Vec<u32>,
    /// Whether it takes only some of its rows, by their number: by LIMIT, OFFSET or FETCH. These are reserved, so that a
    /// column by such a name stands behind AS or a point.
    pub(super) is_cut_short: bool,
}

/// Looks through a query, or says why it is none that only reads.
pub(super) fn seen(query: &str) -> Result<Seen, &'static str> {
    const PARENTHESES: &str = "a query whose parentheses are closed";
    if query.contains('\0') {
        return Err("a query without null characters");
    }
    let mut seen = Seen::default();
    let mut begun = false;
    // What is asked stands around the query, in parentheses that are not its own to close.
    let mut depth = 0_usize;
    let mut names = false;
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        rest = if first.is_whitespace() {
            after
        } else if rest.starts_with("--") {
            rest.find(['\n', '\r']).map_or("", |end| &rest[end..])
        } else if let Some(comment) = rest.strip_prefix("/*") {
            after_comment(comment).ok_or("a query whose comments are closed")?
        } else {
            let (word, after) = match first {
                ';' => return Err("one query, without a semicolon"),
                '(' => {
                    depth += 1;
                    ("", Some(after))
                }
                ')' => {
                    depth = depth.checked_sub(1).ok_or(PARENTHESES)?;
                    ("", Some(after))
                }
                '\'' | '"' => ("", after_quote(after, first, false)),
                '$' => ("", after_dollar(after, &mut seen.parameters)),
                _ if is_part_of_word(first) => {
                    let (word, after) = rest.split_at(rest.find(|c: char| !is_part_of_word(c)).unwrap_or(rest.len()));
                    match after.strip_prefix('\'') {
                        Some(quoted) if word.eq_ignore_ascii_case("e") => (word, after_quote(quoted, '\'', true)),
                        _ => (word, Some(after)),
                    }
                }
                _ => ("", Some(after)),
            };
            let is_one_of = |known: &[&str]| known.iter().any(|known| word.eq_ignore_ascii_case(known));
            if !begun && !is_one_of(&["select", "with"]) {
                return Err("a query that begins with SELECT or WITH");
            }
            begun = true;
            seen.is_cut_short |= depth == 0 && !names && is_one_of(&["limit", "offset", "fetch"]);
            names = first == '.' || is_one_of(&["as"]);
            after.ok_or("a query whose quotes are closed")?
        };
    }
    if !begun {
        return Err("a query that begins with SELECT or WITH");
    }
    if depth == 0 { Ok(seen) } else { Err(PARENTHESES) }
}

const fn is_part_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// What comes after a quoted text; nothing where it does not end.
fn after_quote(text: &str, quote: char, escapes: bool) -> Option<&str> {
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        if escapes && c == '\\' {
            characters.next();
        } else if c == quote {
            let after = &text[at + 1..];
            if !after.starts_with(quote) {
                return Some(after);
            }
            characters.next();
        }
    }
    None
}

/// What comes after a parameter, or a text between dollars.
fn after_dollar<'a>(text: &'a str, parameters: &mut Vec<u32>) -> Option<&'a str> {
    let (digits, after) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    if !digits.is_empty() {
        parameters.push(digits.parse().unwrap_or(u32::MAX));
        return Some(after);
    }
    match text.split_once('$') {
        Some((tag, quoted)) if tag.chars().all(is_part_of_word) => {
            quoted.split_once(&format!("${tag}$")).map(|(_, after)| after)
        }
        _ => Some(text),
    }
}

/// What comes after a comment, which may hold others.
fn after_comment(mut text: &str) -> Option<&str> {
    let mut depth = 1_u32;
    loop {
        text = &text[text.find(['*', '/'])?..];
        if let Some(after) = text.strip_prefix("*/") {
            depth -= 1;
            text = after;
        } else if let Some(after) = text.strip_prefix("/*") {
            depth += 1;
            text = after;
        } else {
            text = &text[1..];
        }
        if depth == 0 {
            return Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameters(query: &str) -> Result<Vec<u32>, &'static str> {
        seen(query).map(|seen| seen.parameters)
    }

    proptest! {
        #[test]
        fn nothing_follows_a_query(text in "(SELECT |WITH )[a-e0-9 '\"$*/\\\\\n-]{0,40}") {
            if seen(&text).is_ok() {
                let two = format!("{text}\n; DELETE FROM claims");
                prop_assert_eq!(seen(&two), Err("one query, without a semicolon"));
            }
        }

        #[test]
        fn what_is_quoted_is_not_read(inside in "[a-z;$0-9 \"-]{0,30}") {
            let query = format!("SELECT '{inside}', $1");
            prop_assert_eq!(parameters(&query), Ok(vec![1]));
        }
    }

    #[test]
    fn queries_that_read_pass_with_their_parameters() {
        let cases: [(&str, &[u32]); 9] = [
            ("SELECT 1", &[]),
            ("  -- the claims; all of them\n\tselect id FROM claims WHERE changed_at >= $1", &[1]),
            ("/* a /* b; */ c */ WITH c AS (SELECT $1::uuid) SELECT $12 FROM c -- ;", &[1, 12]),
            ("SELECT 'it''s; $1', \"a;\"\"b\", E'\\';$2', $$;$3$$, $q$ $$; $q$, a$1 FROM t", &[]),
            ("SELECT '\\' || $1", &[1]),
            ("SELECT æ$1, $1 FROM ø", &[1]),
            ("SELECT 5 / 2 * 3 - -1", &[]),
            ("SELECT $99999999999", &[u32::MAX]),
            ("SELECT U&'d\\0061t;a'", &[]),
        ];
        for (query, expected) in cases {
            assert_eq!(parameters(query).as_deref(), Ok(expected), "{query}");
        }
    }

    #[test]
    fn a_query_that_takes_only_some_of_its_rows_shows() {
        let cut_short = [
            "SELECT id FROM claims ORDER BY changed_at LIMIT 100",
            "SELECT id FROM claims offset 5",
            "WITH c AS (SELECT id FROM claims) SELECT id FROM c FETCH/* */FIRST 5 ROWS ONLY",
            "SELECT max AS limit FROM claims LIMIT 5",
        ];
        for query in cut_short {
            assert!(seen(query).unwrap().is_cut_short, "{query}");
        }
        let whole = [
            "SELECT id, max AS limit, c.offset, c . fetch, \"limit\", 'limit 1' FROM claims c -- LIMIT 1",
            "SELECT id, (SELECT name FROM members ORDER BY name LIMIT 1) AS member FROM claims",
            "SELECT id, limits, credit_limit AS /* the */ LIMIT FROM claims",
        ];
        for query in whole {
            assert!(!seen(query).unwrap().is_cut_short, "{query}");
        }
    }

    #[test]
    fn what_is_not_one_reading_query_is_refused() {
        let cases = [
            ("SELECT 1;", "semicolon"),
            ("SELECT 1; DELETE FROM claims", "semicolon"),
            ("SELECT E'\\\\'; DROP TABLE claims", "semicolon"),
            ("SELECT $a$ $b$ $a$; SELECT 2", "semicolon"),
            ("DELETE FROM claims", "SELECT or WITH"),
            ("SELECTED", "SELECT or WITH"),
            ("(SELECT 1)", "SELECT or WITH"),
            ("'SELECT'", "SELECT or WITH"),
            ("-- SELECT 1", "SELECT or WITH"),
            ("SELECT 'a", "quotes"),
            ("SELECT \"a", "quotes"),
            ("SELECT $a$ $b$", "quotes"),
            ("SELECT E'\\'", "quotes"),
            ("SELECT /* /* */", "comments"),
            ("SELECT 1) AS q, (SELECT 1", "parentheses"),
            ("SELECT ')', (1 -- )", "parentheses"),
            ("SELECT '\0'", "null"),
        ];
        for (query, expected) in cases {
            assert!(seen(query).unwrap_err().contains(expected), "{query}");
        }
    }
}
