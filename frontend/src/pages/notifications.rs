//! In-app notifications, newest first.

use api_types::notifications::{Notification, NotificationPage};
use domain::notification::NoticeKind;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use crate::api::ApiError;
use crate::components::{Ago, ErrorView, Loaded, Unread, use_announcer};
use crate::format::Intl;
use crate::live::use_live;
use crate::page::Page;
use crate::remote::Remote;
use crate::sentence;
use crate::session::use_session;

/// The list of notifications.
#[component]
pub fn NotificationsPage() -> impl IntoView {
    let client = use_session().client();
    let unread = expect_context::<Unread>();
    let announcer = use_announcer();
    super::titled(|| tr!(notifications.title));
    let remote = Remote::new(move || async move { client.notifications("", 50).await });
    use_live().reload_on(|event| event.kind == "notification.created", move || remote.reload());
    let error = RwSignal::new(None::<ApiError>);
    let refresh = move |answer: Result<(), ApiError>| {
        match answer {
            Ok(()) => error.set(None),
            Err(refusal) => error.set(Some(refusal)),
        }
        remote.reload();
        unread.0.reload();
    };
    let read = Callback::new(move |id: Uuid| {
        spawn_local(async move {
            refresh(client.read_notification(id).await);
        });
    });
    let read_all = move |_| {
        spawn_local(async move {
            let answer = client.read_all_notifications().await;
            if answer.is_ok() {
                announcer.say(tr!(notifications.all_read));
            }
            refresh(answer);
        });
    };
    let any_unread = Memo::new(move |_| remote.with(|page| page.unread > 0).unwrap_or(false));
    view! {
        <div class="page-head">
            <h1 class="ds-heading" data-size="md">{tr!(notifications.title)}</h1>
            {move || any_unread.get().then(|| view! {
                <button type="button" class="ds-button" data-variant="secondary" on:click=read_all>{tr!(notifications.read_all)}</button>
            })}
        </div>
        {move || error.get().map(|error| view! { <ErrorView error /> })}
        <Loaded remote rows=5 let:page>
            {move || page.with(|page| page.items.is_empty()).then(|| view! { <p class="empty">{tr!(notifications.none)}</p> })}
            <ul class="plain-list notifications" data-testid="notifications">
                <For each=move || page.with(|page: &NotificationPage| page.items.clone()) key=|one| (one.id, one.read_at.is_some()) let:one>
                    <li>{item(one, read)}</li>
                </For>
            </ul>
            <Older remote page=page />
        </Loaded>
    }
}

fn item(one: Notification, read: Callback<Uuid>) -> impl IntoView {
    let id = one.id;
    let unread = one.read_at.is_none();
    let color = match one.kind {
        NoticeKind::IncidentOpened => "danger",
        NoticeKind::IncidentResolved => "success",
        NoticeKind::WebhookDisabled => "warning",
    };
    let target = one.sync_id.map_or_else(|| Page::Integration(one.integration_config_id), Page::Sync).path();
    // Whoever follows the link has read it.
    let follow = move |_| {
        if unread {
            read.run(id);
        }
    };
    view! {
        <article class="ds-card notification" data-color=color data-unread=unread.to_string() data-testid="notification">
            <div class="title-line">
                {unread.then(|| view! { <span class="ds-tag" data-color="info" data-size="sm">{tr!(notifications.unread)}</span> })}
                <h2 class="ds-heading" data-size="2xs"><a class="ds-link" href=target on:click=follow>{sentence::notification(&one, &Intl)}</a></h2>
            </div>
            {one.error_message.map(|message| view! { <p class="break clamp" lang="">{message}</p> })}
            <div class="actions small">
                <span class="subtle"><Ago at=one.created_at /></span>
                <a class="ds-link" href=Page::Integration(one.integration_config_id).path()>{one.integration_name}</a>
                {unread.then(|| view! {
                    <button type="button" class="ds-button" data-variant="tertiary" data-size="sm" on:click=move |_| read.run(id)>{tr!(notifications.mark_read)}</button>
                })}
            </div>
        </article>
    }
}

/// Fetches older ones and puts them below.
#[component]
fn Older(remote: Remote<NotificationPage>, #[prop(into)] page: Signal<NotificationPage>) -> impl IntoView {
    let client = use_session().client();
    let error = RwSignal::new(None::<ApiError>);
    let more = Memo::new(move |_| page.with(|page| page.next_cursor.clone()));
    let fetch = move |_| {
        let Some(cursor) = more.get_untracked() else { return };
        spawn_local(async move {
            match client.notifications(&cursor, 50).await {
                Ok(older) => {
                    let _ = error.try_set(None);
                    remote.update(|page| {
                        page.items.extend(older.items);
                        page.next_cursor = older.next_cursor;
                    });
                }
                Err(refusal) => {
                    let _ = error.try_set(Some(refusal));
                }
            }
        });
    };
    view! {
        {move || error.get().map(|error| view! { <ErrorView error /> })}
        {move || more.get().map(|_| view! {
            <button type="button" class="ds-button" data-variant="secondary" on:click=fetch>{tr!(notifications.older)}</button>
        })}
    }
}
