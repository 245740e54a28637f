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

/// Every language by the name it has for itself.
pub const LANGUAGES: [(Locale, &str); 3] = [(Locale::nb, "Bokmål"), (Locale::nn, "Nynorsk"), (Locale::en, "English")];

/// BCP 47 tags of the language in use, for `Intl`: it takes the first it knows, and not every browser knows nynorsk.
pub fn tags() -> &'static [&'static str] {
    match locale() {
        Locale::en => &["en-GB"],
        Locale::nb => &["nb-NO"],
        Locale::nn => &["nn-NO", "nb-NO"],
    }
}

/// The language's short code, as the API knows it.
pub const fn code(locale: Locale) -> &'static str {
    match locale {
        Locale::en => "en",
        Locale::nb => "nb",
        Locale::nn => "nn",
    }
}

/// The language that best fits a tag such as `no`, `nn-NO` or `en-US`.
pub fn locale_for(tag: &str) -> Locale {
    match tag.split('-').next().unwrap_or_default().to_ascii_lowercase().as_str() {
        "nb" | "no" => Locale::nb,
        "nn" => Locale::nn,
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
    use domain::language::Language;

    use super::*;

    #[test]
    fn norwegian_is_bokmaal_unless_it_says_nynorsk() {
        for tag in ["nb", "nb-NO", "no", "NB-no"] {
            assert_eq!(locale_for(tag), Locale::nb, "{tag}");
        }
        for tag in ["nn", "nn-NO", "NN-no"] {
            assert_eq!(locale_for(tag), Locale::nn, "{tag}");
        }
        assert_eq!(locale_for("de-DE"), Locale::en);
    }

    #[test]
    fn every_language_can_be_chosen_and_is_one_of_the_apis() {
        let mut chosen: Vec<&str> = LANGUAGES.iter().map(|(locale, _)| code(*locale)).collect();
        chosen.sort_unstable();
        let known: Vec<&str> = Language::ALL.iter().map(|language| language.as_str()).collect();
        assert_eq!(chosen, known);
        for (locale, _) in LANGUAGES {
            assert_eq!(locale_for(code(locale)), locale);
        }
    }

    #[test]
    fn plurals_follow_the_language() {
        set_locale(Locale::nb);
        assert_eq!(tr!(count.records, count = 1_i64, n = "1"), "1 post");
        assert_eq!(tr!(count.records, count = 12_i64, n = "12"), "12 poster");
        set_locale(Locale::nn);
        assert_eq!(tr!(count.records, count = 1_i64, n = "1"), "1 post");
        assert_eq!(tr!(count.records, count = 12_i64, n = "12"), "12 postar");
        set_locale(Locale::en);
        assert_eq!(tr!(count.records, count = 1_i64, n = "1"), "1 record");
    }
}
