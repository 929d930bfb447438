//! Agreeing on compressed messages in the opening handshake (RFC 7692, sections 5 and 7.1).

use std::num::NonZeroU8;

use super::deflate::WINDOW_BITS;

/// What was agreed with a client about compressed messages. Neither side keeps anything from one message to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// How far back compressed messages to this client may refer, as a power of two; 8 to 15 if it has named a bound.
    server_max_window_bits: Option<NonZeroU8>,
}

impl Agreement {
    /// Accepts the first of a client's offers that can be accepted. `headers` are the values of its
    /// `Sec-WebSocket-Extensions`.
    pub fn with<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        headers.into_iter().flat_map(|header| pieces(header, ',')).find_map(Self::on)
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    ///
    /// What the client may use is never bounded: any message is decompressed with the largest window there is.
    pub fn answer(self) -> String {
        let agreed =
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover".to_owned();
        match self.server_max_window_bits {
            Some(bits) => {
                format!("{agreed}; server_max_window_bits={}", bits.get().min(WINDOW_BITS))
            }
            None => agreed,
        }
    }

    /// Whether a message of this many bytes, compressed as all are, can be understood by the client: one that has a
    /// window smaller than the compressor's understands what is shorter than its own.
    pub fn admits(self, length: usize) -> bool {
        self.server_max_window_bits
            .is_none_or(|bits| bits.get() >= WINDOW_BITS || length <= 1 << bits.get())
    }

    /// Accepts one offer, or declines it: what it asks for, as far as it is known, must make sense.
    fn on(offer: &str) -> Option<Self> {
        let mut parameters = pieces(offer, ';').map(str::trim);
        if parameters.next() != Some("permessage-deflate") {
            return None;
        }
        let mut server_max_window_bits = None;
        let mut seen = Vec::new();
        for parameter in parameters {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start())?)),
                None => (parameter, None),
            };
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover", None)
                | ("client_max_window_bits", None) => {}
                ("client_max_window_bits", Some(bits)) => drop(window_bits(bits)?),
                ("server_max_window_bits", Some(bits)) => {
                    server_max_window_bits = Some(window_bits(bits)?);
                }
                _ => return None,
            }
        }
        Some(Self { server_max_window_bits })
    }
}

/// Splits at a separator, but for those in quotes.
fn pieces(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return c == separator && !quoted,
        }
        false
    })
}

/// A value without its quotes; none if only one of them is there.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

/// 8 to 15, without zeros before it (RFC 7692, section 7.1.2).
fn window_bits(text: &str) -> Option<NonZeroU8> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    let bits: NonZeroU8 = is_plain.then(|| text.parse().ok())??;
    (8..=15).contains(&bits.get()).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGREED: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    /// What the offers in these headers are answered with.
    fn answer(headers: &[&str]) -> Option<String> {
        Agreement::with(headers.iter().copied()).map(Agreement::answer)
    }

    #[test]
    fn offers_of_browsers_and_libraries_are_accepted() {
        for offer in [
            "permessage-deflate",
            // Chromium, Node's ws and Python's websockets; Firefox offers the bare name.
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=10 ; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits=\"15\"; client_no_context_takeover",
        ] {
            assert_eq!(answer(&[offer]).as_deref(), Some(AGREED), "{offer}");
        }
        // One that bounds both windows, as Python's websockets may be told to.
        let both = "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12";
        assert_eq!(answer(&[both]), Some(format!("{AGREED}; server_max_window_bits=12")));
        let narrow = "permessage-deflate; server_max_window_bits = \"9\"";
        assert_eq!(answer(&[narrow]), Some(format!("{AGREED}; server_max_window_bits=9")));
        let wide = "permessage-deflate; server_max_window_bits=15";
        assert_eq!(answer(&[wide]), Some(format!("{AGREED}; server_max_window_bits=12")));
    }

    #[test]
    fn an_offer_that_makes_no_sense_is_declined() {
        for parameter in [
            "x",
            "x=1",
            "",
            "server_max_window_bits",
            "server_max_window_bits=7",
            "server_max_window_bits=16",
            "server_max_window_bits=08",
            "server_max_window_bits=+9",
            "server_max_window_bits=",
            "server_max_window_bits=\"9",
            "server_max_window_bits=9; server_max_window_bits=9",
            "client_max_window_bits=0",
            "client_max_window_bits=300",
            "server_no_context_takeover=1",
            "client_no_context_takeover; client_no_context_takeover",
        ] {
            let offer = format!("permessage-deflate; {parameter}");
            assert_eq!(answer(&[&offer]), None, "{offer}");
            // What else is offered may be accepted.
            let more = format!("{offer} , permessage-deflate");
            assert_eq!(
                answer(&[&more]).as_deref(),
                Some(AGREED).filter(|_| !offer.contains("\"9"))
            );
        }
        for offer in ["", ",", "x-webkit-deflate-frame", "permessage-deflate2", "\"", ";;"] {
            assert_eq!(answer(&[offer]), None, "{offer}");
        }
    }

    #[test]
    fn the_first_offer_that_can_be_accepted_is_whatever_surrounds_it() {
        let headers = ["other; a=\"x, permessage-deflate; \\\", y\", and; b", "permessage-deflate"];
        assert_eq!(answer(&headers[..1]), None);
        assert_eq!(answer(&headers).as_deref(), Some(AGREED));
        let both = "permessage-deflate; server_max_window_bits=10, permessage-deflate";
        assert_eq!(answer(&[both]), Some(format!("{AGREED}; server_max_window_bits=10")));
    }

    #[test]
    fn a_smaller_window_admits_what_it_can_hold() {
        let agreed = |bits: u8| {
            let offer = format!("permessage-deflate; server_max_window_bits={bits}");
            Agreement::with([offer.as_str()]).unwrap()
        };
        for bits in 8..WINDOW_BITS {
            assert!(agreed(bits).admits(1 << bits) && !agreed(bits).admits((1 << bits) + 1));
        }
        for bits in WINDOW_BITS..=15 {
            assert!(agreed(bits).admits(usize::MAX));
        }
        assert!(Agreement::with(["permessage-deflate"]).unwrap().admits(usize::MAX));
        // A connection keeps it.
        assert!(size_of::<Option<Agreement>>() <= 2);
    }
}
