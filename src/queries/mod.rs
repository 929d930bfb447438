//! What can be read: one file a read model.

pub mod health;
pub mod posts;
pub mod recovery;
