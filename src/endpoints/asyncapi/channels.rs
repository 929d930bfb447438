//! The channels of the product, and what is published to them: the table that the document is made of.

/// A channel, or all those whose names differ in one part only.
pub(super) struct Channel {
    /// Its namespace, by which the document refers to it.
    pub(super) key: &'static str,
    /// Its name, with the part that differs in braces.
    pub(super) address: &'static str,
    /// What that part is called, and what it is.
    pub(super) parameter: Option<(&'static str, &'static str)>,
    /// What it is for.
    pub(super) about: &'static str,
    /// Under which name its messages are kept; some channels have the same.
    pub(super) messages_key: &'static str,
    /// What is published to it.
    pub(super) messages: &'static [Message],
}

/// A publication: what there is in its data besides `type`, `id`, `time` and, mostly, `actor`.
pub(super) struct Message {
    /// The `type`.
    pub(super) kind: &'static str,
    /// What it tells.
    pub(super) about: &'static str,
    /// Whether it says who did it, where somebody did.
    pub(super) has_actor: bool,
    /// Fields that are always there, with the schema of each.
    pub(super) fields: &'static [(&'static str, Shape)],
    /// Schemas whose fields stand in the data itself.
    pub(super) flattened: &'static [&'static str],
}

/// What a field holds.
pub(super) enum Shape {
    /// One thing of this schema.
    One(&'static str),
    /// A list of such things.
    List(&'static str),
}

use Shape::{List, One};

const POST: (&str, Shape) = ("post", One("Post"));
const POST_ID: (&str, Shape) = ("post_id", One("PostId"));
const COUNTS: (&str, Shape) = ("counts", One("PostCounts"));
const COMMENT: (&str, Shape) = ("comment", One("Comment"));
const NOTIFICATION: (&str, Shape) = ("notification", One("Notification"));

const fn message(
    kind: &'static str,
    about: &'static str,
    fields: &'static [(&'static str, Shape)],
) -> Message {
    Message { kind, about, has_actor: true, fields, flattened: &[] }
}

const CORRECTED: &str = "counters.corrected";

const OF_FEEDS: &[Message] = &[
    message(
        "post.published",
        "A post was published. Its content is cut to the excerpt, as in all of these.",
        &[POST],
    ),
    message("post.updated", "A post was changed, archived or brought back.", &[POST]),
    message("post.removed", "A post was removed; what stood in it is not told.", &[POST]),
];

const OF_POSTS: &[Message] = &[
    message(
        "post.updated",
        "The post was changed, archived or brought back.",
        &[POST, POST_ID, COUNTS],
    ),
    message("post.removed", "The post was removed.", &[POST, POST_ID, COUNTS]),
    message("post.liked", "Somebody likes it.", &[POST_ID, COUNTS]),
    message("post.unliked", "Somebody no longer likes it.", &[POST_ID, COUNTS]),
    message("post.bookmarked", "Somebody keeps it.", &[POST_ID, COUNTS]),
    message("post.shared", "Somebody shared it.", &[POST_ID, COUNTS]),
    message("post.commented", "Somebody commented on it.", &[POST_ID, COUNTS, COMMENT]),
    message("comment.edited", "A comment on it was changed.", &[POST_ID, COUNTS, COMMENT]),
    message("comment.removed", "A comment on it was removed.", &[POST_ID, COUNTS, COMMENT]),
    Message {
        has_actor: false,
        ..message(CORRECTED, "Its counts are other ones, and why is not told.", &[POST_ID, COUNTS])
    },
];

const OF_INBOXES: &[Message] = &[
    Message {
        flattened: &["InboxState"],
        ..message("notification.created", "There is something new in the inbox.", &[NOTIFICATION])
    },
    Message {
        flattened: &["InboxState", "InboxRead"],
        ..message(
            "notification.read",
            "Its user read items: those of `ids`, and all up to `through`.",
            &[],
        )
    },
    Message {
        has_actor: false,
        flattened: &["InboxState"],
        ..message(CORRECTED, "How many are unread is another number, and why is not told.", &[])
    },
];

const OF_TRENDING: &[Message] = &[Message {
    has_actor: false,
    ..message(
        "trending.changed",
        "The list is another one: this.",
        &[("items", List("TrendingItem"))],
    )
}];

/// All channels of the product.
pub(super) const CHANNELS: [Channel; 6] = [
    Channel {
        key: "feed",
        address: "feed:all",
        parameter: None,
        about: "Every post.",
        messages_key: "feed",
        messages: OF_FEEDS,
    },
    Channel {
        key: "tag",
        address: "tag:{tag}",
        parameter: Some(("tag", "A tag, as posts have it: in lower case.")),
        about: "The posts with one tag; one that loses it is told of once more.",
        messages_key: "feed",
        messages: OF_FEEDS,
    },
    Channel {
        key: "author",
        address: "author:{id}",
        parameter: Some(("id", "The number of the author's account.")),
        about: "The posts of one author.",
        messages_key: "feed",
        messages: OF_FEEDS,
    },
    Channel {
        key: "post",
        address: "post:{id}",
        parameter: Some(("id", "The id of the post: 24 hex digits.")),
        about: "What happens to one post.",
        messages_key: "post",
        messages: OF_POSTS,
    },
    Channel {
        key: "notifications",
        address: "notifications:#{id}",
        parameter: Some(("id", "The number of the user's own account.")),
        about: "The inbox of one user, whose connections the hub subscribes to it.",
        messages_key: "inbox",
        messages: OF_INBOXES,
    },
    Channel {
        key: "trending",
        address: "trending:{window}",
        parameter: Some(("window", "How far the list looks back.")),
        about: "A ranked list, each time that it changes.",
        messages_key: "trending",
        messages: OF_TRENDING,
    },
];
