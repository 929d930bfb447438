//! What the kernel says about a process: CPU time and memory.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;

/// User and system time of a process so far, in seconds, all threads together (resolution: one tick, 10 ms).
///
/// # Errors
/// When the process is gone or its stat line is not as proc(5) says.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is not there"))?;
    let ticks =
        cpu_ticks(&stat).with_context(|| format!("cannot read the CPU time of process {pid}"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// User and system time of a process and its descendants so far, in seconds: of a server that forks, such as PostgreSQL, all
/// of it. Children that ended are counted by who waited for them.
///
/// # Errors
/// When the process is gone, or the kernel does not tell.
pub fn tree_cpu_seconds(root: u32) -> Result<f64> {
    let mut stats = Vec::new();
    for entry in fs::read_dir("/proc").context("there is no /proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end between the listing and this; its parent has its time then.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        stats.extend(family_ticks(&stat).map(|(parent, ticks)| (pid, parent, ticks)));
    }
    let mut tree = vec![root];
    let mut at = 0;
    while let Some(parent) = tree.get(at).copied() {
        tree.extend(stats.iter().filter(|stat| stat.1 == parent).map(|stat| stat.0));
        at += 1;
    }
    let there = stats.iter().any(|stat| stat.0 == root);
    anyhow::ensure!(there, "process {root} is not there");
    let ticks: u64 = stats.iter().filter(|stat| tree.contains(&stat.0)).map(|stat| stat.2).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The parent (field 4), and utime + stime + cutime + cstime (fields 14 to 17).
fn family_ticks(stat: &str) -> Option<(u32, u64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let ticks = fields.get(11..15)?.iter().map(|ticks| ticks.parse::<u64>().ok());
    Some((fields.get(1)?.parse().ok()?, ticks.sum::<Option<u64>>()?))
}

/// utime + stime, fields 14 and 15. The name before them may hold spaces and parentheses, so the count starts after it.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// How many processes wanted to run in the last minute, on average; `None` where the kernel does not tell.
pub fn load_average() -> Option<f64> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Memory of a process, in bytes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident set.
    pub rss: u64,
    /// Resident, shared pages counted by their share.
    pub pss: u64,
    /// Pages that only this process has, clean and dirty.
    pub private: u64,
    /// Pages that only this process has and has written: heap and stacks, not code read from the file.
    pub private_dirty: u64,
}

/// Memory of a process from `/proc/PID/smaps_rollup`. Kernel memory (socket buffers) is not in it.
///
/// # Errors
/// When the process is gone or belongs to someone else.
pub fn memory(pid: u32) -> Result<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .with_context(|| format!("cannot read the memory of process {pid}"))?;
    Ok(parse_rollup(&rollup))
}

fn parse_rollup(rollup: &str) -> Memory {
    let field = |name: &str| -> u64 {
        rollup
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|value| value.trim().strip_suffix(" kB"))
            .and_then(|value| value.trim().parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    };
    let private_dirty = field("Private_Dirty");
    Memory {
        rss: field("Rss"),
        pss: field("Pss"),
        private: field("Private_Clean") + private_dirty,
        private_dirty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ticks_past_a_hostile_name() {
        let stat = "42 (a b) 1 2) S 1 42 42 0 -1 4194304 100 0 0 0 123 45 0 0 20 0 1 0 99 0 0";
        assert_eq!(cpu_ticks(stat), Some(168));
        assert_eq!(cpu_ticks("nonsense"), None);
        let stat = stat.replace("123 45 0 0", "123 45 6 7");
        assert_eq!(family_ticks(&stat), Some((1, 181)));
    }

    #[test]
    fn reads_a_rollup() {
        let rollup = "55d-7ff ---p 00000000 00:00 0 [rollup]\nRss:            2048 kB\nPss:            1024 kB\n\
                      Pss_Dirty:        11 kB\nPrivate_Clean:   100 kB\nPrivate_Dirty:   200 kB\n";
        let memory = parse_rollup(rollup);
        assert_eq!((memory.rss, memory.pss), (2048 * 1024, 1024 * 1024));
        assert_eq!((memory.private, memory.private_dirty), (300 * 1024, 200 * 1024));
    }

    #[test]
    fn reads_this_very_process() {
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
        let tree = tree_cpu_seconds(std::process::id()).unwrap();
        assert!(tree >= cpu_seconds(std::process::id()).unwrap() - 0.05);
        assert!(tree_cpu_seconds(u32::MAX).is_err());
        assert!(memory(std::process::id()).unwrap().rss > 0);
    }
}
