//! What a token claims, once it is known who signed it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Number, Value};

use super::Refusal;
use crate::domain::namespace::Overrides;
use crate::domain::publication::Json;
use crate::domain::time::Timestamp;

/// How long the name of a user may be, in bytes; as long as that of a channel.
const USER_MAX_BYTES: usize = 255;

/// What every token must claim.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// One of its audiences; empty: none is demanded.
    pub audience: String,
    /// Its issuer; empty: none is demanded.
    pub issuer: String,
    /// The claim that names the user; empty: `sub`.
    pub user_id_claim: String,
}

/// A connection token that is good.
#[derive(Debug)]
pub struct ConnectionToken {
    /// Whose it is; empty for an anonymous user.
    pub user: String,
    /// When the connection expires, which may have been before now; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// What others may know about the connection.
    pub info: Option<Arc<Json>>,
    /// What nobody but the server may know about it.
    pub meta: Option<Arc<Json>>,
    /// The channels that the server subscribes the connection to.
    pub subs: BTreeMap<String, Grant>,
}

/// A subscription token that is good.
#[derive(Debug)]
pub struct SubscriptionToken {
    /// Whose it is; empty for an anonymous user.
    pub user: String,
    /// The channel.
    pub channel: String,
    /// The id of the one connection that may use it; empty: any of the user.
    pub client: String,
    /// When the subscription expires, which may have been before now; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// How the channel is joined.
    pub grant: Grant,
}

/// How a channel is joined with a token.
#[derive(Debug, Default)]
pub struct Grant {
    /// What others may know about the subscription.
    pub info: Option<Arc<Json>>,
    /// What the subscriber is told.
    pub data: Option<Arc<Json>>,
    /// Which options of the channel are others for this subscriber.
    pub overrides: Overrides,
}

impl ConnectionToken {
    /// Reads the claims of a token whose signature is good.
    pub(super) fn read(json: &str, demands: &Demands, now: Timestamp) -> Result<Self, Refusal> {
        let registered = Registered::read(json, demands)?;
        let claims: ConnectionClaims = parse(json)?;
        // Or else whoever may join one channel could connect with that.
        if claims.channel.is_some_and(|channel| !channel.is_empty()) {
            return Err(Refusal::Invalid);
        }
        registered.check_time(now)?;
        let mut subs = BTreeMap::new();
        for (channel, grant) in claims.subs.unwrap_or_default() {
            subs.insert(channel, grant.read()?);
        }
        if subs.is_empty() {
            let channels = claims.channels.unwrap_or_default();
            subs = channels.into_iter().map(|channel| (channel, Grant::default())).collect();
        }
        Ok(Self {
            user: registered.user(json, demands)?,
            expires_at: expiry(claims.expire_at, registered.exp),
            info: payload(claims.info, claims.b64info)?,
            meta: payload(claims.meta, None)?,
            subs,
        })
    }
}

impl SubscriptionToken {
    /// Reads the claims of a token whose signature is good.
    pub(super) fn read(json: &str, demands: &Demands, now: Timestamp) -> Result<Self, Refusal> {
        let registered = Registered::read(json, demands)?;
        let claims: SubscriptionClaims = parse(json)?;
        registered.check_time(now)?;
        let channel = claims.channel.filter(|channel| !channel.is_empty());
        Ok(Self {
            user: registered.user(json, demands)?,
            channel: channel.ok_or(Refusal::Invalid)?,
            client: claims.client.unwrap_or_default(),
            expires_at: expiry(claims.expire_at, registered.exp),
            grant: parse::<GrantClaims>(json)?.read()?,
        })
    }
}

