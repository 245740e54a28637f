//! Lists: keyset pages with opaque cursors in both directions.

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// The page's items, in the list's order.
    pub items: Vec<T>,
    /// Where the list goes on; `null` on the last page.
    pub next_cursor: Option<String>,
    /// Where the list came from; `null` on the first page.
    pub prev_cursor: Option<String>,
}
