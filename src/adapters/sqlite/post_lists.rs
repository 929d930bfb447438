//! Lists of posts: which index each walks.

use sqlx::{Error, FromRow, QueryBuilder, Sqlite};

use crate::domain::ids::UserId;
use crate::domain::page::Cursor;
use crate::domain::post::{Post, PostCounts, PostStatus};
use crate::ports::content::PostFilter;

use super::database::{Database, unreadable};
use super::stored;

/// Statuses by which the indexes are divided.
const STATUSES: [PostStatus; 3] = [PostStatus::Draft, PostStatus::Published, PostStatus::Archived];

const LISTED: &str = "p.document, c.likes, c.comments, c.views, c.shares, c.bookmarks";

/// The home feed merges the posts of all authors whom a user follows: it holds the
/// next post of each in a queue, takes the latest and puts that author's next one in its
/// place. So it reads one post for each author, and one for each that it lists.
///
/// The plus lets the comparison end at the id within the index: between two columns of text SQLite
/// would compare without an affinity, which the index does not have.
pub(super) const HOME: &str = "
    WITH RECURSIVE home (sort_at, id, post, author, status) AS (
        SELECT p.sort_at, p.id, p.rowid, f.followee, s.value
        FROM follows AS f CROSS JOIN json_each(?2) AS s CROSS JOIN posts AS p
        WHERE f.follower = ?1 AND f.is_on = 1 AND p.rowid = (
            SELECT q.rowid FROM posts AS q
            WHERE q.author_id = f.followee AND q.status = s.value AND q.removed = 0
              AND (q.sort_at, q.id) < (?3, ?4)
            ORDER BY q.sort_at DESC, q.id DESC LIMIT 1)
        UNION ALL
        SELECT p.sort_at, p.id, p.rowid, h.author, h.status
        FROM home AS h CROSS JOIN posts AS p
        WHERE p.rowid = (
            SELECT q.rowid FROM posts AS q
            WHERE q.author_id = h.author AND q.status = h.status AND q.removed = 0
              AND (q.sort_at, q.id) < (h.sort_at, +h.id)
            ORDER BY q.sort_at DESC, q.id DESC LIMIT 1)
        ORDER BY 1 DESC, 2 DESC
        LIMIT ?5
    )
    SELECT p.document, c.likes, c.comments, c.views, c.shares, c.bookmarks
    FROM home AS h CROSS JOIN posts AS p ON p.rowid = h.post
    LEFT JOIN post_counts AS c ON c.post_id = p.id
    ORDER BY h.sort_at DESC, h.id DESC";

/// A post as it is stored, and its counts beside it.
#[derive(FromRow)]
pub(super) struct PostRow {
    document: String,
    #[sqlx(flatten)]
    counts: CountsRow,
}

impl PostRow {
    /// The post with its counts as they are now.
    pub(super) fn read(self) -> Result<Post, Error> {
        let post: Post = serde_json::from_str(&self.document).map_err(unreadable)?;
        Ok(Post { counts: self.counts.read()?, ..post })
    }
}

/// The counts of a post; there are none until something was counted.
#[derive(FromRow)]
pub(super) struct CountsRow {
    likes: Option<i64>,
    comments: Option<i64>,
    views: Option<i64>,
    shares: Option<i64>,
    bookmarks: Option<i64>,
}

impl CountsRow {
    /// The counts.
    pub(super) fn read(self) -> Result<PostCounts, Error> {
        let count = |stored: Option<i64>| stored::count(stored.unwrap_or_default());
        Ok(PostCounts {
            likes: count(self.likes)?,
            comments: count(self.comments)?,
            views: count(self.views)?,
            shares: count(self.shares)?,
            bookmarks: count(self.bookmarks)?,
        })
    }
}

/// Walks one index backwards for each status: that of the author, else of the tag, else of the status alone.
pub(super) fn list_query(
    filter: &PostFilter,
    after: Option<&Cursor>,
    limit: usize,
) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("");
    for (n, status) in statuses(filter.status).iter().enumerate() {
        query.push(if n == 0 { "SELECT " } else { " UNION ALL SELECT " });
        push_walk(&mut query, filter, *status, after);
    }
    query.push(" ORDER BY 1 DESC, 2 DESC LIMIT ").push_bind(stored::integer(limit));
    query
}

fn push_walk(
    query: &mut QueryBuilder<Sqlite>,
    filter: &PostFilter,
    status: PostStatus,
    after: Option<&Cursor>,
) {
    let by_tag = filter.tag.as_ref().filter(|_| filter.author.is_none());
    let (walked, id) = if by_tag.is_some() { ("t", "t.post_id") } else { ("p", "p.id") };
    query.push(format_args!("{walked}.sort_at, {id}, {LISTED} FROM "));
    if by_tag.is_some() {
        query.push("post_tags AS t CROSS JOIN ");
    }
    query.push("posts AS p LEFT JOIN post_counts AS c ON c.post_id = p.id WHERE p.removed = 0");
    query.push(format_args!(" AND {walked}.status = ")).push_bind(status.as_str());
    if let Some(tag) = by_tag {
        query.push(" AND p.id = t.post_id AND t.tag = ").push_bind(tag.clone());
    } else if let Some(tag) = &filter.tag {
        query.push(" AND EXISTS (SELECT 1 FROM post_tags AS t WHERE t.post_id = p.id AND t.tag = ");
        query.push_bind(tag.clone()).push(")");
    }
    if let Some(author) = filter.author {
        query.push(" AND p.author_id = ").push_bind(author.0);
    }
    if let Some(reader) = filter.followed_by {
        query.push(" AND EXISTS (SELECT 1 FROM follows AS f WHERE f.followee = p.author_id");
        query.push(" AND f.is_on = 1 AND f.follower = ").push_bind(reader.0).push(")");
    }
    if let Some(after) = after {
        query.push(format_args!(" AND ({walked}.sort_at, {id}) < ("));
        query.push_bind(after.at.as_millis()).push(", ").push_bind(after.id.clone()).push(")");
    }
}

/// Reads posts by authors whom `reader` follows.
pub(super) async fn home(
    db: &Database,
    reader: UserId,
    status: Option<PostStatus>,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Vec<PostRow>, Error> {
    let statuses = stored::rows(statuses(status).iter().map(|status| status.as_str()))?;
    sqlx::query_as(HOME)
        .bind(reader.0)
        .bind(statuses)
        .bind(after.map_or(i64::MAX, |after| after.at.as_millis()))
        .bind(after.map_or("", |after| &after.id))
        .bind(stored::integer(limit))
        .fetch_all(db.readers())
        .await
}

fn statuses(status: Option<PostStatus>) -> Vec<PostStatus> {
    status.map_or(STATUSES.to_vec(), |status| vec![status])
}
