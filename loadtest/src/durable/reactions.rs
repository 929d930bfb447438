//! Likes, likes taken back, and comments: many accounts on many posts.

use crate::durable::workload::{Ask, Told, Workload, is_success, single};
use crate::whole_path::http::{self, Credential, Node};
use crate::whole_path::setup::Account;
use crate::whole_path::writers::Outcome;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::json;
use std::collections::{HashMap, VecDeque};

/// A comment, about as long as people's are.
const COMMENT: &str =
    "What is said here stands in for what somebody thought of it, and is about as long as that.";

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Likes and likes taken back, in turn.
    Likes,
    /// Comments.
    Comments,
    /// Half of each.
    Mixed,
}

impl Reaction {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Likes => "likes, and likes taken back",
            Self::Comments => "comments",
            Self::Mixed => "likes and comments",
        }
    }
}

/// A post and an account, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    post: usize,
    account: usize,
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    Like(Pair),
    Unlike(Pair),
    Comment,
}

/// Who reacts to what.
#[derive(Debug, Clone)]
pub struct Cast {
    /// The nodes, asked in turn.
    pub nodes: Vec<Node>,
    /// Who reacts.
    pub accounts: Vec<Account>,
    /// The ids of the posts; post `p` is by account `p % accounts`, who does not react to it.
    pub posts: Vec<String>,
}

/// Reactions without end.
///
/// Each like changes something: a pair is liked only while it is known not to be, and taken back only while it is known
/// to be, which the answer to its last write told. A pair whose write was refused is not used again. Of those that may be
/// used the one that rested longest is, so that a pair is liked anew only when all others were.
pub struct Reactions {
    cast: Cast,
    what: Reaction,
    unliked: VecDeque<Pair>,
    liked: VecDeque<Pair>,
    /// How many likes and likes taken back were asked for.
    likes: usize,
    /// All pairs, for comments, in an order of their own.
    commenters: Vec<Pair>,
    asked: HashMap<usize, Deed>,
}

impl Reactions {
    /// In an order that `seed` makes.
    pub fn new(cast: Cast, what: Reaction, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let accounts = cast.accounts.len();
        let mut pairs: Vec<_> = (0..cast.posts.len())
            .flat_map(|post| (0..accounts).map(move |account| Pair { post, account }))
            .filter(|pair| pair.post % accounts != pair.account)
            .collect();
        pairs.shuffle(&mut random);
        let unliked = pairs.iter().copied().collect();
        pairs.shuffle(&mut random);
        Self {
            cast,
            what,
            unliked,
            liked: VecDeque::new(),
            likes: 0,
            commenters: pairs,
            asked: HashMap::new(),
        }
    }

    /// A like and a like taken back in turn, as far as there is something to like or to take back.
    fn next_like(&mut self) -> Option<Deed> {
        let like = self.unliked.front().copied().map(Deed::Like);
        let unlike = self.liked.front().copied().map(Deed::Unlike);
        let deed = if self.likes.is_multiple_of(2) { like.or(unlike) } else { unlike.or(like) }?;
        self.likes += 1;
        match deed {
            Deed::Like(_) => self.unliked.pop_front(),
            _ => self.liked.pop_front(),
        };
        Some(deed)
    }

    /// Nodes change after four requests, so that each gets as many of each kind.
    fn node(&self, number: usize) -> usize {
        number / 4 % self.cast.nodes.len()
    }

    fn bytes(&self, number: usize, deed: Deed) -> Vec<u8> {
        let (pair, method, what, body) = match deed {
            Deed::Like(pair) => (pair, "PUT", "like", None),
            Deed::Unlike(pair) => (pair, "DELETE", "like", None),
            Deed::Comment => {
                let pair = self.commenters[number % self.commenters.len()];
                (pair, "POST", "comments", Some(json!({"content": COMMENT})))
            }
        };
        let node = &self.cast.nodes[self.node(number)];
        let path = format!("/v1/posts/{}/{what}", self.cast.posts[pair.post]);
        let who = Credential::Bearer(&self.cast.accounts[pair.account].token);
        http::request(node, method, &path, who, body.as_ref())
    }
}

