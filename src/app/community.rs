//! Wires what users do with posts, with each other and with their inbox.

use std::sync::Arc;

use super::stores::Stores;
use super::write_path::WritePath;
use crate::commands::bookmark_post::BookmarkPost;
use crate::commands::comment_on_post::CommentOnPost;
use crate::commands::edit_comment::EditComment;
use crate::commands::edit_post::EditPost;
use crate::commands::follow_user::FollowUser;
use crate::commands::gathered::Gathered;
use crate::commands::like_post::LikePost;
use crate::commands::marking::Marking;
use crate::commands::publish_post::PublishPost;
use crate::commands::read_notifications::ReadNotifications;
use crate::commands::remove_comment::RemoveComment;
use crate::commands::remove_post::RemovePost;
use crate::commands::settle::Settle;
use crate::commands::share_post::SharePost;
use crate::commands::unbookmark_post::UnbookmarkPost;
use crate::commands::unfollow_user::UnfollowUser;
use crate::commands::unlike_post::UnlikePost;
use crate::commands::view_post::ViewPost;
use crate::endpoints::services::Community;

/// All commands of the community.
pub(super) fn community(stores: &Stores, path: &WritePath) -> Community {
    let WritePath { committer, recounts, .. } = path;
    let failpoints = stores.failpoints.clone();
    let committer = || Arc::clone(committer);
    let (content, comments) = (&stores.content, &stores.comments);
    let gathered = Gathered::of(content, &stores.marks, comments, &stores.log);
    let settle = || Settle {
        missing: gathered.missing.clone(),
        committer: committer(),
        recounts: Arc::clone(recounts),
    };
    let marking = Arc::new(Marking {
        marks: Arc::clone(&stores.marks),
        gathered: gathered.clone(),
        settle: settle(),
        committer: committer(),
        failpoints: failpoints.clone(),
    });
    let marking = || Arc::clone(&marking);
    let content = || Arc::clone(content);
    let comments = || Arc::clone(comments);
    let accounts = || Arc::clone(&stores.accounts);
    Community {
        publish_post: PublishPost {
            content: content(),
            committer: committer(),
            failpoints: failpoints.clone(),
        },
        edit_post: EditPost { content: content(), settle: settle(), committer: committer() },
        remove_post: RemovePost { content: content(), settle: settle(), committer: committer() },
        like_post: LikePost { marking: marking() },
        unlike_post: UnlikePost { marking: marking() },
        bookmark_post: BookmarkPost { marking: marking() },
        unbookmark_post: UnbookmarkPost { marking: marking() },
        share_post: SharePost { marking: marking() },
        view_post: ViewPost { marking: marking() },
        comment_on_post: CommentOnPost {
            comments: comments(),
            gathered: gathered.clone(),
            accounts: accounts(),
            committer: committer(),
            failpoints,
        },
        edit_comment: EditComment {
            content: content(),
            comments: comments(),
            settle: settle(),
            committer: committer(),
        },
        remove_comment: RemoveComment {
            content: content(),
            comments: comments(),
            settle: settle(),
            committer: committer(),
        },
        follow_user: FollowUser { accounts: accounts(), marking: marking() },
        unfollow_user: UnfollowUser { accounts: accounts(), marking: marking() },
        read_notifications: ReadNotifications {
            inbox: Arc::clone(&stores.inbox),
            settle: settle(),
            committer: committer(),
        },
    }
}
