//! Language and colours, chosen per person and remembered by the browser for the sign-in page.

use leptos::prelude::*;

use crate::browser;
use crate::i18n::Locale;
use crate::text;

/// Light or dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// As the system says.
    Auto,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// Designsystemet's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// From Designsystemet's word.
    pub fn parse(word: &str) -> Self {
        match word {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Auto,
        }
    }
}

/// What the person prefers.
#[derive(Clone, Copy)]
pub struct Prefs {
    /// The language; the view is built anew when it changes.
    pub locale: RwSignal<Locale>,
    /// Light or dark.
    pub theme: RwSignal<Theme>,
}

impl Prefs {
    /// What was remembered, or else what the browser asks for.
    pub fn new() -> Self {
        let tag = browser::remembered("language").unwrap_or_else(browser::language);
        let locale = text::locale_for(&tag);
        text::set_locale(locale);
        browser::set_root("lang", text::code(locale));
        let theme = Theme::parse(&browser::remembered("color-scheme").unwrap_or_default());
        browser::set_root("data-color-scheme", theme.as_str());
        Self { locale: RwSignal::new(locale), theme: RwSignal::new(theme) }
    }

    /// Switches the language.
    pub fn speak(self, locale: Locale) {
        browser::remember("language", text::code(locale));
        if self.locale.get_untracked() == locale {
            return;
        }
        text::set_locale(locale);
        crate::format::forget();
        browser::set_root("lang", text::code(locale));
        self.locale.set(locale);
    }

    /// Takes over the language that the server knows.
    pub fn adopt(self, code: &str) {
        self.speak(text::locale_for(code));
    }

    /// Switches the colours.
    pub fn paint(self, theme: Theme) {
        browser::remember("color-scheme", theme.as_str());
        browser::set_root("data-color-scheme", theme.as_str());
        self.theme.set(theme);
    }
}

/// The preferences, from any component.
pub fn use_prefs() -> Prefs {
    expect_context::<Prefs>()
}
