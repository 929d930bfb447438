//! Comments on a post, or replies to a comment.

use std::sync::Arc;

use super::committer::Committer;
use super::deed::Deed;
use super::gathered::Gathered;
use super::marking::public;
use super::validation::Faults;
use crate::domain::comment::Comment;
use crate::domain::event::{CommentChange, Fact};
use crate::domain::ids::{CommentId, PostId, UserId};
use crate::domain::notification::{Addressee, NotificationKind};
use crate::domain::post::Author;
use crate::domain::problem::Problem;
use crate::ports::accounts::Accounts;
use crate::ports::comments::Comments;
use crate::ports::failpoint::Failpoints;

/// Characters of a comment.
const CONTENT_MAX: usize = 10_000;
/// Users whom one comment can notify by naming them; further names are only text.
const MENTIONS_MAX: usize = 20;

/// The command.
pub struct CommentOnPost {
    /// Where comments are kept.
    pub comments: Arc<dyn Comments>,
    /// Asks for posts, and writes comments, together with others.
    pub gathered: Gathered,
    /// Knows who is mentioned.
    pub accounts: Arc<dyn Accounts>,
    /// Makes the event durable.
    pub committer: Arc<Committer>,
    /// Where tests stop.
    pub failpoints: Failpoints,
}

/// What is said, where.
#[derive(Debug)]
pub struct Remark {
    /// The post.
    pub post: PostId,
    /// The comment that it replies to, as it came.
    pub parent: Option<String>,
    /// The text.
    pub content: String,
}

impl CommentOnPost {
    /// Writes the comment and commits its event. A retry with the same ids ends
    /// with the comment that the first attempt wrote.
    pub async fn run(
        &self,
        deed: &Deed,
        remark: Remark,
        id: CommentId,
    ) -> Result<Comment, Problem> {
        let content = checked(&remark.content)?;
        let post = self.gathered.standings.ask(remark.post).await?;
        let author = public(post, deed.actor())?.author;
        let parent = match remark.parent.as_deref() {
            Some(parent) => Some(self.parent(parent, remark.post).await?),
            None => None,
        };
        let notify = self.addressees(author, parent.as_ref(), &content, deed.actor()).await?;
        let comment = Comment {
            id,
            post_id: remark.post,
            parent_id: parent.map(|parent| parent.id),
            author: Author::from(&deed.user),
            content,
            created_at: deed.now,
            edited: false,
        };
        let told = CommentChange { comment: comment.clone(), notify };
        let event = deed.event(Fact::PostCommented(Box::new(told)));
        let (comment, event) = self.gathered.comments.ask((comment, event)).await?;
        self.failpoints.reach("comment.document_written").await;
        self.committer.commit(event).await?;
        Ok(comment)
    }

    async fn parent(&self, id: &str, post: PostId) -> Result<Comment, Problem> {
        let parent = match id.parse() {
            Ok(id) => self.comments.comment(id).await?,
            Err(_) => None,
        };
        let parent = parent.filter(|kept| !kept.removed && kept.document.post_id == post);
        let mut faults = Faults::default();
        let Some(parent) = parent.map(|kept| kept.document) else {
            faults.add("parent_id", "unknown_comment", "Must be a comment on this post.");
            return Err(faults.into_problem());
        };
        if parent.parent_id.is_some() {
            faults.add("parent_id", "is_a_reply", "A reply cannot be replied to.");
            return Err(faults.into_problem());
        }
        Ok(parent)
    }

    /// Who is told: the authors of the post and of the parent, and who is mentioned, each once.
    async fn addressees(
        &self,
        author: UserId,
        parent: Option<&Comment>,
        content: &str,
        actor: UserId,
    ) -> Result<Vec<Addressee>, Problem> {
        let answered = [Some(author), parent.map(|parent| parent.author.id)];
        let commented = answered.into_iter().flatten();
        let mut told: Vec<_> = commented.map(|user| (user, NotificationKind::Commented)).collect();
        let names = mentions(content);
        if !names.is_empty() {
            let named = self.accounts.users_named(&names).await?;
            let active = named.into_iter().filter(|user| user.is_active);
            told.extend(active.map(|user| (user.id, NotificationKind::Mentioned)));
        }
        let mut addressees: Vec<Addressee> = Vec::new();
        for (user, kind) in told.into_iter().filter(|(user, _)| *user != actor) {
            if addressees.iter().all(|addressee| addressee.user != user) {
                addressees.push(Addressee { user, r#type: kind });
            }
        }
        Ok(addressees)
    }
}

/// The text of a comment without white space around it, if it is one.
pub(super) fn checked(content: &str) -> Result<String, Problem> {
    let content = content.trim();
    let mut faults = Faults::default();
    faults.check_length("content", content, 1, CONTENT_MAX);
    faults.into_result().map(|()| content.to_owned())
}

/// The names after an `@` that begins a word, in lower case, each once.
fn mentions(content: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let mut names = Vec::new();
    let mut before = ' ';
    let mut rest = content.chars();
    while let Some(c) = rest.next() {
        if c == '@' && !is_name(before) && before != '@' {
            let name: String = rest.clone().take_while(|c| is_name(*c)).collect();
            // A sentence may end with a name.
            let name = name.trim_end_matches(['.', '-']).to_lowercase();
            if !name.is_empty() && !names.contains(&name) && names.len() < MENTIONS_MAX {
                names.push(name);
            }
        }
        before = c;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_are_names_that_begin_a_word() {
        let text = "@Ada, see bob@example.org and (@grace.h). @ada again, @@x and @bob-";
        assert_eq!(mentions(text), ["ada", "grace.h", "bob"]);
        assert_eq!(mentions("no one @ all"), Vec::<String>::new());
        let many: String = (0..50).map(|n| format!("@user{n} ")).collect();
        assert_eq!(mentions(&many).len(), MENTIONS_MAX);
    }
}
