//! What can be read: one file a read model.

pub mod comments;
pub mod doctor;
pub mod health;
pub mod inbox;
pub mod posts;
pub mod recovery;
pub mod trending;
pub mod users;
