//! What is limited: extractors that take one of a quota before anything else is read, and the headers that say what is
//! left of it (draft-ietf-httpapi-ratelimit-headers).

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::listener::Peer;
use super::reply::Refused;
use super::request::{App, Caller};
use crate::admission::rate_limit::Taken;
use crate::domain::account::SignedIn;
use crate::domain::problem::{Problem, ProblemKind};

/// Where an extractor leaves what was taken, so that every answer to the request can say it.
#[derive(Clone, Debug, Default)]
pub struct TakenCell(Arc<OnceLock<Taken>>);

impl TakenCell {
    /// Writes `RateLimit` and `RateLimit-Policy`, if the request was limited.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        let Some(Taken { policy, quota, allowance }) = self.0.get() else {
            return;
        };
        let (limit, window) = (quota.limit, quota.window.as_secs());
        let (remaining, reset) = (allowance.remaining, seconds(allowance.reset));
        for (name, text) in [
            ("ratelimit-policy", format!("\"{policy}\";q={limit};w={window}")),
            ("ratelimit", format!("\"{policy}\";r={remaining};t={reset}")),
        ] {
            // Policies have plain names, so that it is always a value.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

/// Whole seconds, rounded up: whoever waits as long as it is told has waited long enough.
pub fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Lets the request pass if one was there to take, or is not limited.
fn admit(parts: &Parts, taken: Option<Taken>) -> Result<(), Refused> {
    let Some(taken) = taken else {
        return Ok(());
    };
    if let Some(cell) = parts.extensions.get::<TakenCell>() {
        // Only the first limit is told, where a request has two.
        cell.0.get_or_init(|| taken);
    }
    Ok(taken.check()?)
}

/// The caller, who must be logged in, and for whom one write is taken.
pub struct Writer(pub SignedIn);

impl FromRequestParts<App> for Writer {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let Caller(signed_in) = Caller::from_request_parts(parts, app).await?;
        admit(parts, app.rate_limiter.write(&signed_in.user).await)?;
        Ok(Self(signed_in))
    }
}

/// The address of whoever registers, for which one registration is taken.
pub struct Registering(pub IpAddr);

impl FromRequestParts<App> for Registering {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let ClientIp(ip) = ClientIp::from_request_parts(parts, app).await?;
        admit(parts, app.rate_limiter.registration(ip).await)?;
        Ok(Self(ip))
    }
}

/// The address of whoever logs in, for which one login is taken.
pub struct LoggingIn(pub IpAddr);

impl FromRequestParts<App> for LoggingIn {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let ClientIp(ip) = ClientIp::from_request_parts(parts, app).await?;
        admit(parts, app.rate_limiter.login(ip).await)?;
        Ok(Self(ip))
    }
}

/// The caller's address: what the trusted header says, else where the connection comes from.
pub struct ClientIp(pub IpAddr);

impl FromRequestParts<App> for ClientIp {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let header = app.limits.client_ip_header.as_ref();
        if let Some(ip) = header.and_then(|name| named(&parts.headers, name)) {
            return Ok(Self(ip));
        }
        match parts.extensions.get::<ConnectInfo<Peer>>() {
            Some(ConnectInfo(Peer(peer))) => Ok(Self(peer.ip())),
            None => {
                let detail = "The address of the caller is not known.";
                Err(Problem::new(ProblemKind::Internal, "internal_error", detail).into())
            }
        }
    }
}

/// The address in a proxy's header: the last one, for those before it came from the caller.
fn named(headers: &HeaderMap, name: &HeaderName) -> Option<IpAddr> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    let last = value.rsplit(',').next()?.trim();
    let address = last.parse().ok();
    // Some proxies add the port.
    address.or_else(|| last.parse().ok().map(|address: std::net::SocketAddr| address.ip()))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::ports::rate_limits::{Allowance, Quota};

    #[test]
    fn the_headers_say_what_is_left_and_until_when() {
        let cell = TakenCell::default();
        let mut headers = HeaderMap::new();
        cell.write_headers(&mut headers);
        assert!(headers.is_empty(), "the request was not limited");

        let allowance = Allowance {
            allowed: true,
            limit: 120,
            remaining: 119,
            reset: Duration::from_millis(500),
            retry_after: Duration::ZERO,
        };
        let quota = Quota::per_minute(NonZeroU32::new(120).unwrap());
        cell.0.get_or_init(|| Taken { policy: "writes", quota, allowance });
        cell.write_headers(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"writes\";q=120;w=60");
        assert_eq!(headers["ratelimit"], "\"writes\";r=119;t=1");
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (nanos, expected) in [(0, 0), (1, 1), (1_000_000_000, 1), (1_000_000_001, 2)] {
            assert_eq!(seconds(Duration::from_nanos(nanos)), expected);
        }
    }

    #[test]
    fn the_last_address_of_a_proxys_header_is_the_callers() {
        let name = HeaderName::from_static("x-forwarded-for");
        for (values, expected) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["10.9.9.9, 192.0.2.1"], Some("192.0.2.1")),
            (&["10.9.9.9", " 2001:db8::1 "], Some("2001:db8::1")),
            (&["192.0.2.1:4711"], Some("192.0.2.1")),
            (&["[2001:db8::1]:4711"], Some("2001:db8::1")),
            (&["192.0.2.1, unknown"], None),
            (&[""], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&name, HeaderValue::from_static(value));
            }
            let expected = expected.map(|ip: &str| ip.parse().unwrap());
            assert_eq!(named(&headers, &name), expected, "{values:?}");
        }
    }
}
