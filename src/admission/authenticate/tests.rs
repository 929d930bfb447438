//! Who is believed to be signed in, by nodes that share a cache.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::adapters::contract::session_cache::entry;
use crate::adapters::memory::manual_clock::ManualClock;
use crate::adapters::memory::session_cache::MemorySessionCache;
use crate::admission::known_changes::KnownChanges;
use crate::domain::account::{AccountChange, AccountChangeKind, Plan};
use crate::domain::account::{NewUser, ProfileChange, Role, Session, User};
use crate::domain::ids::UserId;
use crate::ports::accounts::RegisterError;
use crate::ports::session_cache::{CachedSession, SessionCache};

const TOKEN: &str = "cst_of-ada";
const TICKET: &str = "ctk_of-ada";
const TTL: Duration = Duration::from_secs(300);

/// Sessions, a ticket and a key, which are counted out and may be away. Nothing else is asked for.
#[derive(Default)]
struct Truth {
    sessions: Mutex<HashMap<[u8; 32], SignedIn>>,
    asked: AtomicUsize,
    is_away: AtomicBool,
}

impl Truth {
    fn set(&self, signed_in: &SignedIn) {
        self.sessions.lock().unwrap().insert(signed_in.session.token.0, signed_in.clone());
    }

    fn ask<T>(&self, answer: T) -> Result<T, StoreError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return away();
        }
        Ok(answer)
    }

    fn asked(&self) -> usize {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable { store: "accounts", cause: "it is away".into() })
}

