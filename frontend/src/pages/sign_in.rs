//! Signing in.

use leptos::prelude::*;

use crate::components::LoginForm;
use crate::i18n::Locale;
use crate::prefs::use_prefs;
use crate::text;

/// The sign-in page. Who has signed in is led to the address they came for by the router.
#[component]
pub fn SignIn() -> impl IntoView {
    let prefs = use_prefs();
    super::titled(|| tr!(login.title));
    let language = |(locale, name): (Locale, &'static str)| {
        view! {
            <button type="button" class="ds-button" data-variant="tertiary" data-size="sm" lang=text::code(locale)
                aria-pressed=(text::locale() == locale).to_string() on:click=move |_| prefs.speak(locale)>
                {name}
            </button>
        }
    };
    view! {
        <main id="main" class="sign-in" tabindex="-1">
            <div class="ds-card sign-in-card">
                <div class="stack">
                    <div class="sign-in-brand">
                        <svg viewBox="0 0 32 32" width="48" height="48" aria-hidden="true" focusable="false">
                            <rect width="32" height="32" rx="8" class="brand-tile" />
                            <path d="M6 17h5l3-8 5 14 3-6h4" class="brand-line" />
                        </svg>
                        <div>
                            <h1 class="ds-heading" data-size="sm">{tr!(login.title)}</h1>
                            <p class="subtle">{tr!(login.tagline)}</p>
                        </div>
                    </div>
                    <LoginForm done=move |()| {} />
                    <div class="actions center" role="group" aria-label=tr!(menu.language)>
                        {text::LANGUAGES.map(language).collect_view()}
                    </div>
                </div>
            </div>
        </main>
    }
}
