//! The write-ahead file of a database, synced beside SQLite.
//!
//! SQLite syncs it within a commit, while nobody else can write. Here commits are written first and the file is synced then,
//! so that others write meanwhile: `fdatasync` makes a file's bytes durable whoever wrote them, and a WAL is recovered up to
//! its last whole commit (<https://www.sqlite.org/walformat.html>). SQLite takes no lock on this file, so that opening and
//! closing it here breaks none, as it would with the database's own. Before SQLite begins the file anew, a checkpoint has
//! made everything in it durable in the database.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::SqliteConnection;

/// The write-ahead file of one database.
pub(super) struct Wal {
    path: PathBuf,
    /// A sync failed. The kernel may count what it could not write as written, and then says that later ones
    /// succeed; only what is written anew counts from then on.
    failed: AtomicBool,
}

/// What a sync came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// Everything that was written before is durable.
    Yes,
    /// An earlier sync failed, and nothing has been written anew since.
    NotSince,
}

impl Wal {
    /// The file that SQLite keeps beside the database at `path`.
    pub(super) fn of(path: &Path) -> Self {
        let mut name = path.as_os_str().to_owned();
        name.push("-wal");
        Self { path: name.into(), failed: AtomicBool::new(false) }
    }

    /// Makes durable what was written to the file before.
    pub(super) async fn sync(&self) -> Result<Synced, sqlx::Error> {
        if self.failed.load(Ordering::Acquire) {
            return Ok(Synced::NotSince);
        }
        let path = self.path.clone();
        let synced = tokio::task::spawn_blocking(move || File::open(path)?.sync_data()).await;
        let synced = synced.map_err(std::io::Error::other).flatten();
        if synced.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        synced.map(|()| Synced::Yes).map_err(sqlx::Error::Io)
    }

    /// Writes everything that the file holds into the database, syncs that, and begins the file anew: what could not
    /// be synced is durable then.
    pub(super) async fn checkpoint(
        &self,
        writer: &mut SqliteConnection,
    ) -> Result<(), sqlx::Error> {
        let checkpoint = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)");
        let (busy, _, _): (i64, i64, i64) = checkpoint.fetch_one(writer).await?;
        if busy != 0 {
            let cause =
                "a reader kept the write-ahead file from being emptied after a sync had failed";
            return Err(sqlx::Error::Protocol(cause.to_owned()));
        }
        self.failed.store(false, Ordering::Release);
        Ok(())
    }
}
