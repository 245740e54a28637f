//! The dashboard: a client-side Leptos application that talks to the API and to nothing else.

include!(concat!(env!("OUT_DIR"), "/i18n/mod.rs"));

#[macro_use]
mod text;

mod api;
mod app;
mod browser;
mod chart;
mod components;
mod format;
mod history;
mod lights;
mod live;
mod page;
mod pages;
mod prefs;
mod remote;
mod sentence;
mod session;
mod spark;

fn main() {
    console_error_panic_hook::set_once();
    leptos::mount::mount_to_body(app::App);
}
