//! Problems: what a caller did wrong or must know, with a code that never changes.

use std::borrow::Cow;
use std::time::Duration;

/// What kind of answer a problem is, as HTTP (RFC 9110) classes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// 400: the request cannot be read.
    BadRequest,
    /// 401: the caller is not known.
    Unauthorized,
    /// 403: the caller may not do this.
    Forbidden,
    /// 404: there is no such thing, or not for this caller.
    NotFound,
    /// 405: the path does not take this method.
    MethodNotAllowed,
    /// 409: it cannot be done as things stand.
    Conflict,
    /// 413: the body is too large.
    TooLarge,
    /// 415: the body is of another type.
    UnsupportedType,
    /// 422: the request can be read, but says something impossible.
    Invalid,
    /// 429: too much was asked.
    TooMany,
    /// 500: a fault of this program.
    Internal,
    /// 503: something that is needed does not answer.
    Unavailable,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the body, or the path to it.
    pub field: Cow<'static, str>,
    /// Stable.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

/// Why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// Decides the status.
    pub kind: ProblemKind,
    /// Stable; programs tell problems apart by it.
    pub code: &'static str,
    /// For people.
    pub detail: String,
    /// One entry a field that is wrong.
    pub errors: Vec<FieldError>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

impl Problem {
    /// A problem without details of fields.
    pub fn new(kind: ProblemKind, code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, code, detail: detail.into(), errors: Vec::new(), retry_after: None }
    }

    /// 422 with one entry a wrong field.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = "Some fields are not valid; `errors` says which and why.";
        Self { errors, ..Self::new(ProblemKind::Invalid, "invalid_fields", detail) }
    }

    /// 401: no token, or one that is unknown, expired or revoked.
    pub fn unauthorized() -> Self {
        let detail = "A valid session token is needed in the header Authorization: Bearer.";
        Self::new(ProblemKind::Unauthorized, "unauthorized", detail)
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::new(ProblemKind::NotFound, "not_found", format!("There is no such {what}."))
    }

    /// 503: a store does not answer, and nothing was written.
    pub fn unavailable(store: &str) -> Self {
        let detail = format!("The store of {store} does not answer. Try again later.");
        let problem = Self::new(ProblemKind::Unavailable, "store_unavailable", detail);
        Self { retry_after: Some(Duration::from_secs(1)), ..problem }
    }

    /// 503: a write may or may not have taken place.
    pub fn outcome_unknown() -> Self {
        let detail = "The event log did not answer in time, so the outcome is unknown. \
                      Repeat the request with the same Idempotency-Key.";
        let problem = Self::new(ProblemKind::Unavailable, "outcome_unknown", detail);
        Self { retry_after: Some(Duration::from_secs(1)), ..problem }
    }

    /// Whether the request was refused before anything was written.
    pub fn wrote_nothing(&self) -> bool {
        !matches!(self.kind, ProblemKind::Internal | ProblemKind::Unavailable)
    }
}
