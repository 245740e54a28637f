//! Keyset paging: opaque cursors that know which list they belong to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike as _, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use api_types::{ErrorCode, Page};

use super::problem::ApiError;

/// Items of a page if the caller asks for no number.
pub const DEFAULT_LIMIT: u16 = 50;
/// Items of a page at most.
pub const MAX_LIMIT: u16 = 200;
/// Longest cursor that is looked at.
const MAX_CURSOR_BYTES: usize = 512;

/// Which way a cursor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Further down the list.
    #[serde(rename = "n")]
    Next,
    /// Back up the list.
    #[serde(rename = "p")]
    Previous,
}

/// What a list is ordered by, as it comes back in a cursor.
pub trait Key: Clone + Serialize + DeserializeOwned {
    /// Whether the database can compare with it. A key of our own making always can be; one made up may not.
    fn is_comparable(&self) -> bool;
}

impl Key for (DateTime<Utc>, Uuid) {
    fn is_comparable(&self) -> bool {
        is_storable(self.0)
    }
}

impl Key for Uuid {
    fn is_comparable(&self) -> bool {
        true
    }
}

impl Key for i64 {
    fn is_comparable(&self) -> bool {
        true
    }
}

impl Key for (String, Uuid) {
    fn is_comparable(&self) -> bool {
        !self.0.contains('\0')
    }
}

/// Whether a moment is one that RFC 3339 can write and the database can hold.
pub fn is_storable(moment: DateTime<Utc>) -> bool {
    (1..=9999).contains(&moment.year())
}

/// A place in a list: the key of the item beside it, and the way to go. Items equal to the key are not repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<K = (DateTime<Utc>, Uuid)> {
    /// The key of the page's last (or first) item.
    pub key: K,
    /// Which way to go.
    pub direction: Direction,
}

/// Stands for a list with its filters, so that a cursor is not used with another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiltersHash(Vec<u8>);

impl FiltersHash {
    /// Of a list's name, its organization, and its filters.
    pub fn of(list: &str, organization_id: Uuid, filters: &impl Serialize) -> Self {
        let filters = serde_json::to_string(filters).unwrap_or_default();
        Self(Sha256::digest(format!("{list}\n{organization_id}\n{filters}")).to_vec())
    }

    /// A check that a cursor was made for this list and is whole. It is no secret: a cursor shows nothing that its
    /// list does not.
    fn check(&self, key: &impl Serialize, direction: Direction) -> String {
        let key = serde_json::to_vec(&(key, direction)).unwrap_or_default();
        let digest = Sha256::new().chain_update(&self.0).chain_update(&key).finalize();
        URL_SAFE_NO_PAD.encode(&digest[..9])
    }
}

/// Keeps `cursor` and `limit` out of the filters' hash: they say where in the list one is, not which list it is. (Serde's
/// plain `skip_serializing` would keep them out of the OpenAPI document too.)
pub const fn is_no_filter<T>(_: &T) -> bool {
    true
}

#[derive(Serialize, Deserialize)]
struct Wire<K> {
    k: K,
    d: Direction,
    f: String,
}

impl<K: Key> Cursor<K> {
    /// The opaque text.
    pub fn encode(&self, filters: &FiltersHash) -> String {
        let wire = Wire { k: self.key.clone(), d: self.direction, f: filters.check(&self.key, self.direction) };
        URL_SAFE_NO_PAD.encode(serde_json::to_string(&wire).unwrap_or_default())
    }

    /// Reads an opaque text; one that is damaged or belongs to other filters is refused.
    pub fn decode(text: &str, filters: &FiltersHash) -> Result<Self, ApiError> {
        let refused = || ApiError::new(ErrorCode::InvalidCursor, "the cursor is damaged or belongs to other filters");
        if text.len() > MAX_CURSOR_BYTES {
            return Err(refused());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let wire: Wire<K> = serde_json::from_slice(&bytes).map_err(|_| refused())?;
        if wire.f != filters.check(&wire.k, wire.d) || !wire.k.is_comparable() {
            return Err(refused());
        }
        Ok(Self { key: wire.k, direction: wire.d })
    }
}

/// What a list request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest<K = (DateTime<Utc>, Uuid)> {
    /// Where to go on; the beginning, if not given.
    pub cursor: Option<Cursor<K>>,
    /// Items at most.
    pub limit: u16,
    filters: FiltersHash,
}

impl<K: Key> PageRequest<K> {
    /// Reads `cursor` and `limit`.
    pub fn read(cursor: Option<&str>, limit: Option<i64>, filters: FiltersHash) -> Result<Self, ApiError> {
        let cursor = cursor.map(|text| Cursor::decode(text, &filters)).transpose()?;
        Ok(Self { cursor, limit: self::limit(limit)?, filters })
    }

