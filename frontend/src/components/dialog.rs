//! A modal dialog: the browser's own, which keeps the focus inside and gives it back.

use leptos::html;
use leptos::prelude::*;

/// A modal dialog with a title. It closes by Escape, by its button, and by whoever sets `open`.
#[component]
pub fn Dialog(
    /// Whether it is open.
    open: RwSignal<bool>,
    /// Its title.
    #[prop(into)]
    title: Signal<String>,
    /// Whether it can be left without an answer.
    #[prop(default = true)]
    closable: bool,
    /// Its content, built anew each time it opens.
    children: ChildrenFn,
) -> impl IntoView {
    let element = NodeRef::<html::Dialog>::new();
    let heading = format!("dialog-{}", crate::browser::uuid().simple());
    let labelled = heading.clone();
    Effect::new(move |_| {
        let Some(dialog) = element.get() else { return };
        match (open.get(), dialog.open()) {
            (true, false) => {
                let _ = dialog.show_modal();
            }
            (false, true) => dialog.close(),
            _ => {}
        }
    });
    view! {
        <dialog node_ref=element class="ds-dialog" aria-labelledby=labelled
            on:close=move |_| open.set(false)
            on:cancel=move |event: leptos::ev::Event| if !closable { event.prevent_default() }>
            {closable
                .then(|| {
                    view! {
                        <button type="button" class="ds-button" data-variant="tertiary" data-color="neutral" data-icon="true" data-command="close"
                            aria-label=tr!(common.close) on:click=move |_| open.set(false)></button>
                    }
                })}
            <h2 id=heading class="ds-heading" data-size="xs">{move || title.get()}</h2>
            {move || open.get().then(|| children())}
        </dialog>
    }
}
