//! Admission: who is calling, from where, and what they may do.

pub mod authenticate;
pub mod origin;
pub mod permissions;
