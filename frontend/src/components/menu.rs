//! The person's own menu: language, colours, e-mail, sign out.

use api_types::auth::MePatch;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::icons::{Icon, icon};
use super::use_announcer;
use crate::prefs::{Theme, use_prefs};
use crate::session::use_session;
use crate::text;

/// A button with the person's name that opens their menu.
#[component]
pub fn Menu() -> impl IntoView {
    let session = use_session();
    let prefs = use_prefs();
    let announcer = use_announcer();
    let name = session.me.with_untracked(|me| me.as_ref().map(|me| me.name.clone())).unwrap_or_default();
    let email = session.me.with_untracked(|me| me.as_ref().and_then(|me| me.email.clone()));
    let told = RwSignal::new(session.me.with_untracked(|me| me.as_ref().is_some_and(|me| me.email_on_incident)));

    let save = move |patch: MePatch| {
        spawn_local(async move {
            match session.client().update_me(&patch).await {
                Ok(me) => session.me.set(Some(me)),
                Err(error) => announcer.say(error.title()),
            }
        });
    };
    let choose_language = move |event| {
        let locale = text::locale_for(&event_target_value(&event));
        save(MePatch { language: text::code(locale).parse().ok(), email_on_incident: None });
        prefs.speak(locale);
    };
    let choose_theme = move |event| prefs.paint(Theme::parse(&event_target_value(&event)));
    let choose_mail = move |event| {
        let wanted = event_target_checked(&event);
        told.set(wanted);
        save(MePatch { language: None, email_on_incident: Some(wanted) });
    };
    view! {
        <button type="button" class="ds-button header-button" data-variant="tertiary" data-color="neutral" popovertarget="profile-menu" data-testid="profile">
            {icon(Icon::Person)}
            <span class="header-name">{name.clone()}</span>
            <span class="ds-sr-only">{tr!(menu.open)}</span>
        </button>
        <div id="profile-menu" popover="auto" class="ds-dropdown profile-menu" role="group" aria-label=tr!(menu.title)>
            <div class="stack">
                <div>
                    <p class="strong">{name}</p>
                    {email.map(|email| view! { <p class="subtle break">{email}</p> })}
                </div>
                <div class="ds-field">
                    <label class="ds-label" for="menu-language">{tr!(menu.language)}</label>
                    <select class="ds-input" id="menu-language" on:change=choose_language>
                        {text::LANGUAGES
                            .map(|(locale, name)| {
                                let code = text::code(locale);
                                view! { <option value=code lang=code selected=text::locale() == locale>{name}</option> }
                            })
                            .collect_view()}
                    </select>
                </div>
                <div class="ds-field">
                    <label class="ds-label" for="menu-theme">{tr!(menu.theme)}</label>
                    <select class="ds-input" id="menu-theme" on:change=choose_theme>
                        {[(Theme::Auto, tr!(menu.theme_auto)), (Theme::Light, tr!(menu.theme_light)), (Theme::Dark, tr!(menu.theme_dark))]
                            .map(|(theme, word)| {
                                view! { <option value=theme.as_str() selected=prefs.theme.get_untracked() == theme>{word}</option> }
                            })
                            .collect_view()}
                    </select>
                </div>
                <div class="ds-field">
                    <input class="ds-input" type="checkbox" id="menu-mail" prop:checked=move || told.get() on:change=choose_mail />
                    <label class="ds-label" data-weight="regular" for="menu-mail">{tr!(menu.mail)}</label>
                </div>
                <button type="button" class="ds-button" data-variant="secondary" on:click=move |_| spawn_local(session.sign_out())>
                    {tr!(menu.sign_out)}
                </button>
            </div>
        </div>
    }
}