impl Workload for Reactions {
    fn next(&mut self, number: usize) -> Option<Ask> {
        let comments = match self.what {
            Reaction::Likes => false,
            Reaction::Comments => true,
            Reaction::Mixed => !number.is_multiple_of(2),
        };
        let deed = if comments { Deed::Comment } else { self.next_like()? };
        self.asked.insert(number, deed);
        Some(Ask { node: self.node(number), bytes: self.bytes(number, deed) })
    }

    fn answered(&mut self, outcome: &Outcome) -> Told {
        let success = is_success(outcome);
        match self.asked.remove(&outcome.number) {
            Some(Deed::Like(pair)) if success => self.liked.push_back(pair),
            Some(Deed::Unlike(pair)) if success => self.unliked.push_back(pair),
            _ => {}
        }
        single(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn reactions(what: Reaction) -> Reactions {
        let account = |id: i64| Account { id, token: format!("cs_{id}") };
        let cast = Cast {
            nodes: vec![Node::parse("http://127.0.0.1:1").unwrap()],
            accounts: (0..3).map(account).collect(),
            posts: vec!["a".to_owned(), "b".to_owned()],
        };
        Reactions::new(cast, what, 7)
    }

    /// Method, path and token of a request.
    fn said(ask: &Ask) -> (String, String, String) {
        let text = String::from_utf8(ask.bytes.clone()).unwrap();
        let mut words = text.split([' ', '\r']);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let token = text.split("Bearer ").nth(1).unwrap().split('\r').next().unwrap();
        (method.to_owned(), path.to_owned(), token.to_owned())
    }

    fn answer(reactions: &mut Reactions, number: usize, status: u16) -> Told {
        reactions.answered(&Outcome { number, status: Some(status), body: b"{}".to_vec() })
    }

    #[test]
    fn each_like_changes_something_whatever_order_answers_come_in() {
        let mut reactions = reactions(Reaction::Likes);
        let mut liked = HashSet::new();
        // Three requests are on their way at any moment, and the latest is answered first.
        let mut on_their_way = Vec::new();
        for number in 0..200 {
            let (method, path, token) = said(&reactions.next(number).unwrap());
            let own = (path.as_str(), token.as_str());
            assert!(![("/v1/posts/a/like", "cs_0"), ("/v1/posts/b/like", "cs_1")].contains(&own));
            let pair = (path, token);
            match method.as_str() {
                "PUT" => assert!(liked.insert(pair), "liked already"),
                "DELETE" => assert!(liked.remove(&pair), "not liked"),
                other => panic!("{other}"),
            }
            on_their_way.push(number);
            if on_their_way.len() == 3 {
                for number in on_their_way.drain(1..).rev() {
                    assert_eq!(answer(&mut reactions, number, 200).acknowledged, 1);
                }
            }
        }
    }

    #[test]
    fn a_pair_whose_write_was_refused_is_not_used_again() {
        let mut reactions = reactions(Reaction::Likes);
        let mut asked = HashSet::new();
        for number in 0..4 {
            asked.insert(said(&reactions.next(number).unwrap()));
            assert_eq!(answer(&mut reactions, number, 503).refused, 1);
        }
        assert_eq!(asked.len(), 4, "all pairs but those of the authors");
        assert_eq!(reactions.next(4), None);
    }

    #[test]
    fn half_of_mixed_reactions_are_comments() {
        let mut reactions = reactions(Reaction::Mixed);
        let asked: Vec<_> = (0..6).map(|number| reactions.next(number).unwrap()).collect();
        let comments = asked.iter().filter(|ask| said(ask).1.ends_with("/comments"));
        assert_eq!(comments.count(), 3);
        assert_eq!(answer(&mut reactions, 1, 201), Told { acknowledged: 1, refused: 0 });
    }
}
