//! Which migrations of sqlx a database has, compared with those of this version.

use std::collections::BTreeMap;

use sqlx::Error;
use sqlx::migrate::{Migrate, MigrateError, Migrator};

use crate::ports::inspection::SchemaState;

/// The table in which sqlx keeps what it applied (`Migrator`'s default).
const TABLE: &str = "_sqlx_migrations";

/// What MySQL, PostgreSQL and SQLite call a table that does not exist.
const NO_SUCH_TABLE: [&str; 3] = ["42S02", "42P01", "1"];

/// Compares the migrations of a database with those of `migrator`.
pub(super) async fn state<C: Migrate>(
    connection: &mut C,
    migrator: &Migrator,
) -> Result<SchemaState, MigrateError> {
    let applied = match connection.list_applied_migrations(TABLE).await {
        // A database without the table of migrations is one to which none was applied.
        Err(MigrateError::Execute(error)) if is_no_such_table(&error) => Vec::new(),
        applied => applied?,
    };
    if !applied.is_empty()
        && let Some(version) = connection.dirty_version(TABLE).await?
    {
        return Ok(SchemaState::Broken(format!(
            "migration {version:04} stopped halfway, or is being applied"
        )));
    }
    let applied: BTreeMap<_, _> = applied.iter().map(|m| (m.version, &*m.checksum)).collect();
    let mut pending = Vec::new();
    for migration in migrator.iter() {
        match applied.get(&migration.version) {
            None => pending.push(format!("{:04} {}", migration.version, migration.description)),
            Some(checksum) if *checksum == &*migration.checksum => {}
            Some(_) => {
                let version = migration.version;
                let other = format!("migration {version:04} is not the one that this version has");
                return Ok(SchemaState::Broken(other));
            }
        }
    }
    let known: Vec<_> = migrator.iter().map(|migration| migration.version).collect();
    let newer = applied.keys().filter(|version| !known.contains(version));
    let newer: Vec<_> = newer.map(|version| format!("{version:04}")).collect();
    Ok(match (newer.is_empty(), pending.is_empty()) {
        (false, _) => SchemaState::Newer(newer),
        (true, false) => SchemaState::Pending(pending),
        (true, true) => SchemaState::Current,
    })
}

/// Applies what is missing and returns it, on a connection that alone migrates the database now.
pub(super) async fn bring_up_to_date<C: Migrate>(
    connection: &mut C,
    migrator: &Migrator,
) -> Result<Vec<String>, MigrateError> {
    let missing = match state(connection, migrator).await? {
        SchemaState::Pending(missing) => missing,
        // What cannot be migrated is refused below.
        _ => Vec::new(),
    };
    migrator.run_direct(None, connection, false).await?;
    Ok(missing)
}

fn is_no_such_table(error: &Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| NO_SUCH_TABLE.contains(&&*code))
}
