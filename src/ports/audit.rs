//! What an audit reads of each store, whole and in pages, and the few ways in which it puts something right.
//!
//! Everything here may be asked beside live nodes: nothing is locked for longer than one page takes, and what a
//! single answer says was true at one moment.

pub mod analytics;
pub mod content;
pub mod log;
pub mod trending;
