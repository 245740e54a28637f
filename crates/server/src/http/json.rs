//! Extractors that answer every bad input with a problem that names the offending member.

mod shape;
mod whole;

use std::future::{Future, Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{BytesMut, Path};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use api_types::ErrorCode;
use domain::violation::{Rule, Violation};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

use super::openapi::RouteTable;
use super::problem::ApiError;

/// Bytes a body may have.
pub const DEFAULT_LIMIT: usize = 1024 * 1024;
/// Bytes the body of an import may have.
pub const IMPORT_LIMIT: usize = 8 * 1024 * 1024;

/// A JSON body of the documented shape, of at most `LIMIT` bytes.
#[derive(Clone, Debug)]
pub struct ValidJson<T, const LIMIT: usize = DEFAULT_LIMIT>(pub T);

/// A JSON body that may be left out.
#[derive(Clone, Debug)]
pub struct OptionalJson<T>(pub Option<T>);

/// Query parameters of the documented shape.
#[derive(Clone, Debug)]
pub struct ValidQuery<T>(pub T);

/// Path parameters; what does not parse does not exist.
#[derive(Clone, Debug)]
pub struct ValidPath<T>(pub T);

type ExtractFuture<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

impl<T: DeserializeOwned + 'static, const LIMIT: usize> FromRequest for ValidJson<T, LIMIT> {
    type Error = ApiError;
    type Future = ExtractFuture<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let body = read_body(&request, payload, LIMIT).await?;
            check_media_type(&request)?;
            parse_json(&body).map(Self)
        })
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for OptionalJson<T> {
    type Error = ApiError;
    type Future = ExtractFuture<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let body = read_body(&request, payload, DEFAULT_LIMIT).await?;
            if body.is_empty() {
                return Ok(Self(None));
            }
            check_media_type(&request)?;
            if body.trim_ascii() == b"null" {
                return Ok(Self(None));
            }
            parse_json(&body).map(|value| Self(Some(value)))
        })
    }
}

impl<T: DeserializeOwned> FromRequest for ValidQuery<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse_query(request.query_string()).map(Self))
    }
}

impl<T: DeserializeOwned> FromRequest for ValidPath<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if request.path().contains("%00") {
            return ready(Err(ApiError::not_found()));
        }
        let path = Path::<T>::extract(request).into_inner();
        ready(path.map(|path| Self(path.into_inner())).map_err(|_| no_such_path(request)))
    }
}

/// A path whose parameters do not parse may be another operation's, with another method: `/sync-logs/import` fits
/// `/sync-logs/{id}`.
fn no_such_path(request: &HttpRequest) -> ApiError {
    let routes = request.app_data::<web::Data<RouteTable>>();
    routes.and_then(|routes| routes.method_not_allowed(request)).unwrap_or_else(ApiError::not_found)
}

/// Parses a JSON text: broken JSON is malformed, a wrong shape breaks rules.
pub fn parse_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| malformed(format!("the body is not UTF-8 from byte {} on", error.valid_up_to())))?;
    if !text.trim_start().starts_with('{') {
        // Serde would take a list for a struct, member by member.
        return Err(match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => ApiError::violations(vec![Violation::new(Rule::InvalidFormat, "", "the body is a JSON object")]),
            Err(error) => malformed(format!("the body is not JSON: {error}")),
        });
    }
    refuse_nul(text)?;
    let text = &whole::written(text);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match serde_path_to_error::deserialize(&mut deserializer) {
        Ok(value) => match deserializer.end() {
            Ok(()) => Ok(value),
            Err(error) => Err(malformed(format!("the body is not JSON: {error}"))),
        },
        Err(error) => {
            let value: serde_json::Value =
                serde_json::from_str(text).map_err(|syntax| malformed(format!("the body is not JSON: {syntax}")))?;
            // Where a word should stand and something else does, serde_json speaks of broken JSON.
            let first = if error.inner().is_data() {
                Some(error)
            } else {
                serde_path_to_error::deserialize::<_, T>(&value).err()
            };
            Err(match first {
                Some(first) => ApiError::violations(shape::violations::<T>(value, &first)),
                None => malformed("the body could not be read".to_owned()),
            })
        }
    }
}

/// Refuses texts with U+0000, which PostgreSQL cannot store; JSON can write it only as an escape.
fn refuse_nul(text: &str) -> Result<(), ApiError> {
    if !text.contains("\\u0000") {
        return Ok(());
    }
    // Broken JSON is told below, by who reads it.
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else { return Ok(()) };
    let places = shape::nul_places(&value);
    if places.is_empty() {
        return Ok(());
    }
    let told = |place| Violation::new(Rule::InvalidFormat, place, "a text without the character U+0000");
    Err(ApiError::violations(places.into_iter().map(told).collect()))
}

/// Parses a query string.
pub fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    if let Some((name, _)) = pairs.clone().find(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(ApiError::invalid_parameter(&name.replace('\0', ""), "a text without the character U+0000"));
    }
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let at = error.path().to_string();
        let message = error.inner().to_string();
        let name = shape::named_field(&message).map_or(at, str::to_owned);
        ApiError::invalid_parameter(&name, message)
    })
}

