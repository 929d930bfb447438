//! The plan of the demo: who does what, and when. The same plan every time.

use super::texts::{
    CLOSINGS, COMMENTS, MIDDLES, OPENINGS, PEOPLE, REPLIES, SNIPPETS, SUBJECTS, TITLES,
};

/// Follows, likes, comments (replies among them), bookmarks, shares and views: 1,000 in all.
const FOLLOWS: usize = 90;
const LIKES: usize = 430;
const COMMENTED: usize = 130;
const REPLIED: usize = 50;
const BOOKMARKS: usize = 80;
const SHARES: usize = 40;
const VIEWS: usize = 180;

/// One thing that one person does. People and posts are named by their place in the plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Post {
        title: String,
        content: String,
        tags: Vec<String>,
    },
    Follow(usize),
    Like(usize),
    Bookmark(usize),
    Share(usize),
    View(usize),
    Comment(usize, String),
    /// Replies to the latest comment on a post that has one by another, else comments.
    Reply(usize, String),
}

/// A step, who takes it, and how long before the end of the plan, in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) person: usize,
    pub(super) seconds_before: i64,
    pub(super) step: Step,
}

/// Draws numbers that are always the same (SplitMix64, Steele, Lea and Flood 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    /// Below `bound`, small numbers more often than large ones.
    fn skewed(&mut self, bound: usize) -> usize {
        let (a, b) = (self.below(bound), self.below(bound));
        a.min(b)
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }
}

/// The whole plan, in the order in which it happens.
pub(super) fn plan() -> Vec<Planned> {
    let mut dice = Dice(0x0c41_1110);
    let posts = posts(&mut dice);
    let mut steps = Vec::new();
    let people = PEOPLE.len();
    let mut taken = std::collections::HashSet::new();
    for (count, kind) in [(FOLLOWS, 0), (LIKES, 1), (BOOKMARKS, 2), (VIEWS, 3)] {
        let mut drawn = 0;
        while drawn < count {
            let person = dice.below(people);
            let post = dice.skewed(posts.len());
            let step = match kind {
                0 => Step::Follow(dice.skewed(people)),
                1 => Step::Like(post),
                2 => Step::Bookmark(post),
                _ => Step::View(post),
            };
            // Whoever did it before, follows themselves or wrote the post does something else.
            let own = match &step {
                Step::Follow(user) => *user == person,
                Step::Like(post) | Step::Bookmark(post) => posts[*post].person == person,
                _ => false,
            };
            if own || !taken.insert((person, step.clone())) {
                continue;
            }
            drawn += 1;
            steps.push((person, step));
        }
    }
    for _ in 0..SHARES {
        steps.push((dice.below(people), Step::Share(dice.skewed(posts.len()))));
    }
    for _ in 0..COMMENTED {
        let post = dice.skewed(posts.len());
        let mut text = dice.of(&COMMENTS).to_owned();
        if dice.below(6) == 0 {
            text = format!("@{} {text}", PEOPLE[dice.below(people)].0);
        }
        steps.push((dice.below(people), Step::Comment(post, text)));
    }
    for _ in 0..REPLIED {
        let text = dice.of(&REPLIES).to_owned();
        steps.push((dice.below(people), Step::Reply(dice.skewed(posts.len()), text)));
    }
    let mut planned: Vec<_> = posts.clone();
    planned.extend(steps.into_iter().map(|(person, step)| {
        let age = posts[post_of(&step).unwrap_or(posts.len() - 1)].seconds_before;
        // After the post, and most soon after it.
        let seconds_before = age - 1 - dice.skewed(usize::try_from(age - 1).unwrap_or(1)) as i64;
        Planned { person, seconds_before: seconds_before.max(1), step }
    }));
    planned.sort_by_key(|planned| -planned.seconds_before);
    planned
}

/// The titles of the posts, by the places at which steps name them.
pub(super) fn titles() -> Vec<String> {
    (0..SUBJECTS.len() * TITLES.len()).map(|number| title(number).0).collect()
}

/// The title of a post, and which of the ways it is.
fn title(number: usize) -> (String, usize) {
    let (name, _) = SUBJECTS[number % SUBJECTS.len()];
    let way = (number + number / SUBJECTS.len()) % TITLES.len();
    let mut title = TITLES[way].replace("{}", name);
    title[..1].make_ascii_uppercase();
    (title, way)
}

/// 100 posts. The first in this list are the latest, and are what most of the rest is about.
fn posts(dice: &mut Dice) -> Vec<Planned> {
    let mut posts = Vec::new();
    for number in 0..SUBJECTS.len() * TITLES.len() {
        let (name, tags) = SUBJECTS[number % SUBJECTS.len()];
        let (title, way) = title(number);
        let paragraphs = [
            OPENINGS[way].replace("{}", name),
            dice.of(&MIDDLES).to_owned(),
            dice.of(&SNIPPETS).to_owned(),
            dice.of(&MIDDLES).to_owned(),
            dice.of(&CLOSINGS).to_owned(),
        ];
        let seconds_before = 600 + (number as i64) * 2_600 + dice.below(1_800) as i64;
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let step = Step::Post { title, content: paragraphs.join("\n\n"), tags };
        posts.push(Planned { person: dice.below(PEOPLE.len()), seconds_before, step });
    }
    posts
}

fn post_of(step: &Step) -> Option<usize> {
    match step {
        Step::Like(post)
        | Step::Bookmark(post)
        | Step::Share(post)
        | Step::View(post)
        | Step::Comment(post, _)
        | Step::Reply(post, _) => Some(*post),
        Step::Post { .. } | Step::Follow(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_is_the_same_every_time_and_has_100_posts_and_1000_interactions() {
        let plan = plan();
        assert_eq!(plan, super::plan());
        let posts = plan.iter().filter(|planned| matches!(planned.step, Step::Post { .. }));
        assert_eq!(posts.count(), 100);
        assert_eq!(plan.len(), 1_100);
        assert!(plan.is_sorted_by_key(|planned| -planned.seconds_before));
    }

    #[test]
    fn nothing_is_said_of_a_post_before_it_is_published() {
        let mut published = std::collections::HashSet::new();
        let order: Vec<_> = posts(&mut Dice(0x0c41_1110)).into_iter().map(|p| p.step).collect();
        for planned in plan() {
            if let Step::Post { .. } = &planned.step {
                published.insert(order.iter().position(|step| *step == planned.step).unwrap());
            } else if let Some(post) = post_of(&planned.step) {
                assert!(published.contains(&post), "{planned:?}");
            }
        }
    }
}
