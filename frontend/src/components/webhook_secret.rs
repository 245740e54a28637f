//! The secret of an integration's webhooks, which is shown once, and the question before it is replaced.

use leptos::prelude::*;

use super::Dialog;

/// A secret that is being shown.
#[derive(Clone, Copy)]
pub struct ShownSecret {
    open: RwSignal<bool>,
    secret: RwSignal<String>,
}

impl ShownSecret {
    /// None.
    pub fn new() -> Self {
        Self { open: RwSignal::new(false), secret: RwSignal::new(String::new()) }
    }

    /// Shows one until the dialog is closed.
    pub fn show(self, secret: String) {
        let _ = self.secret.try_set(secret);
        let _ = self.open.try_set(true);
    }
}

/// The dialog; the secret is forgotten when it closes.
#[component]
pub fn SecretDialog(
    /// The secret.
    shown: ShownSecret,
) -> impl IntoView {
    Effect::new(move |_| {
        if !shown.open.get() {
            shown.secret.set(String::new());
        }
    });
    let title = Signal::derive(|| tr!(settings.secret_title));
    view! {
        <Dialog open=shown.open title=title>
            <div class="stack">
                <p>{tr!(settings.secret_help)}</p>
                <p><code class="break" data-testid="webhook-secret">{move || shown.secret.get()}</code></p>
                <div class="actions">
                    <button type="button" class="ds-button" on:click=move |_| shown.open.set(false)>{tr!(common.close)}</button>
                </div>
            </div>
        </Dialog>
    }
}

/// Asks before a new secret is made: whoever verifies webhooks has to get it in time.
#[component]
pub fn RotateDialog(
    /// Whether it is open.
    open: RwSignal<bool>,
    /// Called when a new secret is wanted.
    #[prop(into)]
    confirmed: Callback<()>,
) -> impl IntoView {
    let title = Signal::derive(|| tr!(settings.new_secret));
    view! {
        <Dialog open=open title=title>
            <div class="stack">
                <p>{tr!(settings.new_secret_help)}</p>
                <div class="actions">
                    <button type="button" class="ds-button" data-testid="rotate-confirm"
                        on:click=move |_| { open.set(false); confirmed.run(()); }>{tr!(settings.new_secret_button)}</button>
                    <button type="button" class="ds-button" data-variant="tertiary" on:click=move |_| open.set(false)>{tr!(common.cancel)}</button>
                </div>
            </div>
        </Dialog>
    }
}
