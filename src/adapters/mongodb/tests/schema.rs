//! Migrations: made by several at once, again, and with another time after which keys are forgotten.

use mongodb::bson::{Document, doc};

use super::*;

async fn several_nodes_migrate_at_once_and_again() {
    let db = Scratch::unmigrated().await;
    let schemas = [MongoSchema::Log(KEYS_TTL), MongoSchema::Content];
    for schema in schemas {
        assert!(schema.verify(&db.db).await.is_err(), "nothing was migrated");
    }
    for _ in 0..2 {
        let nodes = (0..4).map(|_| {
            let db = db.db.clone();
            tokio::spawn(async move {
                for schema in schemas {
                    schema.migrate(&db).await.unwrap();
                }
            })
        });
        for node in nodes.collect::<Vec<_>>() {
            node.await.unwrap();
        }
        for schema in schemas {
            schema.verify(&db.db).await.unwrap();
        }
    }
}

async fn keys_are_forgotten_after_the_time_of_the_settings() {
    let db = Scratch::unmigrated().await;
    for hours in [24, 24, 1] {
        let ttl = Duration::from_secs(hours * 3_600);
        MongoSchema::Log(ttl).migrate(&db.db).await.unwrap();
        let list = doc! { "listIndexes": "idempotency_keys" };
        let list = db.db.database().run_command(list).await.unwrap();
        let indexes = list.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
        let found =
            indexes.iter().filter_map(|index| index.as_document()?.get("expireAfterSeconds"));
        let seconds: Vec<_> =
            found.filter_map(|s| s.as_i64().or(s.as_i32().map(i64::from))).collect();
        assert_eq!(seconds, [i64::try_from(ttl.as_secs()).unwrap()]);
    }
}

async fn an_older_validator_is_replaced() {
    let db = Scratch::unmigrated().await;
    let database = db.db.database();
    let older = doc! { "create": "posts", "validator": { "old": { "$exists": true } } };
    database.run_command(older).await.unwrap();
    MongoSchema::Content.migrate(&db.db).await.unwrap();
    let posts = database.collection::<Document>("posts");
    let post = doc! { "title": "t", "content": "c", "status": "draft", "authorId": 1, "slug": "s" };
    posts.insert_one(post.clone()).await.unwrap();
    let mut other = post;
    other.extend(doc! { "slug": "t", "status": "lost" });
    assert!(posts.insert_one(other).await.is_err());
}

/// Tests that need the server as the contracts do.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        mod migrations {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let name = concat!(module_path!(), "::", stringify!($name));
                    super::unless_skipped(name, super::$name()).await;
                }
            )*
        }
    };
}

tests!(
    several_nodes_migrate_at_once_and_again,
    keys_are_forgotten_after_the_time_of_the_settings,
    an_older_validator_is_replaced,
);