/// The claims of RFC 7519 that count.
#[derive(Deserialize)]
struct Registered {
    sub: Option<String>,
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    /// Of no consequence, but must be what it is called.
    #[serde(rename = "iat")]
    _iat: Option<NumericDate>,
    aud: Option<Audience>,
    iss: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Registered {
    fn read(json: &str, demands: &Demands) -> Result<Self, Refusal> {
        let claims: Self = parse(json)?;
        let named = |audience: &Audience| match audience {
            Audience::One(one) => *one == demands.audience,
            Audience::Several(several) => several.contains(&demands.audience),
        };
        let for_us = demands.audience.is_empty() || claims.aud.as_ref().is_some_and(named);
        let from_them = demands.issuer.is_empty() || claims.iss.as_ref() == Some(&demands.issuer);
        if for_us && from_them { Ok(claims) } else { Err(Refusal::Invalid) }
    }

    /// As in Centrifugo, a token that is not valid yet is one that a new token may be asked for.
    fn check_time(&self, now: Timestamp) -> Result<(), Refusal> {
        let is_over = self.exp.is_some_and(|exp| exp.0 <= now);
        let is_early = self.nbf.is_some_and(|nbf| nbf.0 > now);
        if is_over || is_early { Err(Refusal::Expired) } else { Ok(()) }
    }

    fn user(&self, json: &str, demands: &Demands) -> Result<String, Refusal> {
        let user = match demands.user_id_claim.as_str() {
            "" => self.sub.clone().unwrap_or_default(),
            claim => match parse::<BTreeMap<String, Value>>(json)?.remove(claim) {
                Some(Value::String(user)) => user,
                Some(Value::Number(user)) => user.to_string(),
                None | Some(Value::Null) => String::new(),
                Some(_) => return Err(Refusal::Invalid),
            },
        };
        let is_name = user.len() <= USER_MAX_BYTES && !user.contains(char::is_control);
        if is_name { Ok(user) } else { Err(Refusal::Invalid) }
    }
}

#[derive(Deserialize)]
struct ConnectionClaims {
    channel: Option<String>,
    expire_at: Option<NumericDate>,
    info: Option<Json>,
    b64info: Option<String>,
    meta: Option<Json>,
    channels: Option<Vec<String>>,
    subs: Option<BTreeMap<String, GrantClaims>>,
}

#[derive(Deserialize)]
struct SubscriptionClaims {
    channel: Option<String>,
    client: Option<String>,
    expire_at: Option<NumericDate>,
}

#[derive(Deserialize)]
struct GrantClaims {
    info: Option<Json>,
    b64info: Option<String>,
    data: Option<Json>,
    b64data: Option<String>,
    r#override: Option<Overrides>,
}

impl GrantClaims {
    fn read(self) -> Result<Grant, Refusal> {
        Ok(Grant {
            info: payload(self.info, self.b64info)?,
            data: payload(self.data, self.b64data)?,
            overrides: self.r#override.unwrap_or_default(),
        })
    }
}

/// Seconds since the Unix epoch, which may have a fraction.
#[derive(Clone, Copy)]
struct NumericDate(Timestamp);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = Number::deserialize(deserializer)?;
        let ms = match (number.as_i64(), number.as_f64()) {
            (Some(seconds), _) => seconds.saturating_mul(1_000),
            // A cast saturates.
            (None, Some(seconds)) if seconds.is_finite() => (seconds * 1_000.0) as i64,
            _ => return Err(de::Error::custom("no point in time")),
        };
        Ok(Self(Timestamp::from_millis(ms)))
    }
}

/// When what the token is for expires: `expire_at` counts before `exp`, and 0 is never.
fn expiry(expire_at: Option<NumericDate>, exp: Option<NumericDate>) -> Option<Timestamp> {
    let never = Timestamp::from_millis(0);
    match expire_at {
        Some(NumericDate(at)) => Some(at).filter(|at| *at > never),
        None => exp.map(|NumericDate(at)| at),
    }
}

/// A claim with a payload, given as it is or in base 64. Here it must be JSON, which not every store could keep if
/// it holds the NUL character.
fn payload(json: Option<Json>, base64: Option<String>) -> Result<Option<Arc<Json>>, Refusal> {
    let json = match base64.filter(|text| !text.is_empty()) {
        Some(text) => {
            let bytes = STANDARD.decode(text).map_err(|_| Refusal::Invalid)?;
            let text = String::from_utf8(bytes).map_err(|_| Refusal::Invalid)?;
            Some(Json::from_string(text).map_err(|_| Refusal::Invalid)?)
        }
        None => json,
    };
    match json {
        Some(json) if json.holds_nul() => Err(Refusal::Invalid),
        json => Ok(json.map(Arc::new)),
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Refusal> {
    // serde would read an array as the fields in their order.
    if !json.trim_start().starts_with('{') {
        return Err(Refusal::Invalid);
    }
    serde_json::from_str(json).map_err(|_| Refusal::Invalid)
}
