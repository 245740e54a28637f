//! The bar on top of every page.

use leptos::prelude::*;

use super::bell::Bell;
use super::connection::Connection;
use super::menu::Menu;
use crate::page::Page;
use crate::session::use_session;

/// The product, the organization, the connection, the bell and the person.
#[component]
pub fn Header() -> impl IntoView {
    let session = use_session();
    let organization = move || session.me.with(|me| me.as_ref().map(|me| me.organization.name.clone()));
    view! {
        <header class="site-header">
            <div class="site-header-inner">
                <a class="brand" href=Page::Integrations.path()>
                    <svg viewBox="0 0 32 32" width="32" height="32" aria-hidden="true" focusable="false">
                        <rect width="32" height="32" rx="8" class="brand-tile" />
                        <path d="M6 17h5l3-8 5 14 3-6h4" class="brand-line" />
                    </svg>
                    <span>"Syncwatch"</span>
                </a>
                <span class="organization" data-testid="organization">{organization}</span>
                <nav class="header-tools" aria-label=tr!(header.tools)>
                    <Connection />
                    <Bell />
                    <Menu />
                </nav>
            </div>
        </header>
    }
}
