//! Small things asked of the browser.

use chrono::{DateTime, Utc};
use futures::channel::oneshot;
use js_sys::{Function, Promise, Reflect};
use uuid::Uuid;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, HtmlElement, Storage, Url};

/// Now, by the browser's clock.
pub fn now() -> DateTime<Utc> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 fit an i64")]
    let millis = js_sys::Date::now() as i64;
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// A random id. `crypto.randomUUID` needs a secure context, `getRandomValues` does not.
pub fn uuid() -> Uuid {
    let mut bytes = [0_u8; 16];
    if let Some(crypto) = web_sys::window().and_then(|window| window.crypto().ok()) {
        let _ = crypto.get_random_values_with_u8_array(&mut bytes);
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn storage() -> Option<Storage> {
    web_sys::window()?.local_storage().ok()?
}

/// A remembered preference. Nothing about people or records is ever kept here.
pub fn remembered(key: &str) -> Option<String> {
    storage()?.get_item(key).ok()?
}

/// Remembers a preference; where storage is refused, it is forgotten with the page.
pub fn remember(key: &str, value: &str) {
    if let Some(storage) = storage() {
        let _ = storage.set_item(key, value);
    }
}

/// The language the browser asks for.
pub fn language() -> String {
    web_sys::window().and_then(|window| window.navigator().language()).unwrap_or_default()
}

/// Sets an attribute of the document's root.
pub fn set_root(name: &str, value: &str) {
    if let Some(root) =
        web_sys::window().and_then(|window| window.document()).and_then(|document| document.document_element())
    {
        let _ = root.set_attribute(name, value);
    }
}

/// Sets the document's title.
pub fn set_title(title: &str) {
    if let Some(document) = web_sys::window().and_then(|window| window.document()) {
        document.set_title(title);
    }
}

/// The address in use, without the host.
pub fn address() -> String {
    web_sys::window()
        .map(|window| window.location())
        .map(|location| {
            format!(
                "{}{}{}",
                location.pathname().unwrap_or_default(),
                location.search().unwrap_or_default(),
                location.hash().unwrap_or_default()
            )
        })
        .unwrap_or_default()
}

/// Moves the focus to an element.
pub fn focus(id: &str) {
    if let Some(element) = web_sys::window()
        .and_then(|window| window.document())
        .and_then(|document| document.get_element_by_id(id))
        .and_then(|element| element.dyn_into::<HtmlElement>().ok())
    {
        let _ = element.focus();
    }
}

/// Hands a file to the person.
pub fn download(name: &str, media_type: &str, bytes: &[u8]) -> Result<(), JsValue> {
    let parts = js_sys::Array::of1(&js_sys::Uint8Array::from(bytes));
    let options = BlobPropertyBag::new();
    options.set_type(media_type);
    let blob = Blob::new_with_u8_array_sequence_and_options(&parts, &options)?;
    let url = Url::create_object_url_with_blob(&blob)?;
    let document = web_sys::window().and_then(|window| window.document()).ok_or(JsValue::NULL)?;
    let link: HtmlAnchorElement = document.create_element("a")?.dyn_into()?;
    link.set_href(&url);
    link.set_download(name);
    link.click();
    Url::revoke_object_url(&url)
}

/// A parameter of the address in use.
pub fn query(name: &str) -> Option<String> {
    let search = web_sys::window()?.location().search().ok()?;
    web_sys::UrlSearchParams::new_with_str(&search).ok()?.get(name)
}

/// A lock that all windows of this dashboard share; it is given back when dropped.
pub struct SharedLock(Option<Function>);

impl Drop for SharedLock {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            let _ = release.call0(&JsValue::NULL);
        }
    }
}

/// Waits for a lock shared by all windows. Browsers offer it in secure contexts only; elsewhere it locks nothing.
pub async fn shared_lock(name: &str) -> SharedLock {
    request_lock(name).await.unwrap_or(SharedLock(None))
}

async fn request_lock(name: &str) -> Option<SharedLock> {
    let navigator = web_sys::window()?.navigator();
    let locks = Reflect::get(&navigator, &"locks".into()).ok().filter(JsValue::is_object)?;
    let request: Function = Reflect::get(&locks, &"request".into()).ok()?.dyn_into().ok()?;
    let mut release = None;
    let held = Promise::new(&mut |resolve, _| release = Some(resolve));
    let (granted, waiting) = oneshot::channel::<()>();
    // The browser holds the lock until the promise that this returns is settled.
    let callback = Closure::once_into_js(move |_lock: JsValue| -> JsValue {
        let _ = granted.send(());
        held.into()
    });
    request.call2(&locks, &name.into(), &callback).ok()?;
    waiting.await.ok()?;
    Some(SharedLock(release))
}
