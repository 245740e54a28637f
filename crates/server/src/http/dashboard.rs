//! The built dashboard: its files, with the pages' addresses all answered by `index.html`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::problem::ApiError;

const INDEX: &str = "index.html";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The dashboard's files.
#[derive(Clone, Debug)]
pub struct Dashboard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: Option<PathBuf>,
    policy: String,
}

impl Dashboard {
    /// The files of a directory; without one, every address is not found.
    pub fn new(dir: Option<PathBuf>) -> Self {
        let index = dir.as_ref().and_then(|dir| std::fs::read_to_string(dir.join(INDEX)).ok()).unwrap_or_default();
        Self(Arc::new(Inner { dir, policy: content_policy(&index) }))
    }

    /// Answers a request for a file or a page.
    pub async fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
        let not_found = || ApiError::new(api_types::ErrorCode::NotFound, "there is no such page");
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(ApiError::new(api_types::ErrorCode::MethodNotAllowed, "only GET and HEAD")
                .with_header(header::ALLOW, header::HeaderValue::from_static("GET, HEAD")));
        }
        let dir = self.0.dir.as_deref().ok_or_else(not_found)?;
        let path = relative_path(request.path()).ok_or_else(not_found)?;
        if !path.as_os_str().is_empty()
            && let Some(file) = File::find(dir, &path, request.headers()).await
        {
            return self.send(request, file, &path).await;
        }
        // A page of the application; a missing file must not look like one.
        if !wants_page(request.headers()) || path.extension().is_some() {
            return Err(not_found());
        }
        let index = Path::new(INDEX);
        let file = File::find(dir, index, request.headers()).await.ok_or_else(not_found)?;
        self.send(request, file, index).await
    }

    async fn send(&self, request: &HttpRequest, file: File, name: &Path) -> Result<HttpResponse, ApiError> {
        let is_hashed = name.file_name().and_then(|name| name.to_str()).is_some_and(is_hashed);
        let mut response = HttpResponse::build(StatusCode::OK);
        response
            .insert_header((header::CACHE_CONTROL, if is_hashed { IMMUTABLE } else { "no-cache" }))
            .insert_header((header::ETAG, file.tag.as_str()))
            .insert_header((header::VARY, "Accept-Encoding"))
            .insert_header((header::CONTENT_SECURITY_POLICY, self.0.policy.as_str()));
        let known = request.headers().get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
        if known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == file.tag || tag.trim() == "*")) {
            return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
        }
        let kind = mime_guess::from_path(name).first_or_octet_stream();
        let kind = if kind.type_() == "text" { format!("{kind}; charset=utf-8") } else { kind.to_string() };
        response.insert_header((header::CONTENT_TYPE, kind));
        if let Some(encoding) = file.encoding {
            response.insert_header((header::CONTENT_ENCODING, encoding));
        }
        let body = tokio::fs::read(&file.path).await.map_err(ApiError::internal)?;
        if request.method() == Method::HEAD {
            response.no_chunking(u64::try_from(body.len()).unwrap_or_default());
            return Ok(response.finish());
        }
        Ok(response.body(body))
    }
}

struct File {
    path: PathBuf,
    encoding: Option<&'static str>,
    tag: String,
}

impl File {
    /// The file, in the smallest form that the caller takes and that exists.
    async fn find(dir: &Path, name: &Path, headers: &HeaderMap) -> Option<Self> {
        let plain = dir.join(name);
        for (encoding, ending) in [("br", "br"), ("gzip", "gz")] {
            if accepts(headers, encoding) {
                let mut packed = plain.clone().into_os_string();
                packed.push(format!(".{ending}"));
                if let Some(file) = Self::at(PathBuf::from(packed), Some(encoding)).await {
                    return Some(file);
                }
            }
        }
        Self::at(plain, None).await
    }

    async fn at(path: PathBuf, encoding: Option<&'static str>) -> Option<Self> {
        let facts = tokio::fs::metadata(&path).await.ok().filter(std::fs::Metadata::is_file)?;
        let changed = facts.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_millis();
        let tag = format!("\"{changed:x}-{:x}-{}\"", facts.len(), encoding.unwrap_or("plain"));
        Some(Self { path, encoding, tag })
    }
}

/// A path below the dashboard's directory; hidden files and ways out of it are not found.
fn relative_path(path: &str) -> Option<PathBuf> {
    let mut safe = PathBuf::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        if segment.starts_with('.') || segment.contains(['\\', '\0', '%', ':']) {
            return None;
        }
        safe.push(segment);
    }
    Some(safe)
}

/// Whether a build tool has put a hash of the content into the name: `app-1a2b3c4d5e6f7a8b_bg.wasm`.
fn is_hashed(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let last = stem.rsplit('-').next().filter(|last| last.len() < stem.len()).unwrap_or_default();
    let hash = last.strip_suffix("_bg").unwrap_or(last);
    hash.len() >= 8
        && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
        && hash.bytes().any(|byte| byte.is_ascii_digit())
}

fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let Some(accepted) = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    accepted.split(',').any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse::<f32>().ok());
        named && weight.is_none_or(|weight| weight > 0.0)
    })
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_none_or(|accepted| accepted.contains("text/html") || accepted.contains("*/*"))
}

/// No script but the dashboard's own; those that stand in the page itself are named by their hash.
fn content_policy(index: &str) -> String {
    let hashes = inline_scripts(index).into_iter().map(|script| {
        let hash = STANDARD.encode(Sha256::digest(script));
        format!("'sha256-{hash}'")
    });
    let scripts: Vec<String> = ["'self'", "'wasm-unsafe-eval'"].map(str::to_owned).into_iter().chain(hashes).collect();
    let scripts = scripts.join(" ");
    format!(
        "default-src 'self'; script-src {scripts}; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
    )
}

fn inline_scripts(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("<script") {
        let Some((attributes, after)) = after.split_once('>') else { break };
        let Some((body, after)) = after.split_once("</script>") else { break };
        if !attributes.contains("src=") && !body.is_empty() {
            found.push(body);
        }
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;
    use actix_web::test::TestRequest;

    use super::*;

    fn dashboard() -> (tempfile::TempDir, Dashboard) {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(INDEX, "<html><script type=\"module\">start()</script><script src=\"/x.js\"></script></html>");
        write("app-1a2b3c4d5e6f7a8b.js", "plain");
        write("app-1a2b3c4d5e6f7a8b.js.br", "packed");
        write("robots.txt", "plain");
        let dashboard = Dashboard::new(Some(dir.path().to_path_buf()));
        (dir, dashboard)
    }

    async fn get(dashboard: &Dashboard, path: &str, headers: &[(&str, &str)]) -> (u16, HeaderMap, String) {
        let mut request = TestRequest::get().uri(path);
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        let response = match dashboard.answer(&request.to_http_request()).await {
            Ok(response) => response,
            Err(error) => HttpResponse::from_error(error),
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().try_into_bytes().unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn a_hashed_file_stays_in_caches_and_comes_packed_where_it_can() {
        let (_dir, dashboard) = dashboard();
        let (status, headers, body) =
            get(&dashboard, "/app-1a2b3c4d5e6f7a8b.js", &[("accept-encoding", "gzip, br")]).await;
        assert_eq!((status, body.as_str()), (200, "packed"));
        assert_eq!(headers.get("content-encoding").unwrap(), "br");
        assert_eq!(headers.get("cache-control").unwrap(), IMMUTABLE);
        assert_eq!(headers.get("content-type").unwrap(), "text/javascript; charset=utf-8");
        let refused = [("accept-encoding", "br;q=0")];
        assert_eq!(get(&dashboard, "/app-1a2b3c4d5e6f7a8b.js", &refused).await.2, "plain");
    }

    #[actix_web::test]
    async fn a_page_is_the_index_and_a_missing_file_is_not() {
        let (_dir, dashboard) = dashboard();
        let (status, headers, body) = get(&dashboard, "/integrations/7", &[("accept", "text/html")]).await;
        assert!(status == 200 && body.contains("start()"));
        assert_eq!(headers.get("cache-control").unwrap(), "no-cache");
        assert_eq!(get(&dashboard, "/missing.js", &[("accept", "*/*")]).await.0, 404);
        assert_eq!(get(&dashboard, "/data", &[("accept", "application/json")]).await.0, 404);
    }

    #[actix_web::test]
    async fn an_unchanged_file_is_not_sent_again() {
        let (_dir, dashboard) = dashboard();
        let (_, headers, _) = get(&dashboard, "/robots.txt", &[]).await;
        let tag = headers.get("etag").unwrap().to_str().unwrap();
        let (status, _, body) = get(&dashboard, "/robots.txt", &[("if-none-match", tag)]).await;
        assert_eq!((status, body.as_str()), (304, ""));
    }

    #[actix_web::test]
    async fn no_way_leads_out_of_the_directory() {
        let (_dir, dashboard) = dashboard();
        for path in ["/../secret", "/.git/config", "/%2e%2e/secret", "/a/..%2f..%2fetc/passwd", "/x\\..\\y"] {
            assert_eq!(get(&dashboard, path, &[("accept", "text/html")]).await.0, 404, "{path}");
        }
    }

    #[test]
    fn scripts_in_the_page_are_allowed_by_their_hash() {
        let policy = content_policy("<script type=\"module\">start()</script><script src=\"a.js\"></script>");
        let hash = STANDARD.encode(Sha256::digest("start()"));
        assert!(policy.contains(&format!("script-src 'self' 'wasm-unsafe-eval' 'sha256-{hash}';")));
        assert!(!policy.contains("unsafe-inline"));
    }

    #[test]
    fn only_names_with_a_hash_are_immutable() {
        assert!(is_hashed("frontend-1a2b3c4d5e6f7a8b_bg.wasm"));
        assert!(is_hashed("style-0a1b2c3d.css"));
        for name in ["index.html", "design-tokens.css", "syncwatch-dashboard.js", "deadbeef.js", "x-facade.js"] {
            assert!(!is_hashed(name), "{name}");
        }
    }
}
