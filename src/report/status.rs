//! Where a run stands, for people.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::style::Style;
use super::summary::{HostCounts, HostLine, MigrationCounts, Summary};
use super::table::{Lean, Table};
use super::text::{count, duration, printable};

/// So many more that wait for the same are counted instead of listed: a stopped run of 1,000 hosts says it once.
const ALIKE: usize = 3;

/// The run's counts of hosts in words: `10 of 24 hosts done, 4 active, 9 waiting, 1 quarantined`.
pub fn hosts_words(hosts: &HostCounts, subject: &str) -> String {
    let mut text = format!("{} of {} done", hosts.done, count(hosts.total, subject));
    for (number, what) in [
        (hosts.active, "active"),
        (hosts.waiting, "waiting"),
        (hosts.skipped, "skipped"),
        (hosts.quarantined, "quarantined"),
    ] {
        if number > 0 {
            let _ = write!(text, ", {number} {what}");
        }
    }
    text
}

/// The run's counts of migrations in words.
pub fn migrations_words(migrations: &MigrationCounts) -> String {
    let mut text = format!("{} done", migrations.done);
    for (number, what) in
        [(migrations.active, "in flight"), (migrations.failed, "failed"), (migrations.retried, "tried again")]
    {
        if number > 0 {
            let _ = write!(text, ", {number} {what}");
        }
    }
    text
}

/// How long ago something was, in words.
fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(now.duration_since(at).as_secs_f64().max(0.0)))
}

/// Where the run stands as of `now`.
pub fn text(summary: &Summary, now: Timestamp, style: Style) -> String {
    let mut out = String::new();
    let outcome = match summary.outcome {
        "done" => style.green(summary.outcome),
        "running" => style.bold(summary.outcome),
        "done-with-failures" | "interrupted" => style.red(summary.outcome),
        other => style.yellow(other),
    };
    let _ = writeln!(out, "run {}: {outcome}", style.bold(&summary.run.to_string()));
    if let Some(reason) = &summary.paused_because {
        let _ = writeln!(out, "  because  {}", printable(reason));
    }
    let _ = writeln!(
        out,
        "  rollout  {} ({})",
        printable(summary.rollout.as_str()),
        printable(&format!("{} in {}", summary.remedy, summary.region))
    );
    if let Some(runner) = &summary.runner {
        let heard = runner.heartbeat.map(|at| format!(", last heard of {}", ago(at, now))).unwrap_or_default();
        // Of a process that has ended there is nothing to hear.
        let life = match (summary.ended, runner.alive) {
            (Some(_), _) => String::new(),
            (None, true) => heard,
            (None, false) => format!("{heard}, not alive"),
        };
        let _ = writeln!(out, "  runner   {}, process {}{life}", printable(&runner.host), runner.pid);
    }
    if let Some(started) = summary.started {
        let resumed = if summary.resumed > 0 { format!(", resumed {}", times(summary.resumed)) } else { String::new() };
        let _ = writeln!(out, "  started  {started:.0}{resumed}");
    }
    if let Some(ended) = summary.ended {
        let took = summary.started.map(|started| format!(", after {}", super::sentence::took(started, ended)));
        let _ = writeln!(out, "  ended    {ended:.0}{}", took.unwrap_or_default());
    }
    if summary.subject == "host" {
        let _ = writeln!(out, "  hosts    {}", hosts_words(&summary.hosts, summary.subject));
        let _ = writeln!(out, "  moves    {}", migrations_words(&summary.migrations));
    } else {
        let _ = writeln!(out, "  boots    {}", hosts_words(&summary.hosts, summary.subject));
    }
    let section = |out: &mut String, title: &str, table: &Table| {
        if !table.is_empty() {
            let _ = write!(out, "\n{}\n{}", style.bold(title), table.render(2, |heading| style.dim(heading)));
        }
    };
    let active = |line: &HostLine| !matches!(line.state, "done" | "waiting" | "skipped" | "quarantined");
    section(&mut out, "Under way", &hosts_table(summary, &active));
    section(&mut out, "Quarantined", &hosts_table(summary, &|line| line.state == "quarantined"));
    section(&mut out, "Skipped", &hosts_table(summary, &|line| line.state == "skipped"));
    section(&mut out, "Did not start again", &stopped_table(summary, true));
    section(&mut out, "Stopped in place", &stopped_table(summary, false));
    let mut waits = Table::new(&[("what waits", Lean::Left), ("for what", Lean::Left)]);
    for (reason, steps) in by_reason(summary) {
        match steps.as_slice() {
            [first, rest @ ..] if rest.len() >= ALIKE => {
                waits.row([format!("{first} and {} more", rest.len()).as_str(), reason]);
            }
            few => few.iter().for_each(|step| waits.row([*step, reason])),
        }
    }
    section(&mut out, "Waiting", &waits);
    out
}

/// What waits, by what it waits for, in the order in which reasons come up.
fn by_reason(summary: &Summary) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for wait in &summary.waiting_for {
        match groups.iter_mut().find(|(reason, _)| *reason == wait.reason) {
            Some((_, steps)) => steps.push(&wait.step),
            None => groups.push((&wait.reason, vec![&wait.step])),
        }
    }
    groups
}

fn times(number: usize) -> String {
    if number == 1 { "once".to_owned() } else { count(number, "time") }
}

/// Instances that we stopped: those that did not start, or those whose turn is still to come.
pub(super) fn stopped_table(summary: &Summary, failed: bool) -> Table {
    let mut table = Table::new(&[
        ("host", Lean::Left),
        ("project", Lean::Left),
        ("instance", Lean::Left),
        ("name", Lean::Left),
        ("why", Lean::Left),
    ]);
    for line in summary.stopped.iter().filter(|line| line.why.is_some() == failed) {
        let id = line.instance.to_string();
        let why = line.why.as_deref().unwrap_or("runs again when its host is back");
        table.row([line.host.as_str(), line.project.as_str(), &id, &line.name, why]);
    }
    table
}

fn hosts_table(summary: &Summary, wanted: &dyn Fn(&HostLine) -> bool) -> Table {
    let mut table =
        Table::new(&[("host", Lean::Left), ("state", Lean::Left), ("since", Lean::Left), ("why", Lean::Left)]);
    for line in summary.host.iter().filter(|line| wanted(line)) {
        let since = format!("{:.0}", line.since);
        table.row([line.host.as_str(), line.state, &since, line.why.as_deref().unwrap_or_default()]);
    }
    table
}
