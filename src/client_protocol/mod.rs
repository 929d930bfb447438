//! The wire types of the Centrifugal client protocol, version 2, in JSON and in Protobuf.
//!
//! Names, fields and codes are those of `definitions/client.proto` in the public
//! repository centrifugal/protocol and of Centrifugo 6.

pub mod codes;
pub mod command;
pub mod directive;
pub mod emulation;
pub mod encoding;
pub mod fossil;
pub mod node;
mod protobuf;
pub mod reply;
