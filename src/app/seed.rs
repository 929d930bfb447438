//! `carillon seed-demo`: a small lively community, written through the same
//! commands as everything else.

mod plan;
mod texts;

use std::collections::HashMap;

use super::AppError;
use super::community::community;
use super::services::account_services;
use super::stores::{self, Stores};
use super::write_path::{finish_own_run, start};
use crate::commands::comment_on_post::Remark;
use crate::commands::deed::Deed;
use crate::commands::draft::Draft;
use crate::commands::register_user::Registration;
use crate::domain::account::User;
use crate::domain::ids::{CommentId, EventId, PostId, UserId};
use crate::domain::problem::Problem;
use crate::domain::time::Timestamp;
use crate::endpoints::services::Community;
use crate::settings::Settings;

use plan::{Planned, Step};
use texts::PEOPLE;

/// The password of everyone in the demo.
pub const PASSWORD: &str = "carillon-demo";

/// The demo while it is written.
struct Demo<'a> {
    stores: &'a Stores,
    community: Community,
    people: Vec<User>,
    /// By their place in the plan's list of titles.
    posts: HashMap<String, PostId>,
    titles: Vec<String>,
    /// The latest comment on a post, and who wrote it.
    comments: HashMap<PostId, (CommentId, UserId)>,
    count: u32,
}

/// Writes the demo; returns how many people, posts and interactions there are
/// now. The stores must not hold the first of its people yet.
pub async fn seed_demo(settings: &Settings) -> Result<(usize, usize, usize), AppError> {
    let stores = stores::open(settings).await?;
    if stores.accounts.credentials(PEOPLE[0].0).await?.is_some() {
        return Err("there is a demo, or someone of its name, already; nothing was written".into());
    }
    let path = start(settings, &stores).await?;
    let accounts = account_services(settings, &stores)?;
    let mut people = Vec::with_capacity(PEOPLE.len());
    for (username, first_name, last_name) in PEOPLE {
        let registration = Registration {
            email: format!("{username}@example.org"),
            username: username.to_owned(),
            password: PASSWORD.to_owned(),
            first_name: first_name.to_owned(),
            last_name: last_name.to_owned(),
        };
        people.push(accounts.register_user.run(registration).await?);
    }
    let plan = plan::plan();
    let mut demo = Demo {
        stores: &stores,
        community: community(&stores, &path),
        people,
        posts: HashMap::new(),
        titles: plan::titles(),
        comments: HashMap::new(),
        count: 0,
    };
    let end = stores.clock.now();
    for planned in &plan {
        demo.take(planned, end).await?;
    }
    let (people, posts) = (demo.people.len(), demo.posts.len());
    finish_own_run(settings, &stores, path).await?;
    Ok((people, posts, plan.len() - posts))
}

impl Demo<'_> {
    async fn take(&mut self, planned: &Planned, end: Timestamp) -> Result<(), Problem> {
        let at = Timestamp::from_millis(end.as_millis() - planned.seconds_before * 1_000);
        self.count += 1;
        let event = EventId::from_parts(at, self.stores.entropy.bytes::<10>());
        let deed = Deed { user: self.people[planned.person].clone(), event, now: at };
        let does = &self.community;
        match &planned.step {
            Step::Post { title, content, tags } => {
                let id = PostId::from_parts(at, self.count, self.stores.entropy.bytes::<3>());
                let (title, content, tags) = (title.clone(), content.clone(), tags.clone());
                let draft = Draft { title, content, tags, ..Draft::default() };
                let post = does.publish_post.run(&deed, draft, id).await?;
                self.posts.insert(post.title, id);
            }
            Step::Follow(user) => does.follow_user.run(&deed, self.people[*user].id).await?,
            Step::Like(post) => drop(does.like_post.run(&deed, self.post(*post)?).await?),
            Step::Bookmark(post) => drop(does.bookmark_post.run(&deed, self.post(*post)?).await?),
            Step::Share(post) => drop(does.share_post.run(&deed, self.post(*post)?).await?),
            Step::View(post) => drop(does.view_post.run(&deed, self.post(*post)?).await?),
            Step::Comment(post, text) => {
                let post = self.post(*post)?;
                let comment = self.comment(&deed, post, None, text).await?;
                self.comments.insert(post, (comment, deed.actor()));
            }
            Step::Reply(post, text) => {
                let post = self.post(*post)?;
                let to = self.comments.get(&post).filter(|(_, by)| *by != deed.actor());
                let to = to.map(|(comment, _)| comment.to_string());
                self.comment(&deed, post, to, text).await?;
            }
        }
        Ok(())
    }

    async fn comment(
        &self,
        deed: &Deed,
        post: PostId,
        parent: Option<String>,
        text: &str,
    ) -> Result<CommentId, Problem> {
        let id = CommentId::from_parts(deed.now, self.count, self.stores.entropy.bytes::<3>());
        let remark = Remark { post, parent, content: text.to_owned() };
        Ok(self.community.comment_on_post.run(deed, remark, id).await?.id)
    }

    fn post(&self, place: usize) -> Result<PostId, Problem> {
        let id = self.titles.get(place).and_then(|title| self.posts.get(title));
        id.copied().ok_or_else(|| Problem::not_found("post of the demo"))
    }
}
