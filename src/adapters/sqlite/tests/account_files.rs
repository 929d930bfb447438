//! Accounts: what an earlier version left, and what no port shows.

use sqlx::migrate::Migrator;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::adapters::sqlite::accounts::{PURGE, USERS, USERS_NAMED};
use crate::domain::account::{AccountChangeKind, NewUser, Plan, ProfileChange, Role};
use crate::domain::ids::UserId;
use crate::domain::time::Timestamp;
use crate::ports::account_control::AccountControl;

use super::plans::plan;
use super::*;

const NOON: Timestamp = Timestamp::from_millis(1_700_049_600_000);

#[tokio::test]
async fn a_file_of_the_first_version_is_migrated_with_all_that_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(Schema::Accounts.file_name());
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection: SqliteConnection = options.connect().await.unwrap();
    let mut first: Migrator = sqlx::migrate!("migrations/sqlite/accounts");
    first.migrations.to_mut().truncate(1);
    first.run_direct(None, &mut connection, false).await.unwrap();
    for statement in [
        "INSERT INTO users (email, username, username_folded, password_hash, first_name, last_name,
                            created_at, updated_at)
         VALUES ('ada@example.org', 'Ada', 'ada', 'hash', '', '', 5, 5)",
        "INSERT INTO account_changes (user_id, kind, at) VALUES (1, 'sessions_revoked', 6)",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let accounts = SqliteAccounts::new(open(directory.path(), Schema::Accounts).await);
    let (user, hash) = accounts.credentials("ada").await.unwrap().unwrap();
    assert_eq!((user.id, hash.as_str()), (UserId(1), "hash"));
    let changes = accounts.changes_after(0, 9).await.unwrap();
    let kinds: Vec<_> = changes.iter().map(|change| (change.number, change.kind)).collect();
    assert_eq!(kinds, [(1, AccountChangeKind::SessionsEnded)]);
    accounts.set_role(user.id, Role::Admin, NOON).await.unwrap();
    assert_eq!(accounts.last_change().await.unwrap(), 2);
}

#[tokio::test]
async fn every_change_is_audited_with_who_made_it() {
    let (db, _directory) = database(Schema::Accounts).await;
    let accounts = SqliteAccounts::new(db.clone());
    let user = NewUser {
        email: "ada@example.org".into(),
        username: "ada".into(),
        password_hash: "hash".into(),
        first_name: String::new(),
        last_name: String::new(),
        created_at: NOON,
    };
    let user = accounts.register(&user).await.unwrap().id;
    let change = ProfileChange { first_name: Some("A".into()), ..ProfileChange::default() };
    accounts.update_profile(user, &change, NOON).await.unwrap();
    accounts.set_password(user, "other", NOON).await.unwrap();
    accounts.set_role(user, Role::Admin, NOON).await.unwrap();
    for _ in 0..2 {
        accounts.set_plan(user, Plan::Pro, NOON).await.unwrap();
        accounts.set_active(user, false, true, NOON).await.unwrap();
    }
    accounts.set_active(user, true, false, NOON).await.unwrap();
    accounts.set_active(user, false, false, NOON).await.unwrap();
    let audit: Vec<(String, String)> =
        sqlx::query_as("SELECT kind, actor FROM account_audit WHERE user_id = ? ORDER BY audit_id")
            .bind(user.0)
            .fetch_all(db.readers())
            .await
            .unwrap();
    let audit: Vec<_> = audit.iter().map(|(kind, actor)| (kind.as_str(), actor.as_str())).collect();
    let expected = [
        ("profile_changed", "owner"),
        ("password_changed", "owner"),
        ("role_changed", "operator"),
        ("plan_changed", "operator"),
        ("banned", "operator"),
        ("reopened", "operator"),
        ("deactivated", "owner"),
    ];
    assert_eq!(audit, expected);
    let plans: Vec<(String, String)> = sqlx::query_as(
        "SELECT plan_type, status FROM subscriptions WHERE user_id = ? ORDER BY subscription_id",
    )
    .bind(user.0)
    .fetch_all(db.readers())
    .await
    .unwrap();
    let plans: Vec<_> =
        plans.iter().map(|(plan, status)| (plan.as_str(), status.as_str())).collect();
    assert_eq!(plans, [("free", "cancelled"), ("pro", "active")]);
}

#[tokio::test]
async fn lists_and_purges_use_indexes() {
    let (db, _directory) = database(Schema::Accounts).await;
    for query in [USERS, USERS_NAMED, PURGE] {
        let plan = plan(&db, query).await;
        let scans: Vec<_> =
            plan.iter().filter(|s| s.starts_with("SCAN") && !s.contains("json_each")).collect();
        assert!(scans.is_empty(), "{plan:?}");
    }
}
