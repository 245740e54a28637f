//! The OpenAPI document: what the handlers say of themselves, and what is true of all of them.

mod examples;
mod headers;
mod links;
mod refine;
mod webhooks;

use std::collections::BTreeSet;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{App, HttpRequest};
use api_types::webhooks::RetryRequested;
use api_types::{ErrorCode, Problem};
use serde_json::{Map, Value, json};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes, SecurityScheme,
};
use utoipa::openapi::{Components, ContactBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Server};
use utoipa_actix_web::AppExt as _;

use super::problem::ApiError;
use crate::auth::Scope;

/// The path under which every operation lives.
pub const PREFIX: &str = "/api/v1";
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// What the operations are about.
const TAGS: [(&str, &str); 8] = [
    ("auth", "Signing in, tokens for machines, and who is signed in"),
    ("integrations", "What is connected, how it fares, and its trends"),
    ("sync-logs", "Syncs with their attempts, records, errors and retries"),
    ("source-records", "Records of the organization's own app: staged ones, and their way across syncs"),
    ("incidents", "What people are told about"),
    ("notifications", "What the signed-in person was told"),
    ("events", "What changes, as it happens"),
    ("audit", "Whether the ledger is what was sealed"),
];

/// The whole document.
pub fn document() -> OpenApi {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(base())
        .service(utoipa_actix_web::scope(PREFIX).configure(super::api_routes))
        .split_for_parts();
    let components = document.components.get_or_insert_with(Components::new);
    components.schemas.extend(schemas_of::<Problem>());
    components.schemas.extend(schemas_of::<RetryRequested>());
    document
}

/// The document as sorted JSON, with what every operation shares.
pub fn document_json() -> Value {
    let mut document = serde_json::to_value(document()).unwrap_or_default();
    add_shared_responses(&mut document);
    open_composed_schemas(&mut document);
    document["webhooks"] = webhooks::webhooks();
    refine::refine(&mut document);
    headers::describe(&mut document);
    links::add(&mut document);
    examples::add(&mut document);
    document["tags"] = TAGS.iter().map(|(name, text)| json!({ "name": name, "description": text })).collect();
    sorted(document)
}

/// Every operation, to be written to.
fn operations_mut(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    let items = paths.into_iter().flat_map(|paths| paths.values_mut()).filter_map(Value::as_object_mut);
    items.flat_map(|item| {
        let operations = item.iter_mut().filter(|(method, _)| METHODS.contains(&method.as_str()));
        operations.filter_map(|(_, operation)| operation.as_object_mut())
    })
}

/// Title, servers, security.
fn base() -> OpenApi {
    let mut components = Components::new();
    let person = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A person's access token, from `login` or `refresh`."))
        .build();
    components.add_security_scheme("person", SecurityScheme::Http(person));
    let scopes = Scope::ALL.iter().map(|scope| (scope.as_str(), scope_meaning(*scope))).collect::<Scopes>();
    let machine =
        OAuth2::new([Flow::ClientCredentials(ClientCredentials::new(format!("{PREFIX}/oauth/token"), scopes))]);
    components.add_security_scheme("machine", SecurityScheme::OAuth2(machine));
    let cookie = ApiKeyValue::new(super::auth::COOKIE);
    components.add_security_scheme("refresh_cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Syncwatch")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Watches the syncs that carry records to external systems: reports, health, retries, history. \
                     Errors are problems (RFC 9457) with a stable `code`; lists are paged by opaque cursors.",
                ))
                .license(Some(License::new("MIT")))
                .contact(Some(ContactBuilder::new().name(Some("Syncwatch")).build()))
                .build(),
        )
        .servers(Some([Server::new("/")]))
        .components(Some(components))
        .build()
}

const fn scope_meaning(scope: Scope) -> &'static str {
    match scope {
        Scope::SyncsWrite => "Report syncs",
        Scope::SyncsRead => "Read syncs",
        Scope::RecordsWrite => "Stage records",
        Scope::RetriesClaim => "Poll and claim retries",
        Scope::IntegrationsRead => "Read integrations",
        Scope::Debug => "See the metadata of syncs",
    }
}

fn schemas_of<T: utoipa::ToSchema>() -> Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)> {
    let mut schemas = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    schemas
}

/// Adds to every operation the errors that follow from its shape, where it does not describe them itself.
fn add_shared_responses(document: &mut Value) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    let mut used = BTreeSet::new();
    for (path, item) in paths.iter_mut() {
        for method in METHODS {
            let Some(operation) = item.get_mut(method).and_then(Value::as_object_mut) else { continue };
            describe_idempotency_key(operation);
            let statuses = shared_statuses(path, operation);
            let responses = operation.entry("responses").or_insert_with(|| json!({}));
            let Some(responses) = responses.as_object_mut() else { continue };
            for status in statuses {
                used.insert(status);
                responses
                    .entry(status.to_string())
                    .or_insert_with(|| json!({ "$ref": format!("#/components/responses/Problem{status}") }));
            }
        }
    }
    let shared: Map<String, Value> =
        used.into_iter().map(|status| (format!("Problem{status}"), problem_response(status))).collect();
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.insert("responses".to_owned(), Value::Object(shared));
    }
}

/// Says what an `Idempotency-Key` may look like.
fn describe_idempotency_key(operation: &mut Map<String, Value>) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten().filter(|parameter| parameter["name"] == "Idempotency-Key") {
        parameter["schema"] = json!({
            "type": "string", "minLength": 1, "maxLength": 257, "pattern": "^([!#-~]([ -~]{0,253}[!-~])?|\"[ -~]{1,255}\")$",
        });
    }
}