/// The rest of a port, of which nothing is asked here.
macro_rules! not_asked {
    ($($name:ident($($argument:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl Accounts for Truth {
            async fn session(
                &self,
                token: &TokenHash,
                now: Timestamp,
            ) -> Result<Option<SignedIn>, StoreError> {
                let found = self.sessions.lock().unwrap().get(&token.0).cloned();
                self.ask(found.filter(|found| found.session.expires_at > now))
            }

            async fn redeem_ticket(
                &self,
                ticket: &TokenHash,
                now: Timestamp,
            ) -> Result<Option<SignedIn>, StoreError> {
                assert!(*ticket == TokenHash::of(TICKET));
                self.session(&TokenHash::of(TOKEN), now).await
            }

            $(async fn $name(&self, $(_: $argument),*) -> $answer {
                unreachable!("nobody asks for {}", stringify!($name))
            })*
        }
    };
}

not_asked! {
    register(&NewUser) -> Result<User, RegisterError>;
    credentials(&str) -> Result<Option<(User, String)>, StoreError>;
    user(UserId) -> Result<Option<User>, StoreError>;
    users(&[UserId]) -> Result<Vec<User>, StoreError>;
    users_named(&[String]) -> Result<Vec<User>, StoreError>;
    update_profile(UserId, &ProfileChange, Timestamp) -> Result<Option<User>, RegisterError>;
    set_password(UserId, &str, Timestamp) -> Result<(), StoreError>;
    open_session(&Session, &str) -> Result<bool, StoreError>;
    revoke_sessions(UserId, Option<&TokenHash>, Timestamp) -> Result<Vec<TokenHash>, StoreError>;
    issue_ticket(&TokenHash, &TokenHash, Timestamp) -> Result<(), StoreError>;
}

#[async_trait]
impl AccountControl for Truth {
    async fn is_api_key(&self, key: &TokenHash) -> Result<bool, StoreError> {
        self.ask(*key == TokenHash::of("cak_good"))
    }

    async fn set_active(
        &self,
        _: UserId,
        _: bool,
        _: bool,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        away()
    }

    async fn set_role(&self, _: UserId, _: Role, _: Timestamp) -> Result<bool, StoreError> {
        away()
    }

    async fn set_plan(&self, _: UserId, _: Plan, _: Timestamp) -> Result<bool, StoreError> {
        away()
    }

    async fn create_api_key(&self, _: &TokenHash, _: &str, _: Timestamp) -> Result<(), StoreError> {
        away()
    }

    async fn last_change(&self) -> Result<u64, StoreError> {
        away()
    }

    async fn changes_after(&self, _: u64, _: usize) -> Result<Vec<AccountChange>, StoreError> {
        away()
    }

    async fn purge_sessions(&self, _: Timestamp) -> Result<u64, StoreError> {
        away()
    }
}

/// A node, and what it has read of the changes.
struct Node {
    authenticator: Authenticator,
    known: Arc<KnownChanges>,
}

impl Node {
    /// Reads a change of ada's account, after which none is missing.
    fn read(&self, number: u64) {
        let kind = AccountChangeKind::Updated;
        let change = AccountChange { number, user: ada().user.id, kind };
        self.known.finish_round(self.known.begin_round(), &[change], number);
    }

    async fn plan(&self) -> Option<Plan> {
        let found = self.authenticator.session(TOKEN).await.unwrap();
        found.map(|signed_in| signed_in.user.plan)
    }
}

struct Bench {
    truth: Arc<Truth>,
    clock: Arc<ManualClock>,
    cache: Arc<dyn SessionCache>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Arc::new(MemorySessionCache::default()))
    }

    fn with(cache: Arc<dyn SessionCache>) -> Self {
        let truth = Arc::new(Truth::default());
        truth.set(&ada());
        let now = ada().session.created_at;
        Self { truth, clock: Arc::new(ManualClock::at(now)), cache }
    }

    /// A node that begins with the change after `since`.
    fn node(&self, since: u64) -> Node {
        let known = Arc::new(KnownChanges::new(TTL));
        known.begin(since);
        let sessions = CachedSessions::new(self.cache.clone(), known.clone(), TTL);
        let (accounts, control) = (self.truth.clone(), self.truth.clone());
        let authenticator = Authenticator::new(accounts, control, self.clock.clone())
            .remembering(Arc::new(sessions), GoodKeys::new(TTL));
        Node { authenticator, known }
    }
}

fn ada() -> SignedIn {
    let mut signed_in = entry(1).signed_in;
    signed_in.session.token = TokenHash::of(TOKEN);
    signed_in
}

#[tokio::test]
async fn a_session_is_asked_for_once_by_all_nodes_and_goes_on_while_accounts_are_away() {
    let bench = Bench::new();
    let nodes = [bench.node(0), bench.node(0)];
    for _ in 0..3 {
        for node in &nodes {
            assert_eq!(node.authenticator.session(TOKEN).await.unwrap(), Some(ada()));
            assert!(node.authenticator.is_good(&TokenHash::of(TOKEN)).await.unwrap());
        }
    }
    assert_eq!(bench.truth.asked(), 1);
    bench.truth.is_away.store(true, Ordering::SeqCst);
    for node in &nodes {
        let verdict = node.authenticator.connection(TOKEN).await.unwrap();
        assert!(matches!(verdict, Verdict::SignedIn(it) if *it == ada()));
        assert!(node.authenticator.session("cst_of-bob").await.is_err());
        assert_eq!(node.authenticator.session("of-bob").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_session_that_lacks_a_change_is_not_believed_and_one_that_has_it_is() {
    let bench = Bench::new();
    let (quick, slow) = (bench.node(0), bench.node(0));
    assert_eq!(quick.plan().await, Some(Plan::Enterprise));
    let mut changed = ada();
    changed.user.plan = Plan::Free;
    bench.truth.set(&changed);
    quick.read(1);
    assert_eq!(slow.plan().await, Some(Plan::Enterprise), "it has not heard of the change");
    assert_eq!(quick.plan().await, Some(Plan::Free));
    assert_eq!(slow.plan().await, Some(Plan::Free), "what another node read later is better");
    assert_eq!(bench.truth.asked(), 2);
    slow.read(1);
    assert_eq!(slow.plan().await, Some(Plan::Free));
    assert_eq!(bench.truth.asked(), 0);
    bench.truth.sessions.lock().unwrap().clear();
    for node in [&quick, &slow] {
        node.read(2);
        assert_eq!(node.plan().await, None);
        let verdict = node.authenticator.connection(TOKEN).await.unwrap();
        assert!(matches!(verdict, Verdict::Invalid));
    }
}

#[tokio::test]
async fn what_a_node_that_lags_has_read_is_not_believed_by_one_that_does_not() {
    let bench = Bench::new();
    let (lagging, ahead, late) = (bench.node(0), bench.node(0), bench.node(7));
    ahead.read(7);
    for _ in 0..2 {
        assert_eq!(lagging.plan().await, Some(Plan::Enterprise));
    }
    assert_eq!(bench.truth.asked(), 1);
    // The one that began later does not know whether there is a change below its first.
    for node in [&late, &ahead] {
        assert_eq!(node.plan().await, Some(Plan::Enterprise));
    }
    assert_eq!(bench.truth.asked(), 1, "the one that began later has put what both believe");
}

#[tokio::test]
async fn after_a_change_through_this_node_the_truth_is_asked_until_the_change_was_read() {
    let bench = Bench::new();
    let node = bench.node(0);
    assert_eq!(node.plan().await, Some(Plan::Enterprise));
    node.known.expect(ada().user.id);
    assert_eq!(bench.truth.asked(), 1);
    for _ in 0..3 {
        node.plan().await;
    }
    assert_eq!(bench.truth.asked(), 3);
    node.read(1);
    for _ in 0..3 {
        node.plan().await;
    }
    assert_eq!(bench.truth.asked(), 1);
}

#[tokio::test]
async fn a_session_that_has_run_out_is_told_from_an_unknown_one_wherever_it_is_found() {
    let bench = Bench::new();
    let node = bench.node(0);
    assert!(node.plan().await.is_some());
    bench.clock.set(ada().session.expires_at);
    for accounts_are_away in [true, false] {
        bench.truth.is_away.store(accounts_are_away, Ordering::SeqCst);
        let verdict = node.authenticator.connection(TOKEN).await.unwrap();
        assert!(matches!(verdict, Verdict::Expired));
        assert_eq!(node.plan().await, None);
        // The second time it is read, as it would be once the cache has lost it.
        bench.cache.remove(&TokenHash::of(TOKEN)).await.unwrap();
    }
    let unknown = node.authenticator.connection("cst_unknown").await.unwrap();
    assert!(matches!(unknown, Verdict::Invalid));
    assert!(bench.cache.get(&TokenHash::of(TOKEN)).await.unwrap().is_none(), "nothing to keep");
}

#[tokio::test]
async fn a_ticket_is_redeemed_each_time() {
    let bench = Bench::new();
    let node = bench.node(0);
    for _ in 0..2 {
        let verdict = node.authenticator.connection(TICKET).await.unwrap();
        assert!(matches!(verdict, Verdict::SignedIn(_)));
    }
    assert_eq!(bench.truth.asked(), 2);
    bench.truth.is_away.store(true, Ordering::SeqCst);
    assert!(node.authenticator.connection(TICKET).await.is_err());
}

#[tokio::test]
async fn a_key_that_was_good_is_good_and_one_that_was_not_is_asked_for_again() {
    let bench = Bench::new();
    let node = bench.node(0);
    for _ in 0..3 {
        assert!(node.authenticator.is_api_key(&TokenHash::of("cak_good")).await.unwrap());
        assert!(!node.authenticator.is_api_key(&TokenHash::of("cak_other")).await.unwrap());
    }
    assert_eq!(bench.truth.asked(), 4);
    bench.truth.is_away.store(true, Ordering::SeqCst);
    assert!(node.authenticator.is_api_key(&TokenHash::of("cak_good")).await.unwrap());
    assert!(node.authenticator.is_api_key(&TokenHash::of("cak_other")).await.is_err());
}

struct Broken;

#[async_trait]
impl SessionCache for Broken {
    async fn get(&self, _: &TokenHash) -> Result<Option<CachedSession>, StoreError> {
        away()
    }

    async fn put(&self, _: &CachedSession, _: Duration) -> Result<(), StoreError> {
        away()
    }

    async fn remove(&self, _: &TokenHash) -> Result<(), StoreError> {
        away()
    }
}

#[tokio::test]
async fn without_the_cache_the_truth_is_asked_each_time() {
    let bench = Bench::with(Arc::new(Broken));
    let node = bench.node(0);
    for _ in 0..3 {
        assert_eq!(node.plan().await, Some(Plan::Enterprise));
    }
    assert_eq!(bench.truth.asked(), 3);
}
