//! The language in use, and the macro that says things in it.
//!
//! The whole view is built anew when the language changes, so texts are plain strings and not signals.

use std::cell::Cell;

use crate::i18n::Locale;

thread_local! {
    static LOCALE: Cell<Locale> = const { Cell::new(Locale::en) };
}

/// The language in use.
pub fn locale() -> Locale {
    LOCALE.get()
}

/// Switches the language; the caller rebuilds the view.
pub fn set_locale(locale: Locale) {
    LOCALE.set(locale);
}

/// The BCP 47 tag of the language in use, for `Intl` and the `lang` attribute.
pub fn tag() -> &'static str {
    match locale() {
        Locale::en => "en-GB",
        Locale::nb => "nb-NO",
    }
}

/// The language's short code, as the API knows it.
pub const fn code(locale: Locale) -> &'static str {
    match locale {
        Locale::en => "en",
        Locale::nb => "nb",
    }
}

/// The language that best fits a tag such as `no`, `nn-NO` or `en-US`.
pub fn locale_for(tag: &str) -> Locale {
    match tag.split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "nb" | "no" | "nn" => Locale::nb,
        _ => Locale::en,
    }
}

/// A text in the language in use: `tr!(retry.button)`, `tr!(count.records, count = 3, n = "3")`.
macro_rules! tr {
    ($($key:tt)*) => {
        ::std::string::ToString::to_string(&::leptos_i18n::td_string!($crate::text::locale(), $($key)*))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_norwegian_tag_gets_bokmaal() {
        for tag in ["nb", "nb-NO", "no", "nn-NO", "NB-no"] {
            assert_eq!(locale_for(tag), Locale::nb, "{tag}");
        }
        assert_eq!(locale_for("de-DE"), Locale::en);
    }

    #[test]
    fn plurals_follow_the_language() {
        set_locale(Locale::nb);
        assert_eq!(tr!(count.records, count = 1_i64, n = "1"), "1 post");
        assert_eq!(tr!(count.records, count = 12_i64, n = "12"), "12 poster");
        set_locale(Locale::en);
        assert_eq!(tr!(count.records, count = 1_i64, n = "1"), "1 record");
    }
}
