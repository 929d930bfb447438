//! Reading emulation requests.

use super::read_fields;
use crate::client_protocol::emulation::EmulationRequest;

impl EmulationRequest {
    /// Reads a request in Protobuf; `None` if it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut request = Self::default();
        let read = read_fields(bytes, |field, value| {
            match field {
                1 => request.node = value.text()?,
                2 => request.session = value.text()?,
                3 => request.data = value.bytes()?.to_vec(),
                _ => {}
            }
            Ok(())
        });
        read.is_ok().then_some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read() {
        let request = EmulationRequest::decode(b"\x0a\x01n\x12\x01s\x1a\x02{}").unwrap();
        let expected =
            EmulationRequest { node: "n".into(), session: "s".into(), data: b"{}".to_vec() };
        assert_eq!(request, expected);
        assert_eq!(EmulationRequest::decode(b"{}"), None);
    }
}