fn shared_statuses(path: &str, operation: &Map<String, Value>) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::from([429, 500, 503]);
    let has_body = operation.contains_key("requestBody");
    let takes = |place: &str| {
        let parameters = operation.get("parameters").and_then(Value::as_array);
        parameters.is_some_and(|parameters| parameters.iter().any(|parameter| parameter["in"] == place))
    };
    let is_public = operation
        .get("security")
        .and_then(Value::as_array)
        .is_none_or(|needs| needs.iter().any(|need| need.as_object().is_some_and(Map::is_empty)));
    let by_cookie = operation.get("security").is_some_and(|needs| needs.to_string().contains("refresh_cookie"));
    if !is_public && !by_cookie {
        statuses.extend([401, 403]);
    }
    if has_body {
        statuses.extend([400, 413, 415, 422]);
    }
    if takes("query") || takes("header") {
        statuses.insert(400);
    }
    let parameters = operation.get("parameters").and_then(Value::as_array);
    if parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == "Idempotency-Key")) {
        statuses.extend([409, 422]);
    }
    if path.contains('{') {
        statuses.insert(404);
    }
    // Its month may lie in the archive, or have lain there.
    if path.contains("/sync-logs/{") {
        statuses.insert(410);
    }
    statuses
}

/// A response that lists the codes of its status.
fn problem_response(status: u16) -> Value {
    let codes: Vec<ErrorCode> = ErrorCode::ALL.iter().copied().filter(|code| code.status() == status).collect();
    let names: Vec<String> = codes.iter().map(|code| format!("`{code}`: {}", code.title())).collect();
    let examples: Map<String, Value> = codes
        .iter()
        .map(|code| {
            let problem = Problem::new(*code, code.title());
            (code.as_str().to_owned(), json!({ "summary": code.title(), "value": problem }))
        })
        .collect();
    let mut response = json!({
        "description": names.join("; "),
        "content": {
            (super::problem::MEDIA_TYPE): {
                "schema": { "$ref": "#/components/schemas/Problem" },
                "examples": examples,
            },
        },
    });
    if matches!(status, 429 | 503) {
        response["headers"] = json!({
            "Retry-After": {
                "description": "Seconds to wait", "required": true, "schema": { "type": "integer", "minimum": 0 },
            },
        });
    }
    response
}

/// A schema that takes no further members cannot be a part of a larger one: its parts are written out, without that
/// restriction, where they are composed.
fn open_composed_schemas(document: &mut Value) {
    let Some(schemas) = document.pointer("/components/schemas").and_then(Value::as_object).cloned() else { return };
    let closed = |part: &Value| {
        let name = part.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")?;
        let schema = schemas.get(name).filter(|schema| schema["additionalProperties"] == false)?;
        let mut open = schema.clone();
        open.as_object_mut()?.remove("additionalProperties");
        Some(open)
    };
    let Some(written) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    for schema in written.values_mut() {
        for part in schema.get_mut("allOf").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(open) = closed(part) {
                *part = open;
            }
        }
    }
}

/// The same value with its members in alphabetical order, whatever the map's own order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by(|left, right| left.0.cmp(&right.0));
            members.into_iter().map(|(name, member)| (name, sorted(member))).collect()
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// Which methods each path has: tells an unknown path from an unknown method.
#[derive(Clone, Debug)]
pub struct RouteTable(Vec<(Vec<Option<String>>, Vec<String>)>);

impl RouteTable {
    /// Of the document's paths.
    pub fn of(document: &Value) -> Self {
        let paths = document.get("paths").and_then(Value::as_object);
        let routes = paths.into_iter().flatten().map(|(path, item)| {
            // A parameter is `None`: it takes any segment.
            let segments = path.split('/').map(|part| (!part.starts_with('{')).then(|| part.to_owned())).collect();
            let methods = METHODS.iter().filter(|method| item.get(**method).is_some());
            (segments, methods.map(|method| method.to_uppercase()).collect())
        });
        Self(routes.collect())
    }

    /// The methods of a path; none if it does not exist. A path that is written out stands before one with parameters
    /// that fits too: `/sync-logs/import` is no sync.
    pub fn methods(&self, path: &str) -> Vec<String> {
        let segments: Vec<&str> = path.split('/').collect();
        let fits = |wanted: &[Option<String>]| {
            wanted.len() == segments.len()
                && wanted.iter().zip(&segments).all(|(wanted, segment)| match wanted {
                    Some(wanted) => wanted == segment,
                    None => !segment.is_empty(),
                })
        };
        let written_out = |wanted: &[Option<String>]| wanted.iter().flatten().count();
        let fitting = || self.0.iter().filter(|(wanted, _)| fits(wanted));
        let most = fitting().map(|(wanted, _)| written_out(wanted)).max();
        let mut methods: Vec<String> = fitting()
            .filter(|(wanted, _)| Some(written_out(wanted)) == most)
            .flat_map(|(_, methods)| methods.clone())
            .collect();
        methods.sort();
        methods.dedup();
        methods
    }

    /// What a request is told whose path exists and whose method the path does not have.
    pub fn method_not_allowed(&self, request: &HttpRequest) -> Option<ApiError> {
        let methods = self.methods(request.path());
        if methods.is_empty() || methods.iter().any(|method| method == request.method().as_str()) {
            return None;
        }
        let allowed = HeaderValue::from_str(&methods.join(", ")).ok()?;
        let error = ApiError::new(ErrorCode::MethodNotAllowed, format!("this address has {}", methods.join(", ")));
        Some(error.with_header(header::ALLOW, allowed))
    }
}

#[cfg(test)]
mod tests;
