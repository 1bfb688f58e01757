//! [`HostShell`] through ssh: each operation is a script, its arguments, a limit, and what its answer means.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::script::Script;
use super::settings::SshSettings;
use super::status;
use super::transport::{Call, Connection, Transport, list};
use super::wire::{Answer, STATUS_FAILED, STATUS_NOT_QUIET, STATUS_WRONG_MACHINE};
use crate::host::{
    Boot, FenceOrder, HostError, HostErrorKind, HostResult, HostShell, Inquiry, Job, JobOrder, JobStatus, KernelFile,
    PackageTarget, RawFacts, RebootOrder, excerpt, facts,
};
use crate::model::{Domain, FencingToken, HostIdentity, HostName, PackageManager, UnitName};

/// Limits on calls as a whole; within them each part of a script has its own.
const COLLECT_LIMIT: Duration = Duration::from_secs(300);
/// For calls that read a few files.
const READ_LIMIT: Duration = Duration::from_secs(40);
/// A host with a hundred domains is asked two questions on each.
const DOMAINS_LIMIT: Duration = Duration::from_secs(120);
/// For calls that ask systemd for something.
const UNIT_LIMIT: Duration = Duration::from_secs(120);
/// systemd gives a service 90 s to stop before it kills it; `fence.sh` waits 200 s.
const FENCE_LIMIT: Duration = Duration::from_secs(240);

/// The ssh adapter could not be set up on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep ssh connections in `{}`: {why}", folder.display())]
pub struct SshSetupError {
    /// The folder for their sockets.
    pub folder: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// Hosts through the system's `ssh`.
#[derive(Debug)]
pub struct SshShell {
    transport: Transport,
    sessions: Semaphore,
}

impl SshShell {
    /// Keeps the sockets of shared connections in a folder of its own in `runtime`, usually `$XDG_RUNTIME_DIR` or `/tmp`.
    /// Connects to nothing yet.
    pub fn new(settings: SshSettings, runtime: &Path) -> Result<Self, SshSetupError> {
        let folder = runtime.join("fleetmend-ssh");
        let failed = |why: String| SshSetupError { folder: folder.clone(), why };
        make_private(&folder).map_err(|error| failed(error.to_string()))?;
        let sessions = Semaphore::new(settings.parallel.clamp(1, Semaphore::MAX_PERMITS));
        let transport = Transport::new(settings, &folder).map_err(failed)?;
        Ok(Self { transport, sessions })
    }

    /// Makes a call when a session is free, and turns a refusal into an error.
    async fn call(&self, call: Call<'_>) -> HostResult<Answer> {
        let answer = self.send(&call).await?;
        check(&call, &answer)?;
        Ok(answer)
    }

    /// Makes a call when a session is free. A connection that failed is not used again.
    async fn send(&self, call: &Call<'_>) -> HostResult<Answer> {
        let _session = self.sessions.acquire().await.map_err(|_| {
            HostError::new(call.host, call.script.operation(), HostErrorKind::Failed, "no sessions are given out")
        })?;
        let result = self.transport.call(call).await;
        let broken = match &result {
            Ok(answer) => answer.status.is_none(),
            Err(error) => error.is_transient(),
        };
        if broken && call.connection == Connection::Shared {
            self.transport.forget_connection(call.host).await;
        }
        result
    }

    /// A call that reads sections.
    async fn read(&self, call: Call<'_>) -> HostResult<RawFacts> {
        Ok(RawFacts { sections: self.call(call).await?.frames.into_iter().collect() })
    }
}

/// A call through the shared connection.
fn shared(host: &HostName, script: Script, arguments: Vec<String>, limit: Duration) -> Call<'_> {
    Call { host, script, arguments, connection: Connection::Shared, limit }
}

/// What a whole or broken answer means for the call.
fn check(call: &Call<'_>, answer: &Answer) -> HostResult<()> {
    let why = || answer.section("why").map(|section| excerpt(&section.text)).unwrap_or_default();
    let error = |kind, message| Err(HostError::new(call.host, call.script.operation(), kind, message));
    match answer.status {
        Some(0) => Ok(()),
        Some(STATUS_WRONG_MACHINE) => error(HostErrorKind::WrongMachine, why()),
        Some(STATUS_NOT_QUIET) => error(HostErrorKind::NotQuiet, why()),
        Some(STATUS_FAILED) => error(HostErrorKind::Failed, why()),
        Some(status) => error(HostErrorKind::Protocol, format!("the script ended with status {status}")),
        None => error(HostErrorKind::Unreachable, "the connection broke in the middle of the answer".to_owned()),
    }
}

