//! Admission: who is calling, from where, and what they may do, and how often.

pub mod authenticate;
pub mod origin;
pub mod permissions;
pub mod rate_limit;
