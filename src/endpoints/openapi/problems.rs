//! Which problems an operation can give. Most follow from what it takes; what does not, its handler names.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{
    Content, Header, Object, Ref, RefOr, Response, ResponseBuilder, Type, schema::Components,
};

use crate::endpoints::limited::{LoggingIn, Registering, Writer};

/// A kind of problem that operations share, with the headers that it has besides the request's id.
struct Shared {
    name: &'static str,
    status: &'static str,
    description: &'static str,
    headers: &'static [&'static str],
}

const fn shared(name: &'static str, status: &'static str, description: &'static str) -> Shared {
    Shared { name, status, description, headers: &[] }
}

const BAD_REQUEST: Shared = shared("BadRequest", "400", "The request cannot be read.");
const UNAUTHORIZED: Shared =
    shared("Unauthorized", "401", "No token or key was shown, or one that is not valid.");
const FORBIDDEN: Shared = shared("Forbidden", "403", "The caller may not do this.");
const NOT_FOUND: Shared =
    shared("NotFound", "404", "There is no such thing, or not for this caller.");
const CONFLICT: Shared = Shared {
    headers: &["Retry-After"],
    ..shared("Conflict", "409", "It cannot be done as things stand.")
};
const TOO_LARGE: Shared = shared("TooLarge", "413", "The body is too large: `body_too_large`.");
const UNSUPPORTED: Shared =
    shared("UnsupportedType", "415", "The body is no JSON: `unsupported_media_type`.");
const INVALID: Shared = shared(
    "Invalid",
    "422",
    "The request can be read, but says something impossible; `errors` tells of fields.",
);
const TOO_MANY: Shared = Shared {
    headers: &["RateLimit", "RateLimit-Policy", "Retry-After"],
    ..shared("TooMany", "429", "Too much was asked: `rate_limited`, `too_many_logins`.")
};
const UNAVAILABLE: Shared = Shared {
    headers: &["Retry-After"],
    ..shared(
        "Unavailable",
        "503",
        "Something that is needed does not answer. After `outcome_unknown` and `request_timeout` a write may have \
         taken place: repeat it with the same Idempotency-Key.",
    )
};
const OTHER: Shared = shared("Other", "default", "Any other problem.");

const ALL: [&Shared; 11] = [
    &BAD_REQUEST,
    &UNAUTHORIZED,
    &FORBIDDEN,
    &NOT_FOUND,
    &CONFLICT,
    &TOO_LARGE,
    &UNSUPPORTED,
    &INVALID,
    &TOO_MANY,
    &UNAVAILABLE,
    &OTHER,
];

/// The headers that answers share, with what they say.
const HEADERS: [(&str, Type, &str); 4] = [
    ("X-Request-Id", Type::String, "Names the request in the operators' log: a UUID."),
    (
        "RateLimit",
        Type::String,
        "What is left: `\"writes\";r=119;t=1`, where `t` is in seconds \
         (draft-ietf-httpapi-ratelimit-headers).",
    ),
    (
        "RateLimit-Policy",
        Type::String,
        "The limit: `\"writes\";q=120;w=60`, where `w` is in seconds.",
    ),
    ("Retry-After", Type::Integer, "Seconds after which trying again makes sense."),
];

impl Shared {
    fn reference(&self) -> RefOr<Response> {
        RefOr::Ref(Ref::from_response_name(self.name))
    }

    /// The same, where more is known about why.
    fn because(&self, description: &str) -> BTreeMap<String, RefOr<Response>> {
        let mut reference = Ref::from_response_name(self.name);
        description.clone_into(&mut reference.description);
        BTreeMap::from([(self.status.to_owned(), RefOr::Ref(reference))])
    }

    fn response(&self) -> Response {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        let mut response = ResponseBuilder::new()
            .description(self.description)
            .content("application/problem+json", problem)
            .build();
        for name in ["X-Request-Id"].iter().chain(self.headers) {
            response.headers.insert((*name).to_owned(), header(name));
        }
        response
    }
}

fn header(name: &str) -> RefOr<Header> {
    RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))
}