/// The arguments that every changing script starts with. An identity that was never read proves nothing.
fn identity_arguments(host: &HostName, operation: &str, identity: &HostIdentity) -> HostResult<Vec<String>> {
    let (Some(machine_id), Some(nova_host)) = (&identity.machine_id, &identity.nova_host) else {
        let message = "which machine it must be is not known: take the inventory again";
        return Err(HostError::new(host, operation, HostErrorKind::WrongMachine, message));
    };
    Ok(vec![machine_id.clone(), nova_host.clone(), identity.hostname.clone().unwrap_or_default()])
}

/// The job as arguments of `work.sh`. They are handed on a line each, and packages and flags reach command lines: nothing
/// but plain names.
fn job_arguments(job: &Job) -> Result<Vec<String>, String> {
    let manager_word = |manager: PackageManager| match manager {
        PackageManager::Rpm => "rpm",
        PackageManager::Dpkg => "dpkg",
    };
    let packages = |kind: &str, targets: &[PackageTarget]| {
        let target = |target: &PackageTarget| {
            plain_name(&target.name).map(|name| format!("{}:{name}", manager_word(target.manager)))
        };
        let mut arguments = vec![kind.to_owned()];
        arguments.extend(targets.iter().map(target).collect::<Result<Vec<_>, _>>()?);
        Ok(arguments)
    };
    match job {
        Job::StagePackages(targets) => packages("stage", targets),
        Job::UpdatePackages(targets) => packages("update", targets),
        Job::StageAll(manager) => Ok(vec!["stage-all".to_owned(), manager_word(*manager).to_owned()]),
        Job::UpdateAll(manager) => Ok(vec!["update-all".to_owned(), manager_word(*manager).to_owned()]),
        Job::AddCpuFlags { file, flags } => {
            if !file.starts_with('/') || file.contains(char::is_control) {
                return Err(format!("`{}` is no path from the root", file.escape_debug()));
            }
            let mut arguments = vec!["flags".to_owned(), file.clone()];
            for flag in flags {
                arguments.push(plain_name(flag)?.to_owned());
            }
            Ok(arguments)
        }
    }
}

/// A name of a package, CPU flag or unit: letters, digits and `+ - . _`, a letter, digit or `+` first.
fn plain_name(name: &str) -> Result<&str, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    if name.is_empty() || name.starts_with(['-', '.', '_']) || !name.chars().all(good) {
        return Err(format!("`{}` is no name of a package, CPU flag or unit", name.escape_debug()));
    }
    Ok(name)
}

/// Makes `folder` for this user alone, or checks that it is so.
fn make_private(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = std::fs::symlink_metadata(folder)?;
    // The owner of this process, without a system call that needs `unsafe`.
    let ours = std::fs::metadata("/proc/self")?.uid();
    if !found.is_dir() || found.uid() != ours || found.mode() & 0o077 != 0 {
        return Err(io::Error::other("others can reach into it"));
    }
    Ok(())
}

#[async_trait]
impl HostShell for SshShell {
    fn carry(&self, token: FencingToken) {
        self.transport.carry(token);
    }

    async fn collect(&self, host: &HostName, inquiry: &Inquiry) -> HostResult<RawFacts> {
        let refused = |why| HostError::new(host, Script::Collect.operation(), HostErrorKind::Failed, why);
        let packages: Vec<&str> = inquiry.packages.iter().map(String::as_str).collect();
        let kernel_files: Vec<&str> = inquiry.kernel_files.iter().map(KernelFile::as_str).collect();
        let guest_flags: Vec<&str> = inquiry.guest_flags.iter().map(String::as_str).collect();
        for flag in &guest_flags {
            plain_name(flag).map_err(refused)?;
        }
        let repositories: &[&str] = if inquiry.repositories { &["ask"] } else { &[] };
        let processes = facts::PROCESSES.as_slice();
        let lists = [packages.as_slice(), &facts::NOVA_OPTIONS, &kernel_files, &guest_flags, processes, repositories];
        let arguments = lists.map(|items| list(items).map_err(refused)).into_iter().collect::<Result<_, _>>()?;
        self.read(shared(host, Script::Collect, arguments, COLLECT_LIMIT)).await
    }

    async fn identity(&self, host: &HostName) -> HostResult<HostIdentity> {
        let raw = self.read(shared(host, Script::Identity, Vec::new(), READ_LIMIT)).await?;
        Ok(facts::identity(&raw))
    }

    async fn boot(&self, host: &HostName) -> HostResult<Boot> {
        // A connection of its own: a shared one may lead to the boot that has ended, and hang there.
        let call = Call {
            host,
            script: Script::Boot,
            arguments: Vec::new(),
            connection: Connection::Fresh,
            limit: READ_LIMIT,
        };
        let read = facts::parse(&self.read(call).await?);
        let (Some(id), Some(uptime_s)) = (read.boot_id, read.uptime_s) else {
            let message = "the host does not tell its boot id and uptime";
            return Err(HostError::new(host, Script::Boot.operation(), HostErrorKind::Protocol, message));
        };
        Ok(Boot { id, uptime_s })
    }

