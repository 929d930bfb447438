//! What can be asked of Carillon: one file a command. A command decides, writes
//! the content document, and produces one event.

pub mod bookmark_post;
pub mod change_password;
pub mod close_account;
pub mod comment_on_post;
pub mod committer;
pub mod control_account;
pub mod create_api_key;
pub mod deed;
pub mod draft;
pub mod edit_comment;
pub mod edit_post;
pub mod end_session;
pub mod follow_user;
pub mod issue_ticket;
pub mod like_post;
pub mod marking;
pub mod mint;
pub mod once;
pub mod open_session;
pub mod passwords;
pub mod publish;
pub mod publish_post;
pub mod read_notifications;
pub mod register_user;
pub mod remove_comment;
pub mod remove_post;
pub mod settle;
pub mod share_post;
pub mod tokens;
pub mod unbookmark_post;
pub mod unfollow_user;
pub mod unlike_post;
pub mod update_profile;
pub mod validation;
pub mod view_post;
