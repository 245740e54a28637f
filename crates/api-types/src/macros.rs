//! Derives that every wire type carries.

/// A wire type: serialised both ways, comparable, and described for OpenAPI.
macro_rules! wire {
    ($($item:item)+) => {
        $(
            #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
            #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
            $item
        )+
    };
}

pub(crate) use wire;