    async fn domains(&self, host: &HostName) -> HostResult<Vec<Domain>> {
        let mut read = facts::parse(&self.read(shared(host, Script::Domains, Vec::new(), DOMAINS_LIMIT)).await?);
        read.domains.ok_or_else(|| {
            let why = read.unread.remove(facts::section::DOMAINS).unwrap_or_default();
            HostError::new(host, Script::Domains.operation(), HostErrorKind::Failed, why)
        })
    }

    async fn start_job(&self, order: &JobOrder) -> HostResult<()> {
        let operation = Script::Start.operation();
        let refused = |why| HostError::new(&order.host, operation, HostErrorKind::Failed, why);
        let mut arguments = identity_arguments(&order.host, operation, &order.identity)?;
        arguments.push(plain_name(order.unit.as_str()).map_err(refused)?.to_owned());
        arguments.push(order.limit.as_secs().max(1).to_string());
        arguments.extend(job_arguments(&order.job).map_err(refused)?);
        self.call(shared(&order.host, Script::Start, arguments, UNIT_LIMIT)).await?;
        Ok(())
    }

    async fn job(&self, host: &HostName, unit: &UnitName) -> HostResult<JobStatus> {
        let operation = Script::Job.operation();
        let failed = |why| HostError::new(host, operation, HostErrorKind::Failed, why);
        let unit = plain_name(unit.as_str()).map_err(failed)?.to_owned();
        let answer = self.call(shared(host, Script::Job, vec![unit], READ_LIMIT)).await?;
        status::parse(answer.section("unit"), answer.section("output")).map_err(failed)
    }

    async fn forget_job(&self, host: &HostName, unit: &UnitName) -> HostResult<()> {
        let refused = |why| HostError::new(host, Script::Forget.operation(), HostErrorKind::Failed, why);
        let unit = plain_name(unit.as_str()).map_err(refused)?.to_owned();
        self.call(shared(host, Script::Forget, vec![unit], UNIT_LIMIT)).await?;
        Ok(())
    }

    async fn fence(&self, order: &FenceOrder) -> HostResult<()> {
        let mut arguments = identity_arguments(&order.host, Script::Fence.operation(), &order.identity)?;
        arguments.push(if order.up { "up" } else { "down" }.to_owned());
        self.call(shared(&order.host, Script::Fence, arguments, FENCE_LIMIT)).await?;
        Ok(())
    }

    async fn reboot(&self, order: &RebootOrder) -> HostResult<()> {
        let operation = Script::Reboot.operation();
        let host = order.host();
        let refused = |why| HostError::new(host, operation, HostErrorKind::Failed, why);
        let mut arguments = identity_arguments(host, operation, order.identity())?;
        arguments.push(order.boot().to_owned());
        let staying: Vec<String> = order.staying().iter().map(|instance| instance.id.to_string()).collect();
        arguments.push(list(&staying).map_err(refused)?);
        let call = shared(host, Script::Reboot, arguments, UNIT_LIMIT);
        let answer = self.send(&call).await?;
        // The reboot may end the connection before the script can tell that it was ordered; whether the host rebooted
        // is then for its boot id to say.
        if !(answer.status.is_none() && answer.section("ordering").is_some()) {
            check(&call, &answer)?;
        }
        self.transport.forget_connection(host).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_or_package_tool_could_misread_is_no_name() {
        for good in ["qemu-kvm-rhev", "libstdc++6", "g++", "md-clear", "kernel-4.18", "+md-clear"] {
            assert!(plain_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-y", "--downloadonly", "a b", "a;b", "$(reboot)", "a\nb", "../x", "/tmp/x.rpm", "pkg=1"] {
            assert!(plain_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_identity_that_was_never_read_changes_nothing() {
        let host = HostName::new("compute-1");
        for identity in [
            HostIdentity::default(),
            HostIdentity { machine_id: Some("1".into()), ..HostIdentity::default() },
            HostIdentity { nova_host: Some("compute-1".into()), ..HostIdentity::default() },
        ] {
            let error = identity_arguments(&host, "fence", &identity).unwrap_err();
            assert_eq!(error.kind, HostErrorKind::WrongMachine);
        }
    }

    #[test]
    fn a_refusal_is_told_by_its_status_and_in_the_hosts_words() {
        let host = HostName::new("compute-1");
        let call = shared(&host, Script::Reboot, Vec::new(), READ_LIMIT);
        for (status, kind) in [
            (Some(90), HostErrorKind::WrongMachine),
            (Some(91), HostErrorKind::NotQuiet),
            (Some(92), HostErrorKind::Failed),
            (Some(7), HostErrorKind::Protocol),
            (None, HostErrorKind::Unreachable),
        ] {
            let mut answer = Answer::read(b"@n 0 11 why\n\x1b[1mbecause\n\n@n end 0\n", "n");
            answer.status = status;
            let error = check(&call, &answer).unwrap_err();
            assert_eq!(error.kind, kind);
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }
}
