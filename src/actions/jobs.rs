//! Jobs of a step: long commands that run as a transient unit on the host, named by the step.

use std::time::Duration;

use super::poll::{Wait, doing};
use super::{HostMemory, StepContext, StepError};
use crate::cloud::Accepted;
use crate::host::{HostError, Job, JobOrder, JobStatus};
use crate::run::event::FaultScope;

/// How long after its own limit a unit may take to end.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// How many lines of a failed job's output are told.
const TOLD_LINES: usize = 8;

/// Words by which dnf, yum, rpm, apt and dpkg name what went wrong, in lower case.
const TELLING: [&str; 3] = ["error", "scriptlet", "fail"];

/// Exit status of a job that its limit ended, as `timeout` gives it.
pub(super) const TIMED_OUT: i32 = 124;

/// A job that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    /// Exit status.
    pub status: i32,
    /// Last lines of its output.
    pub output: String,
}

impl Ended {
    /// What went wrong, in the output's own words on one line: its last lines that name an error; where none does, its
    /// last lines.
    pub fn words(&self) -> String {
        let lines: Vec<&str> = self.output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let telling = |line: &&str| TELLING.iter().any(|word| line.to_lowercase().contains(word));
        let errors: Vec<&str> = lines.iter().copied().filter(telling).collect();
        let lines = if errors.is_empty() { lines } else { errors };
        let told = &lines[lines.len().saturating_sub(TOLD_LINES)..];
        if told.is_empty() { format!("it ended with status {} and no word", self.status) } else { told.join("; ") }
    }
}

fn failed(cx: &StepContext<'_>, what: &str, error: HostError) -> StepError {
    StepError::host(format!("could not {what} on {}", cx.host.host), error)
}

/// How the job of this step stands.
pub(super) async fn status(cx: &StepContext<'_>) -> Result<JobStatus, StepError> {
    let unit = HostMemory::unit(cx.run, cx.step);
    cx.shell.job(&cx.host.host, &unit).await.map_err(|error| failed(cx, "see how its job stands", error))
}

/// Starts the job of this step, unless it runs. One that ended is run again: a probe found its effect missing.
pub(super) async fn start(cx: &StepContext<'_>, job: Job) -> Result<Accepted, StepError> {
    let unit = HostMemory::unit(cx.run, cx.step);
    match status(cx).await? {
        JobStatus::Running => return Ok(Accepted::default()),
        JobStatus::Ended { .. } => {
            let forgotten = cx.shell.forget_job(&cx.host.host, &unit).await;
            forgotten.map_err(|error| failed(cx, "forget an ended job", error))?;
        }
        JobStatus::Absent => {}
    }
    let order = JobOrder {
        host: cx.host.host.clone(),
        identity: cx.host.identity.clone(),
        unit,
        job,
        limit: cx.patience().packages.get(),
    };
    match cx.shell.start_job(&order).await {
        Ok(()) => Ok(Accepted::default()),
        Err(error) => Err(failed(cx, "start a job", error)),
    }
}

/// Waits until the job of this step has ended. A connection that breaks kills nothing, and is waited out.
pub(super) async fn end(cx: &StepContext<'_>, doing_what: &str) -> Result<Ended, StepError> {
    let unit = HostMemory::unit(cx.run, cx.step);
    let host = &cx.host.host;
    let wait = Wait::at_most(cx, cx.patience().packages.get() + ENDS_WITHIN);
    loop {
        let last = match cx.shell.job(host, &unit).await {
            Ok(JobStatus::Ended { status, output }) => return Ok(Ended { status, output }),
            Ok(JobStatus::Running) => doing_what.to_owned(),
            Ok(JobStatus::Absent) => {
                let what = format!("the job on {host} is gone: {host} was rebooted or the job was removed");
                return Err(StepError::transient(FaultScope::Host, what));
            }
            Err(error) if error.is_transient() => format!("{doing_what}; {host} does not answer: {}", error.message),
            Err(error) => return Err(failed(cx, "see how its job stands", error)),
        };
        doing(cx, last.clone());
        if !wait.again().await {
            let what = format!("the job on {host} does not end within its limit");
            return Err(StepError::transient(FaultScope::Host, what).because(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_job_tells_its_errors_before_its_listings() {
        let ended = |output: &str| Ended { status: 1, output: output.to_owned() }.words();
        let dnf = "Failed:\n  microcode_ctl-2:2.1-47.el7\nerror: %prein(microcode_ctl) scriptlet failed\n Complete!\n";
        assert_eq!(ended(dnf), "Failed:; error: %prein(microcode_ctl) scriptlet failed");
        assert_eq!(ended("one\n\ntwo\n"), "one; two");
        assert_eq!(ended(""), "it ended with status 1 and no word");
    }
}