/// Defines what the operations refer to.
pub(super) fn define(components: &mut Components) {
    for shared in ALL {
        components.responses.insert(shared.name.to_owned(), RefOr::T(shared.response()));
    }
    for (name, kind, description) in HEADERS {
        let header = HeaderBuilder::new()
            .schema(Some(Object::with_type(kind)))
            .description(Some(description))
            .build();
        components.headers.insert(name.to_owned(), RefOr::T(header));
    }
}

/// Adds the problems that follow from what an operation takes, and the headers that its answers have.
pub(super) fn complete(path: &str, operation: &mut Operation) {
    for shared in following(path, operation) {
        let responses = &mut operation.responses.responses;
        responses.entry(shared.status.to_owned()).or_insert_with(|| shared.reference());
    }
    let is_limited = operation.responses.responses.contains_key(TOO_MANY.status);
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let mut names = vec!["X-Request-Id"];
        if is_limited {
            names.extend(["RateLimit", "RateLimit-Policy"]);
        }
        for name in names {
            response.headers.insert(name.to_owned(), header(name));
        }
        if response.description.is_empty() {
            said_by(status).clone_into(&mut response.description);
        }
    }
}

fn following(path: &str, operation: &Operation) -> Vec<&'static Shared> {
    let mut found = vec![&OTHER];
    if path.starts_with("/v1/") || path.starts_with("/api/") {
        found.push(&UNAVAILABLE);
    }
    if operation.security.as_ref().is_some_and(|security| !security.is_empty()) {
        found.push(&UNAUTHORIZED);
    }
    if operation.request_body.is_some() {
        found.extend([&BAD_REQUEST, &TOO_LARGE, &UNSUPPORTED, &INVALID]);
    }
    for parameter in operation.parameters.iter().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        match parameter.parameter_in {
            ParameterIn::Path => found.push(&NOT_FOUND),
            ParameterIn::Query => found.extend([&BAD_REQUEST, &INVALID]),
            // The Idempotency-Key.
            ParameterIn::Header => found.extend([&BAD_REQUEST, &CONFLICT, &INVALID]),
            _ => {}
        }
    }
    found
}

fn said_by(status: &str) -> &'static str {
    match status {
        "101" => "From here on the connection is a WebSocket.",
        "201" => "It was made.",
        "204" => "It was done; there is nothing to say about it.",
        _ => "This is how it is now.",
    }
}

/// Types that stand for a problem among the responses of a handler.
macro_rules! stands_for {
    ($($name:ty: $shared:expr, $description:literal;)*) => {
        $(impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                $shared.because($description)
            }
        })*
    };
}

/// The caller did not write it.
pub struct NotTheAuthor;
/// The current password was not the one that was given.
pub struct WrongPassword;
/// Pages of the caller's origin may not connect.
pub struct ForeignOrigin;
/// The request is no opening handshake.
pub struct NotAWebsocket;
/// The settings switch the transport off.
pub struct SwitchedOff;
/// The stream that is spoken to is not there.
pub struct NoStream;
/// There is no such login, or it has another password.
pub struct InvalidCredentials;
/// The mail address or the user name is another account's.
pub struct Taken;

stands_for! {
    Writer: TOO_MANY, "Too many writes for the account's plan: `rate_limited`.";
    Registering: TOO_MANY, "Too many registrations from the caller's address: `rate_limited`.";
    LoggingIn: TOO_MANY, "Too many logins: `rate_limited` from the caller's address, or `too_many_logins` at once.";
    NotTheAuthor: FORBIDDEN, "It is another's: `not_the_author`.";
    WrongPassword: FORBIDDEN, "The current password is wrong: `wrong_password`.";
    ForeignOrigin: FORBIDDEN, "Pages of this origin may not connect: `origin_not_allowed`.";
    NotAWebsocket: BAD_REQUEST, "The request opens no WebSocket: `not_a_websocket_handshake`.";
    SwitchedOff: NOT_FOUND, "The settings of this hub switch this transport off: `transport_disabled`.";
    NoStream: NOT_FOUND, "There is no stream of this session, or no more: `not_found`.";
    InvalidCredentials: UNAUTHORIZED, "The login or the password is wrong: `invalid_credentials`.";
    Taken: CONFLICT, "Another account has it: `email_taken`, `username_taken`.";
}