    /// Rows to ask the store for: one more than a page tells whether there is more.
    pub fn fetch_limit(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Whether the page lies before its cursor; the store then gives rows nearest to the cursor first.
    pub fn is_backwards(&self) -> bool {
        self.cursor.as_ref().is_some_and(|cursor| cursor.direction == Direction::Previous)
    }

    /// The key to go on from.
    pub fn key(&self) -> Option<&K> {
        self.cursor.as_ref().map(|cursor| &cursor.key)
    }

    /// A page of at most `limit` items from up to [`Self::fetch_limit`] rows in the order they were fetched.
    pub fn page<T>(&self, mut rows: Vec<T>, key_of: impl Fn(&T) -> K) -> Page<T> {
        let more = rows.len() > usize::from(self.limit);
        rows.truncate(usize::from(self.limit));
        let backwards = self.is_backwards();
        if backwards {
            rows.reverse();
        }
        let (has_next, has_previous) = if backwards { (true, more) } else { (more, self.cursor.is_some()) };
        let at = |item: Option<&T>, direction| {
            item.map(|item| Cursor { key: key_of(item), direction }.encode(&self.filters))
        };
        let next_cursor = has_next.then(|| at(rows.last(), Direction::Next)).flatten();
        let prev_cursor = has_previous.then(|| at(rows.first(), Direction::Previous)).flatten();
        Page { items: rows, next_cursor, prev_cursor }
    }
}

/// A page's size: 1 to 200, 50 if not given.
pub fn limit(given: Option<i64>) -> Result<u16, ApiError> {
    let Some(given) = given else { return Ok(DEFAULT_LIMIT) };
    u16::try_from(given)
        .ok()
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| ApiError::invalid_parameter("limit", format!("between 1 and {MAX_LIMIT}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Key for u32 {
        fn is_comparable(&self) -> bool {
            true
        }
    }

    fn filters(status: &str) -> FiltersHash {
        FiltersHash::of("syncs", Uuid::nil(), &serde_json::json!({ "status": status }))
    }

    fn request(cursor: Option<&str>, limit: i64) -> PageRequest<u32> {
        PageRequest::read(cursor, Some(limit), filters("failed")).unwrap()
    }

    /// What a store would give from the numbers 1 to 5.
    fn rows(request: &PageRequest<u32>) -> Vec<u32> {
        let limit = usize::try_from(request.fetch_limit()).unwrap();
        match (request.key(), request.is_backwards()) {
            (None, _) => (1..=5).take(limit).collect(),
            (Some(key), false) => (1..=5).filter(|n| n > key).take(limit).collect(),
            (Some(key), true) => (1..=5).rev().filter(|n| n < key).take(limit).collect(),
        }
    }

    fn page(cursor: Option<&str>) -> Page<u32> {
        let request = request(cursor, 2);
        request.page(rows(&request), |n| *n)
    }

    #[test]
    fn a_cursor_survives_the_way_out_and_back() {
        let key = (DateTime::from_timestamp_millis(1_795_000_000_123).unwrap(), Uuid::from_u128(5));
        let cursor = Cursor { key, direction: Direction::Previous };
        assert_eq!(Cursor::decode(&cursor.encode(&filters("failed")), &filters("failed")).unwrap(), cursor);
    }

    #[test]
    fn a_cursor_of_other_filters_or_rubbish_is_refused() {
        let cursor = Cursor { key: 3_u32, direction: Direction::Next }.encode(&filters("failed"));
        for text in [cursor.as_str(), "", "%%%", "bm90IGpzb24", &"A".repeat(1000)] {
            let error = Cursor::<u32>::decode(text, &filters("success")).unwrap_err();
            assert_eq!(error.code(), ErrorCode::InvalidCursor);
        }
    }

    #[test]
    fn a_cursor_with_any_character_changed_is_refused() {
        let key = ("expense_claims".to_owned(), Uuid::from_u128(7));
        let cursor = Cursor { key, direction: Direction::Next }.encode(&filters("failed"));
        Cursor::<(String, Uuid)>::decode(&cursor, &filters("failed")).unwrap();
        for at in 0..cursor.len() {
            for other in ["A", "B", "z", "_"] {
                let mut tampered = cursor.clone();
                tampered.replace_range(at..=at, other);
                let decoded = Cursor::<(String, Uuid)>::decode(&tampered, &filters("failed"));
                assert!(tampered == cursor || decoded.is_err(), "{tampered}");
            }
        }
    }

    #[test]
    fn a_key_made_up_that_the_database_cannot_hold_is_refused() {
        let past: DateTime<Utc> = "-9999-01-01T00:00:00Z".parse().unwrap();
        let cursor = Cursor { key: (past, Uuid::nil()), direction: Direction::Next }.encode(&filters("failed"));
        assert!(Cursor::<(DateTime<Utc>, Uuid)>::decode(&cursor, &filters("failed")).is_err());
        let cursor = Cursor { key: ("a\0".to_owned(), Uuid::nil()), direction: Direction::Next };
        assert!(Cursor::<(String, Uuid)>::decode(&cursor.encode(&filters("failed")), &filters("failed")).is_err());
    }

    #[test]
    fn a_list_is_walked_to_its_end_and_back() {
        let first = page(None);
        assert_eq!((first.items.as_slice(), first.prev_cursor.is_none()), ([1, 2].as_slice(), true));
        let second = page(first.next_cursor.as_deref());
        assert_eq!(second.items, [3, 4]);
        let third = page(second.next_cursor.as_deref());
        assert_eq!((third.items.as_slice(), third.next_cursor.is_none()), ([5].as_slice(), true));
        let back = page(third.prev_cursor.as_deref());
        assert_eq!(back.items, [3, 4]);
        let front = page(back.prev_cursor.as_deref());
        assert_eq!((front.items.as_slice(), front.prev_cursor.is_none()), ([1, 2].as_slice(), true));
    }

    #[test]
    fn a_limit_outside_its_range_is_refused() {
        assert_eq!(limit(None).unwrap(), 50);
        assert_eq!(limit(Some(200)).unwrap(), 200);
        for given in [0, -1, 201, i64::MAX] {
            assert_eq!(limit(Some(given)).unwrap_err().code(), ErrorCode::InvalidParameter);
        }
    }
}
