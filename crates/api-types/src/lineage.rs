//! Run events of `OpenLineage`, taken as reports.
//!
//! Only the members that say something of a sync are named; an event may have any others.

use chrono::{DateTime, Utc};
use domain::lineage::LineageEventType;
use domain::sync_log::SyncStatus;
use uuid::Uuid;

use crate::macros::wire;

wire! {
    /// A run event of `OpenLineage`; members that are not named here are taken and ignored.
    #[serde(rename_all = "camelCase")]
    pub struct LineageEvent {
        /// What happened; `OTHER` if left out.
        #[serde(default)]
        pub event_type: Option<LineageEventType>,
        /// When it happened.
        pub event_time: DateTime<Utc>,
        /// The run.
        pub run: LineageRun,
        /// The job, which some integration has as its `lineage_job`.
        pub job: LineageEventJob,
        /// What the run wrote to.
        #[serde(default)]
        pub outputs: Option<Vec<LineageOutput>>,
        /// Who made the event.
        #[serde(default)]
        pub producer: Option<String>,
    }

    /// A run of a job.
    #[serde(rename_all = "camelCase")]
    pub struct LineageRun {
        /// Its id, the same in every event of the run.
        pub run_id: Uuid,
        /// What else is known of it.
        #[serde(default)]
        pub facets: Option<LineageRunFacets>,
    }

    /// What is read of a run's facets.
    #[serde(rename_all = "camelCase")]
    pub struct LineageRunFacets {
        /// Why it failed.
        #[serde(default)]
        pub error_message: Option<LineageErrorMessage>,
    }

    /// Why a run failed.
    pub struct LineageErrorMessage {
        /// In the job's words; cut to 4,000 characters.
        pub message: String,
    }

    /// A job, by its names.
    pub struct LineageEventJob {
        /// Its namespace.
        pub namespace: String,
        /// Its name within the namespace.
        pub name: String,
    }

    /// A data set that a run wrote to.
    #[serde(rename_all = "camelCase")]
    pub struct LineageOutput {
        /// What the run did to it.
        #[serde(default)]
        pub output_facets: Option<LineageOutputFacets>,
    }

    /// What is read of an output's facets.
    #[serde(rename_all = "camelCase")]
    pub struct LineageOutputFacets {
        /// How much was written.
        #[serde(default)]
        pub output_statistics: Option<LineageOutputStatistics>,
    }

    /// How much a run wrote.
    #[serde(rename_all = "camelCase")]
    pub struct LineageOutputStatistics {
        /// Rows; the rows of all outputs are the sync's delivered records.
        #[serde(default)]
        pub row_count: Option<i64>,
    }

    /// What became of an event.
    pub struct LineageReceipt {
        /// The run's sync, if there is one.
        pub sync_id: Option<Uuid>,
        /// Its status after the event.
        pub status: Option<SyncStatus>,
        /// Whether the event said anything new.
        pub changed: bool,
    }
}
