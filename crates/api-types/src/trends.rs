//! Counts and durations over time.

use chrono::{DateTime, Utc};

use crate::macros::wire;

wire! {
    /// Counts and durations of an integration per day or hour.
    pub struct Trends {
        /// `day` or `hour`.
        pub bucket: Bucket,
        /// The buckets, oldest first; those without a sync are there too.
        pub items: Vec<TrendBucket>,
    }

    /// Width of a bucket.
    #[derive(Copy, Eq)]
    #[serde(rename_all = "snake_case")]
    pub enum Bucket {
        /// One day, in UTC.
        Day,
        /// One hour.
        Hour,
    }

    /// One bucket.
    pub struct TrendBucket {
        /// Its beginning.
        pub start: DateTime<Utc>,
        /// Syncs that began in it.
        pub syncs: i64,
        /// Of those: failed.
        pub failed_syncs: i64,
        /// Records delivered.
        pub records_processed: i64,
        /// Records failed.
        pub records_failed: i64,
        /// Median duration of its attempts, in milliseconds.
        pub p50_duration_ms: Option<i64>,
        /// 95th percentile of its attempts' durations, in milliseconds.
        pub p95_duration_ms: Option<i64>,
        /// Whether a sync was expected in it and none came.
        pub gap: bool,
    }
}
