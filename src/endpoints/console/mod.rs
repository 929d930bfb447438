//! The product's page and the API's reference: a few files that are built into
//! the binary. They take nothing from elsewhere, and their policy forbids it.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::reply::Refused;
use crate::domain::problem::Problem;

/// What the pages may do: load what is served here, talk to where they came
/// from (`'self'` covers the WebSocket of the same host), and nothing else. No
/// text ever becomes markup, which Trusted Types enforce where they exist.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; \
    form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page.
struct Asset {
    content_type: &'static str,
    text: &'static str,
    /// Of the text; computed by the compiler.
    hash: u64,
}

impl Asset {
    const fn new(content_type: &'static str, text: &'static str) -> Self {
        Self { content_type, text, hash: fnv1a(text.as_bytes()) }
    }
}

const PAGE: Asset = Asset::new(HTML, include_str!("index.html"));
const STYLE: Asset = Asset::new(CSS, include_str!("console.css"));
const CONSOLE: Asset = Asset::new(SCRIPT, include_str!("console.js"));
const DIALOGS: Asset = Asset::new(SCRIPT, include_str!("dialogs.js"));
const MARKUP: Asset = Asset::new(SCRIPT, include_str!("markup.js"));
const REALTIME: Asset = Asset::new(SCRIPT, include_str!("realtime.js"));
const REQUESTS: Asset = Asset::new(SCRIPT, include_str!("requests.js"));
const WRITES: Asset = Asset::new(SCRIPT, include_str!("writes.js"));
const DOCS: Asset = Asset::new(HTML, include_str!("docs.html"));
const DOCS_SCRIPT: Asset = Asset::new(SCRIPT, include_str!("docs.js"));

/// `GET /`
pub async fn page(headers: HeaderMap) -> Response {
    serve(&PAGE, &headers)
}

/// `GET /console.css`
pub async fn style(headers: HeaderMap) -> Response {
    serve(&STYLE, &headers)
}

/// `GET /console.js`
pub async fn script(headers: HeaderMap) -> Response {
    serve(&CONSOLE, &headers)
}

/// `GET /console/{module}`: what the scripts import.
pub async fn module(Path(module): Path<String>, headers: HeaderMap) -> Result<Response, Refused> {
    let asset = match module.as_str() {
        "dialogs.js" => &DIALOGS,
        "markup.js" => &MARKUP,
        "realtime.js" => &REALTIME,
        "requests.js" => &REQUESTS,
        "writes.js" => &WRITES,
        _ => return Err(Problem::not_found("module").into()),
    };
    Ok(serve(asset, &headers))
}

/// `GET /docs`
pub async fn docs(headers: HeaderMap) -> Response {
    serve(&DOCS, &headers)
}

/// `GET /docs.js`
pub async fn docs_script(headers: HeaderMap) -> Response {
    serve(&DOCS_SCRIPT, &headers)
}

/// The file, or that the caller's copy is still the same. It is asked for every
/// time, so that a new version of the binary is seen at once.
fn serve(asset: &Asset, headers: &HeaderMap) -> Response {
    let tag = format!("\"{:016x}\"", asset.hash);
    let held = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh = held.is_some_and(|held| holds(held, &tag));
    let mut response = if fresh {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.content_type)], asset.text).into_response()
    };
    let answered = response.headers_mut();
    for (name, value) in always() {
        answered.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answered.insert(header::ETAG, tag);
    }
    response
}

fn always() -> [(HeaderName, &'static str); 5] {
    [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ]
}

/// Whether an `If-None-Match` names `tag`; a proxy may have made it weak.
pub(super) fn holds(held: &str, tag: &str) -> bool {
    let mut tags = held.split(',').map(str::trim);
    tags.any(|held| held == "*" || held.trim_start_matches("W/") == tag)
}

/// FNV-1a, as published by Fowler, Noll and Vo: enough to tell two versions of a
/// file apart, and short enough for the compiler to run.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_sent_once_as_long_as_it_stays_the_same() {
        let first = page(HeaderMap::new()).await;
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CONTENT_TYPE], HTML);
        assert_eq!(first.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
        let tag = first.headers()[header::ETAG].clone();

        let again = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag.clone())]);
        assert_eq!(page(again.clone()).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(style(again).await.status(), StatusCode::OK);
        let weak = format!("\"other\", W/{}", tag.to_str().unwrap());
        let weak = HeaderMap::from_iter([(header::IF_NONE_MATCH, weak.parse().unwrap())]);
        assert_eq!(page(weak).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn every_module_that_a_script_imports_is_served() {
        let scripts = [&CONSOLE, &DIALOGS, &MARKUP, &REALTIME, &REQUESTS, &WRITES, &DOCS_SCRIPT];
        for script in scripts {
            for import in script.text.split("from \"/console/").skip(1) {
                let name = import.split('"').next().unwrap().to_owned();
                let answer = module(Path(name.clone()), HeaderMap::new()).await.unwrap();
                assert_eq!(answer.status(), StatusCode::OK, "{name}");
            }
        }
        assert!(module(Path("other.js".to_owned()), HeaderMap::new()).await.is_err());
    }

    #[test]
    fn the_pages_name_nothing_outside() {
        for asset in [&PAGE, &DOCS, &STYLE] {
            for attribute in
                ["src=\"http", "href=\"http", "url(", "@import", " style=\"", " onclick="]
            {
                assert!(!asset.text.contains(attribute), "{attribute}");
            }
        }
        for script in [&CONSOLE, &DIALOGS, &MARKUP, &REALTIME, &REQUESTS, &WRITES, &DOCS_SCRIPT] {
            for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("]
            {
                assert!(!script.text.contains(sink), "{sink}");
            }
        }
    }
}
