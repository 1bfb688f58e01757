//! How a job stands, from what systemd says of its unit.

use crate::host::{JobStatus, Section, plain};

/// Lines of a job's output that are kept: enough to say why it ended.
const OUTPUT_LINES: usize = 40;

/// `limit` ended the job.
const STATUS_TIMED_OUT: i32 = 124;

/// Ended without a status of its own: systemd could not start it.
const STATUS_NEVER_RAN: i32 = 126;

/// A process that a signal ended has this and the signal's number, as shells have it.
const STATUS_SIGNAL: i32 = 128;

/// `unit` holds `systemctl show` of the job's unit; `output` the end of what it printed.
pub(super) fn parse(unit: Option<&Section>, output: Option<&Section>) -> Result<JobStatus, String> {
    let unit = unit.filter(|unit| unit.status == 0).ok_or("systemd does not answer")?;
    let property = |name: &str| {
        unit.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).map_or("", str::trim)
    };
    if property("LoadState") == "not-found" {
        return Ok(JobStatus::Absent);
    }
    let ended = match (property("ActiveState"), property("SubState")) {
        ("failed", _) | ("active", "exited") => true,
        ("active" | "activating" | "deactivating" | "reloading" | "inactive", _) => false,
        (state, _) => return Err(format!("systemd says that the unit is `{state}`")),
    };
    if !ended {
        return Ok(JobStatus::Running);
    }
    let status = property("ExecMainStatus").parse().unwrap_or(STATUS_NEVER_RAN);
    // systemd's numbers for how the main process ended: 1 exited, 2 killed, 3 dumped core, 0 there was none.
    let status = match (property("Result"), property("ExecMainCode")) {
        ("timeout", _) => STATUS_TIMED_OUT,
        (_, "1") => status,
        (_, "2" | "3") => STATUS_SIGNAL + status,
        (_, _) => STATUS_NEVER_RAN,
    };
    Ok(JobStatus::Ended { status, output: output.map(last_lines).unwrap_or_default() })
}

fn last_lines(output: &Section) -> String {
    let text = plain(&output.text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(OUTPUT_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(active: &str, sub: &str, result: &str, code: u8, status: u8) -> Section {
        let text = format!(
            "LoadState=loaded\nActiveState={active}\nSubState={sub}\nResult={result}\nExecMainCode={code}\nExecMainStatus={status}\n"
        );
        Section { status: 0, text }
    }

    fn parsed(unit: &Section) -> JobStatus {
        parse(Some(unit), Some(&Section { status: 0, text: "a\n\u{1b}[1mb\n".to_owned() })).unwrap()
    }

    #[test]
    fn an_ended_job_keeps_its_status_and_what_it_printed_last() {
        let ended = |status| JobStatus::Ended { status, output: "a\nb".to_owned() };
        assert_eq!(parsed(&unit("active", "exited", "success", 1, 0)), ended(0));
        assert_eq!(parsed(&unit("failed", "failed", "exit-code", 1, 3)), ended(3));
        assert_eq!(parsed(&unit("failed", "failed", "exit-code", 1, 124)), ended(124));
        assert_eq!(parsed(&unit("failed", "failed", "timeout", 2, 15)), ended(124));
        assert_eq!(parsed(&unit("failed", "failed", "signal", 2, 9)), ended(137));
        assert_eq!(parsed(&unit("failed", "failed", "resources", 0, 0)), ended(126));
    }

    #[test]
    fn a_job_that_runs_or_was_never_started_is_told_apart() {
        assert_eq!(parsed(&unit("active", "running", "success", 0, 0)), JobStatus::Running);
        assert_eq!(parsed(&unit("inactive", "dead", "success", 0, 0)), JobStatus::Running);
        let absent =
            Section { status: 0, text: "LoadState=not-found\nActiveState=inactive\nSubState=dead\n".to_owned() };
        assert_eq!(parsed(&absent), JobStatus::Absent);
        assert!(parse(None, None).is_err());
        assert!(parse(Some(&Section { status: 124, text: String::new() }), None).is_err());
    }
}
