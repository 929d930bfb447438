//! Limits and cores of this machine.

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Lets this process, and the servers it starts, open as many sockets as the hard limit allows.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_open_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")
}

/// Refuses a number of connections that the limit of open files does not allow.
///
/// # Errors
/// When there are too many, with the limit in the message.
pub fn ensure_open_files(connections: usize) -> Result<()> {
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        ensure!(
            connections as u64 + 64 <= limit,
            "{connections} connections need more open files than the hard limit of {limit} allows"
        );
    }
    Ok(())
}

/// The first two cores this process may run on: one for the server, one for the client.
///
/// # Errors
/// When the kernel does not tell, or there is only one.
pub fn two_cores() -> Result<(usize, usize)> {
    let allowed = sched_getaffinity(None).context("cannot read the CPU affinity")?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    match (cores.next(), cores.next()) {
        (Some(server), Some(client)) => Ok((server, client)),
        _ => anyhow::bail!("server and client need a core each, and there is only one"),
    }
}

/// Keeps the calling thread, and whatever it starts from now on, on one core.
///
/// # Errors
/// When the core is not there.
pub fn pin(core: usize) -> Result<()> {
    ensure!(core < CpuSet::MAX_CPU, "core {core} is out of range");
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on core {core}"))
}
