//! `carillon migrate`: brings the schemas of all stores up to date, beside whoever does the same.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::AppError;
use super::inspectors::patients;
use crate::ports::inspection::SchemaState;
use crate::queries::doctor::Patient;
use crate::settings::Settings;

/// How long another program may hold the data directory: long enough for a migration, as a node never lets go of it.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// How often to try to take hold of it.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// Migrates what needs it and writes to `out` what was done. A store that cannot be migrated keeps none of the others
/// from being so.
///
/// # Errors
/// After all were tried, how many of them could not be migrated.
pub async fn run(settings: &Settings, out: &mut (impl Write + Send)) -> Result<(), AppError> {
    let (mut lock, mut failures) = (None, 0);
    for patient in patients(settings) {
        match migrate(settings, &patient, &mut lock).await {
            Ok(missing) if missing.is_empty() => writeln!(out, "{}: up to date", patient.store)?,
            Ok(missing) => {
                writeln!(out, "{}: brought up to date", patient.store)?;
                for part in missing {
                    writeln!(out, "  {part}")?;
                }
            }
            Err(error) => {
                failures += 1;
                writeln!(out, "{}: not migrated: {error}", patient.store)?;
            }
        }
    }
    match failures {
        0 => Ok(()),
        1 => Err("a store could not be migrated".into()),
        count => Err(format!("{count} stores could not be migrated").into()),
    }
}

async fn migrate(
    settings: &Settings,
    patient: &Patient,
    lock: &mut Option<File>,
) -> Result<Vec<String>, AppError> {
    let inspector = &patient.inspector;
    // Files know no lock of their own for this; a node that runs on them has them migrated.
    if inspector.is_embedded() && lock.is_none() {
        let pending = matches!(inspector.inspect().await?.schema, SchemaState::Pending(_));
        if pending {
            *lock = Some(lock_directory(&settings.data_dir).await?);
        }
    }
    Ok(inspector.migrate().await?)
}

/// Takes hold of the data directory, as a node does.
async fn lock_directory(data: &Path) -> Result<File, AppError> {
    std::fs::create_dir_all(data)
        .map_err(|error| format!("cannot create {}: {error}", data.display()))?;
    let file = File::create(data.join("lock"))
        .map_err(|error| format!("cannot write to {}: {error}", data.display()))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    while file.try_lock().is_err() {
        if Instant::now() >= deadline {
            return Err(format!("another node uses {}", data.display()).into());
        }
        tokio::time::sleep(LOCK_INTERVAL).await;
    }
    Ok(file)
}