fn malformed(detail: String) -> ApiError {
    ApiError::new(ErrorCode::MalformedBody, detail)
}

fn check_media_type(request: &HttpRequest) -> Result<(), ApiError> {
    let is_json = match request.mime_type() {
        Ok(Some(kind)) => {
            let charset_fits = kind.get_param("charset").is_none_or(|charset| charset == "utf-8");
            charset_fits
                && kind.type_() == "application"
                && (kind.subtype() == "json" || kind.suffix().is_some_and(|suffix| suffix == "json"))
        }
        _ => false,
    };
    if is_json {
        Ok(())
    } else {
        Err(ApiError::new(ErrorCode::UnsupportedMediaType, "the body's Content-Type is application/json"))
    }
}

/// Reads a body up to a limit; compressed bodies are not taken.
pub async fn read_body(request: &HttpRequest, mut payload: Payload, limit: usize) -> Result<BytesMut, ApiError> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(ApiError::new(ErrorCode::UnsupportedMediaType, "the body is not compressed"));
    }
    let too_large = || ApiError::new(ErrorCode::BodyTooLarge, format!("at most {limit} bytes"));
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > limit) {
        return Err(too_large());
    }
    let mut body = BytesMut::with_capacity(declared.unwrap_or(0));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| malformed(format!("the body ended early: {error}")))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde::Deserialize;
    use uuid::Uuid;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its parsing matters")]
        name: String,
        #[expect(dead_code, reason = "only its parsing matters")]
        #[serde(default)]
        counts: Vec<u32>,
    }

    async fn extract(request: TestRequest) -> Result<Sample, ApiError> {
        let (request, mut payload) = request.to_http_parts();
        ValidJson::<Sample, 64>::from_request(&request, &mut payload).await.map(|ValidJson(sample)| sample)
    }

    fn json(body: &'static str) -> TestRequest {
        TestRequest::post().insert_header((header::CONTENT_TYPE, "application/json")).set_payload(body)
    }

    #[actix_web::test]
    async fn a_good_body_is_taken() {
        extract(json(r#"{"name": "a", "counts": [1]}"#)).await.unwrap();
    }

    #[actix_web::test]
    async fn another_media_type_is_refused() {
        let request = TestRequest::post().insert_header((header::CONTENT_TYPE, "text/plain")).set_payload("{}");
        assert_eq!(extract(request).await.unwrap_err().code(), ErrorCode::UnsupportedMediaType);
        let request = TestRequest::post().set_payload("{}");
        assert_eq!(extract(request).await.unwrap_err().code(), ErrorCode::UnsupportedMediaType);
    }

    #[actix_web::test]
    async fn a_large_body_is_refused() {
        let body = r#"{"name": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
        assert_eq!(extract(json(body)).await.unwrap_err().code(), ErrorCode::BodyTooLarge);
    }

    #[test]
    fn broken_json_is_malformed_and_a_wrong_shape_breaks_rules() {
        let code = |body: &[u8]| parse_json::<Sample>(body).unwrap_err().code();
        assert_eq!(code(b""), ErrorCode::MalformedBody);
        assert_eq!(code(b"{\"name\": "), ErrorCode::MalformedBody);
        assert_eq!(code(b"{\"name\": \"a\"} x"), ErrorCode::MalformedBody);
        assert_eq!(code(b"{\"name\": 1, x}"), ErrorCode::MalformedBody);
        assert_eq!(code(b"{\"name\": \"\xff\"}"), ErrorCode::MalformedBody);
        assert_eq!(code("[".repeat(5000).as_bytes()), ErrorCode::MalformedBody);
        assert_eq!(code(b"[]"), ErrorCode::ValidationFailed);
        assert_eq!(code(b"{}"), ErrorCode::ValidationFailed);
    }

    #[test]
    fn a_text_with_nul_is_refused_where_it_stands() {
        let body = r#"{"name": "a\u0000b", "counts": []}"#;
        let problem = parse_json::<Sample>(body.as_bytes()).unwrap_err().into_problem();
        assert_eq!(problem.errors[0].pointer, "/name");
        parse_json::<Sample>(br#"{"name": "a\\u0000b"}"#).unwrap();
        assert_eq!(parse_query::<Vec<(String, String)>>("a=%00").unwrap_err().code(), ErrorCode::InvalidParameter);
    }

    #[test]
    fn a_bad_query_parameter_is_named() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Query {
            #[expect(dead_code, reason = "only its parsing matters")]
            limit: Option<u32>,
        }
        let error = parse_query::<Query>("limit=many").unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameter);
        assert_eq!(error.into_problem().errors[0].pointer, "?limit");
        assert_eq!(parse_query::<Query>("lmit=1").unwrap_err().into_problem().errors[0].pointer, "?lmit");
        parse_query::<Query>("limit=7").unwrap();
    }

    #[actix_web::test]
    async fn a_path_that_does_not_parse_does_not_exist() {
        let (request, mut payload) = TestRequest::get().param("id", "42").to_http_parts();
        let error = ValidPath::<Uuid>::from_request(&request, &mut payload).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
    }
}
