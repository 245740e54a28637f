//! Trials of mappings with a sample record.

use actix_web::{post, web};
use api_types::mapping_trials::{MappingTrial, TryMapping};
use domain::mapping::Mapping;
use domain::violation::{Rule, Violation};
use utoipa_actix_web::service_config::ServiceConfig;

use super::json::ValidJson;
use super::problem::ApiError;
use crate::auth::{Access, OrgContext};

/// Registers the operation.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(try_mapping);
}

/// Try a mapping with a sample record.
///
/// Says what would be sent of the record, or why nothing would be. Nothing is stored and nothing leaves, so a repeated
/// request is harmless without an `Idempotency-Key`.
///
/// A mapping has an `entity` (what the nodes are: a mutation or an entity set) and `fields` by the external system's
/// names, with a point before each deeper member; with `lines`, a JSON Pointer to a list, each line of a record becomes
/// a node. A field's value is a constant, `value`, or stands in the record where the JSON Pointer `from` leads (from
/// the line on, where the field is `per_line`); a `map` puts other values in the place of the record's words. `as` says
/// how it is written: `text`, `integer`, `decimal`, `money` (a text), `date` (`YYYY-MM-DD`), `datetime` (RFC 3339),
/// `boolean`, `id` (64 bits as a text), or `bind`, a reference to a row of the entity set `set` by its id or by the
/// alternate key `key`. A value that is absent, null or an empty text is left out, or an error where the field is
/// `required`. The values of `personal` fields are taken out of the external system's words before those are kept.
#[utoipa::path(
    operation_id = "tryMapping",
    tag = "integrations",
    request_body(content = TryMapping, example = json!({
        "connector_type": "xledger",
        "mapping": {
            "entity": "addGLImportItems",
            "lines": "/lines",
            "fields": {
                "account.code": { "from": "/account", "as": "text", "required": true, "per_line": true },
                "amount": { "from": "/amount", "as": "money", "required": true, "per_line": true },
                "postedDate": { "from": "/date", "as": "date" },
                "text": { "from": "/purpose", "as": "text", "personal": true },
                "currency": { "value": "NOK" },
            },
        },
        "payload": {
            "date": "2026-11-20", "purpose": "Course in Bergen",
            "lines": [{ "account": "7140", "amount": "1250.00" }],
        },
    })),
    responses((status = 200, description = "What would be sent, or why nothing would be", body = MappingTrial)),
    security(("person" = [])),
)]
#[post("/integrations/mapping-trials")]
pub async fn try_mapping(
    context: OrgContext,
    ValidJson(trial): ValidJson<TryMapping>,
) -> Result<web::Json<MappingTrial>, ApiError> {
    context.require(Access::Administer)?;
    let (mapping, mut found) = match Mapping::parse(&trial.mapping) {
        Ok(mapping) => {
            let check = |connector_type| connectors::check_mapping(connector_type, &mapping);
            let found = trial.connector_type.map(check).unwrap_or_default();
            (Some(mapping), found)
        }
        Err(found) => (None, found),
    };
    for violation in &mut found {
        violation.pointer.insert_str(0, "/mapping");
    }
    if !trial.payload.is_object() {
        found.push(Violation::new(Rule::InvalidFormat, "/payload", "a JSON object"));
    }
    let Some(mapping) = mapping.filter(|_| found.is_empty()) else { return Err(found.into()) };
    let (nodes, errors) = match mapping.apply(&trial.payload) {
        Ok(nodes) => (nodes, Vec::new()),
        Err(errors) => (Vec::new(), errors),
    };
    Ok(web::Json(MappingTrial { nodes, errors }))
}
