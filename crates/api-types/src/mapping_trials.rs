//! Trials of mappings.

use domain::integration::ConnectorType;
use domain::mapping::Node;
use domain::record::RecordError;
use serde_json::Value;

use crate::macros::wire;

wire! {
    /// A mapping, and a sample record to try it with.
    #[serde(deny_unknown_fields)]
    pub struct TryMapping {
        /// The mapping.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub mapping: Value,
        /// Whose entities and fields they have to be; if left out, their names are not looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub connector_type: Option<ConnectorType>,
        /// The record's data, as it would be staged.
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        pub payload: Value,
    }

    /// What a mapping makes of a record.
    pub struct MappingTrial {
        /// What would be sent, in the order of the record's lines; empty where anything is wrong.
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
        pub nodes: Vec<Node>,
        /// Why nothing would be sent, at most 50 errors; empty where something would be.
        pub errors: Vec<RecordError>,
    }
}
