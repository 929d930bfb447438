//! What a client says that hears on one HTTP request and speaks on others.

/// `EmulationRequest`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EmulationRequest {
    /// The node of the connection, as the connect reply names it.
    pub node: String,
    /// The session of the connection, as the connect reply names it.
    pub session: String,
    /// Encoded commands.
    pub data: Vec<u8>,
}
