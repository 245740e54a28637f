//! Words about records that Syncwatch reads from their source by itself.

/// Why a record was left out: its source says that it has no such record any more.
pub const SOURCE_GONE: &str = "SOURCE_GONE";
/// Why a record, or a whole sync, failed before anything was sent: its source could not be read, and nothing is sent of what
/// was read before.
pub const SOURCE_UNAVAILABLE: &str = "SOURCE_UNAVAILABLE";
/// Warning code of records that their source has changed after they had arrived.
pub const CHANGED_AFTER_DELIVERY: &str = "CHANGED_AFTER_DELIVERY";
/// Warning code of items of a source whose id is no UUID.
pub const SOURCE_ID_NOT_UUID: &str = "SOURCE_ID_NOT_UUID";
/// Warning code of items of a source that have the id of another one in the same part of its list, and say something else.
pub const SOURCE_ID_REPEATED: &str = "SOURCE_ID_REPEATED";
/// Warning code of items of a source that hold nothing to be sent.
pub const SOURCE_RECORD_INVALID: &str = "SOURCE_RECORD_INVALID";
