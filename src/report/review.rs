//! A rollout for review: what would be done, in which order, what was proven about it, what is left out and why.

use std::fmt::Write as _;

use super::sentence::verdict_words;
use super::style::Style;
use super::table::{Lean, Table};
use super::text::{count, duration, markdown_cell, printable};
use crate::model::{HostName, InstanceHandling, InstanceId};
use crate::plan::{
    BlockedInstance, Certificate, Note, PlannedHost, PlannedStay, Rollout, Severity, SkipReason, StayReason,
};
use crate::workflow::{park, steps_of, stops};

/// The certificate in plain words, one sentence a line.
pub fn certificate_words(certificate: &Certificate) -> Vec<String> {
    let mut lines = Vec::new();
    lines.push(if certificate.violations.is_empty() {
        "replayed instant by instant by code that shares nothing with the planner: no limit, no host's room and no server \
         group is ever violated"
            .to_owned()
    } else {
        format!("{} found by the replay: it cannot be run", count(certificate.violations.len(), "violation"))
    });
    if certificate.instances > 0 {
        lines.push(format!(
            "{} for {} that must leave a host ({:.3} each); no plan needs fewer than {}",
            count(certificate.moves, "move"),
            count(certificate.instances, "instance"),
            certificate.moves_per_instance,
            certificate.moves_lower_bound,
        ));
    } else {
        lines.push("no instance has to move".to_owned());
    }
    let bound = certificate
        .bounds
        .iter()
        .max_by(|one, other| one.1.total_cmp(other.1))
        .map(|(name, _)| format!(" (what binds it: {})", name.replace('_', " ")))
        .unwrap_or_default();
    lines.push(format!(
        "takes about {}; no plan can take less than {}{bound}: {:.1} % over",
        duration(certificate.makespan_s),
        duration(certificate.makespan_lower_bound_s),
        certificate.gap * 100.0,
    ));
    lines.push(format!("at most {} out of service at one time", count(certificate.peak_hosts_out, "host")));
    lines.extend(certificate.violations.iter().map(|violation| format!("violation: {violation}")));
    lines
}

/// A reason to leave a host alone, in a few words.
pub fn skip_words(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Mitigated => "mitigated",
        SkipReason::NotAffected => "not affected",
        SkipReason::Unknown => "unknown",
        SkipReason::Excluded => "excluded",
        SkipReason::Disabled => "disabled",
        SkipReason::Down => "down",
        SkipReason::CannotEmpty => "cannot be emptied",
        SkipReason::NoRoom => "no room",
        SkipReason::Identity => "identity",
        SkipReason::CannotMitigate => "cannot mitigate",
        SkipReason::Limits => "limits",
        SkipReason::NoConsent => "no consent",
        SkipReason::Role => "role",
        SkipReason::Hypervisor => "hypervisor",
    }
}

/// A reason for an instance to stay, in a few words.
pub fn stay_words(reason: StayReason) -> &'static str {
    match reason {
        StayReason::Stopped => "shut off",
        StayReason::Suspended => "suspended",
        StayReason::CannotMove => "cannot be moved",
        StayReason::Locked => "locked",
        StayReason::Resting => "at rest",
        StayReason::Decided => "by decision",
    }
}

/// What is done with an instance, in a few words.
pub fn handling_words(handling: InstanceHandling) -> &'static str {
    match handling {
        InstanceHandling::Leave => "stays as it is",
        InstanceHandling::LiveMigrate => "live migration",
        InstanceHandling::ColdMigrate => "cold migration",
        InstanceHandling::StopInPlace => "stopped, and started again behind the reboot",
        InstanceHandling::SkipHost => "its host is not touched",
    }
}

/// What heads the table of processors.
const PROCESSORS: &str = "Processors that keep guests apart";

/// One line that says what the rollout amounts to.
pub fn headline(rollout: &Rollout) -> String {
    if !rollout.work.is_of_hosts() {
        return format!(
            "{} to cold-boot, at most {} at a time; {} left alone",
            count(rollout.hosts.len(), "instance"),
            rollout.policy.cold_boots.at_once,
            count(rollout.skipped.len(), "instance"),
        );
    }
    let moves: usize = rollout.hosts.iter().map(|host| host.moves.len()).sum();
    format!(
        "{} to remedy, {}, about {}; {} left alone",
        count(rollout.hosts.len(), "host"),
        count(moves, "move"),
        duration(rollout.certificate.makespan_s),
        count(rollout.skipped.len(), "host"),
    )
}

/// The rollout for people: an overview, or the details of `hosts` where some are named.
pub fn text(rollout: &Rollout, hosts: &[HostName], style: Style) -> String {
    let mut out = head(rollout, style);
    if hosts.is_empty() {
        out.push_str(&overview(rollout, style));
    } else {
        for host in rollout.hosts.iter().filter(|host| hosts.contains(&host.host)) {
            out.push('\n');
            out.push_str(&host_text(host, &rollout.stays, style));
        }
        for skipped in rollout.skipped.iter().filter(|skipped| hosts.contains(&skipped.host)) {
            let _ = writeln!(out, "\n{}", style.bold(&format!("{} is left alone", skipped.host)));
            let _ = writeln!(out, "  {}: {}", skip_words(skipped.reason), printable(&skipped.detail));
        }
    }
    out
}

fn head(rollout: &Rollout, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}", style.bold(&headline(rollout)));
    let title = if rollout.remedy.title.is_empty() { String::new() } else { format!(" ({})", rollout.remedy.title) };
    let _ = writeln!(out, "  remedy   {}", printable(&format!("{}{title}", rollout.remedy.name)));
    let _ = writeln!(out, "  region   {}, as seen at {:.0}", printable(&rollout.region), rollout.region_taken_at);
    let _ =
        writeln!(out, "  rollout  {}, made at {:.0} by {}", rollout.id, rollout.created, printable(&rollout.made_by));
    let _ = writeln!(out, "  digest   {}", printable(rollout.digest.as_str()));
    out
}

fn overview(rollout: &Rollout, style: Style) -> String {
    let mut out = String::new();
    if !rollout.work.is_of_hosts() {
        let table = cold_boots_table(rollout).render(2, |heading| style.dim(heading));
        let _ = write!(out, "\n{}\n{table}", style.bold("Instances in order"));
        let left = skipped_table(rollout).render(2, |heading| style.dim(heading));
        let _ = write!(out, "\n{}\n{left}", style.bold("Left alone"));
        let _ = write!(out, "\n{}", notes(&rollout.notes, style));
        return out;
    }
    let section = |out: &mut String, title: &str, body: &str| {
        if !body.is_empty() {
            let _ = write!(out, "\n{}\n{body}", style.bold(title));
        }
    };
    let lines = certificate_words(&rollout.certificate).join("\n  ");
    section(&mut out, "Certificate", &format!("  {lines}\n"));
    section(&mut out, "Hosts in order", &hosts_table(rollout).render(2, |heading| style.dim(heading)));
    section(&mut out, "Left alone", &skipped_table(rollout).render(2, |heading| style.dim(heading)));
    section(&mut out, BLOCKED, &blocked_table(rollout).render(2, |heading| style.dim(heading)));
    section(
        &mut out,
        "Instances that stay on a host that is rebooted",
        &stays_table(&rollout.stays).render(2, |heading| style.dim(heading)),
    );
    section(&mut out, PROCESSORS, &processors_table(rollout).render(2, |heading| style.dim(heading)));
    section(&mut out, "Notes", &notes(&rollout.notes, style));
    out
}

/// Notes, gravest first.
pub(super) fn gravest_first(notes: &[Note]) -> Vec<&Note> {
    let mut sorted: Vec<&Note> = notes.iter().collect();
    sorted.sort_by_key(|note| std::cmp::Reverse(note.severity));
    sorted
}

/// A severity in a word.
pub(super) fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "note",
        Severity::Warning => "warning",
        Severity::Fatal => "fatal",
    }
}

/// Notes, gravest first, one a line.
pub fn notes(notes: &[Note], style: Style) -> String {
    let mut out = String::new();
    for note in gravest_first(notes) {
        let word = severity_word(note.severity);
        let label = match note.severity {
            Severity::Info => style.dim(word),
            Severity::Warning => style.yellow(word),
            Severity::Fatal => style.red(word),
        };
        let _ = writeln!(out, "  {label}: {}: {}", printable(&note.at), printable(&note.message));
    }
    out
}

/// The instances of a campaign of cold boots.
fn cold_boots_table(rollout: &Rollout) -> Table {
    let mut table = Table::new(&[
        ("", Lean::Right),
        ("instance", Lean::Left),
        ("name", Lean::Left),
        ("project", Lean::Left),
        ("on", Lean::Left),
        ("why", Lean::Left),
    ]);
    for (order, boot) in rollout.hosts.iter().filter_map(|host| Some((host.order, host.cold_boot.as_deref()?))) {
        let (order, id) = (order.to_string(), boot.instance.to_string());
        table.row([order.as_str(), &id, &boot.name, boot.project.as_str(), boot.on.as_str(), &boot.why]);
    }
    table
}

fn hosts_table(rollout: &Rollout) -> Table {
    let mut table = Table::new(&[
        ("", Lean::Right),
        ("host", Lean::Left),
        ("zone", Lean::Left),
        ("out at", Lean::Right),
        ("back at", Lean::Right),
        ("moves", Lean::Right),
        ("", Lean::Left),
    ]);
    for host in &rollout.hosts {
        table.row([
            host.order.to_string(),
            host.host.to_string(),
            host.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
            format!("+{}", duration(host.start_s)),
            format!("+{}", duration(host.finish_s)),
            host.moves.len().to_string(),
            if host.canary { "canary".to_owned() } else { String::new() },
        ]);
    }
    table
}

fn skipped_table(rollout: &Rollout) -> Table {
    let mut table = Table::new(&[("host", Lean::Left), ("why", Lean::Left), ("", Lean::Left)]);
    for skipped in &rollout.skipped {
        table.row([skipped.host.as_str(), skip_words(skipped.reason), &skipped.detail]);
    }
    table
}

fn stays_table<'a>(stays: impl IntoIterator<Item = &'a PlannedStay>) -> Table {
    let mut table = Table::new(&[
        ("host", Lean::Left),
        ("instance", Lean::Left),
        ("name", Lean::Left),
        ("why", Lean::Left),
        ("", Lean::Left),
    ]);
    for stay in stays {
        table.row([
            stay.host.as_str(),
            &stay.instance.to_string(),
            &stay.name,
            stay_words(stay.reason),
            handling_words(stay.handling),
        ]);
    }
    table
}

/// What heads the list of those that keep hosts from being remedied.
const BLOCKED: &str = "Instances for which their host is left alone";

/// By project and reason: whoever asks the owners goes through it project by project.
fn blocked_table(rollout: &Rollout) -> Table {
    let mut table = Table::new(&[
        ("project", Lean::Left),
        ("why", Lean::Left),
        ("host", Lean::Left),
        ("instance", Lean::Left),
        ("name", Lean::Left),
        ("", Lean::Left),
    ]);
    let mut blocked: Vec<&BlockedInstance> = rollout.blocked.iter().collect();
    blocked.sort_by_key(|one| (&one.project, one.reason, &one.host, one.instance));
    for one in blocked {
        table.row([
            one.project.as_str(),
            stay_words(one.reason),
            one.host.as_str(),
            &one.instance.to_string(),
            &one.name,
            &one.why,
        ]);
    }
    table
}

/// What the rollout tells of processors, which decides where a run lets guests go.
fn processors_table(rollout: &Rollout) -> Table {
    /// Hosts that are named.
    const NAMED: usize = 3;
    let mut table = Table::new(&[
        ("", Lean::Right),
        ("hosts", Lean::Left),
        ("processor", Lean::Left),
        ("guests get", Lean::Left),
        ("instructions that guests use", Lean::Left),
    ]);
    for told in &rollout.processors {
        let named: Vec<&str> = told.hosts.iter().take(NAMED).map(HostName::as_str).collect();
        let more = if told.hosts.len() > NAMED { ", …" } else { "" };
        let made = told.vendor.iter().chain(&told.architecture).map(String::as_str).collect::<Vec<_>>().join(" ");
        let guests = match (told.host_model, told.given.is_empty()) {
            (true, _) => "the host's own".to_owned(),
            (false, false) => told.given.join(", "),
            (false, true) => "not known".to_owned(),
        };
        table.row([
            told.hosts.len().to_string(),
            format!("{}{more}", named.join(", ")),
            if made.is_empty() { "not known".to_owned() } else { made },
            guests,
            told.instructions.join(" "),
        ]);
    }
    table
}

fn host_text(host: &PlannedHost, stays: &[PlannedStay], style: Style) -> String {
    let mut out = String::new();
    let zone = host.zone.as_ref().map(|zone| format!(", zone {zone}")).unwrap_or_default();
    let canary = if host.canary { ", canary" } else { "" };
    let _ = writeln!(
        out,
        "{}",
        style.bold(&printable(&format!(
            "{}: number {}{zone}{canary}, out for about {}",
            host.host,
            host.order,
            duration(host.finish_s - host.start_s)
        )))
    );
    let identity = [
        ("machine", &host.identity.machine_id),
        ("Nova name", &host.identity.nova_host),
        ("hostname", &host.identity.hostname),
    ];
    let known: Vec<String> =
        identity.iter().filter_map(|(what, value)| value.as_ref().map(|value| format!("{what} {value}"))).collect();
    let _ = writeln!(out, "  must be  {}", printable(&known.join(", ")));
    let _ = writeln!(out, "  verdict  {}", verdict_words(host.verdict.verdict));
    out.push_str(&super::evidence::table(&host.verdict).render(4, |heading| style.dim(heading)));
    let mut moves =
        Table::new(&[("leaves", Lean::Right), ("instance", Lean::Left), ("name", Lean::Left), ("to", Lean::Left)]);
    for planned in host.own_moves() {
        moves.row([
            &format!("+{}", duration(planned.start_s)),
            &planned.instance.to_string(),
            &planned.name,
            planned.to.as_str(),
        ]);
    }
    out.push_str(&ways_table(host, style));
    let _ = writeln!(out, "  {}", count(host.own_moves().count(), "move"));
    out.push_str(&moves.render(4, |heading| style.dim(heading)));
    let staying = stays_table(stays.iter().filter(|stay| stay.host == host.host));
    if !staying.is_empty() {
        out.push_str("  stays through the reboot\n");
        out.push_str(&staying.render(4, |heading| style.dim(heading)));
    }
    out
}

/// The rollout for a change ticket.
pub fn markdown(rollout: &Rollout) -> String {
    let mut out = String::new();
    let _ =
        writeln!(out, "# Rollout of {} in {}\n", markdown_cell(&rollout.remedy.name), markdown_cell(&rollout.region));
    let _ = writeln!(out, "{}.\n", headline(rollout));
    let _ = writeln!(out, "- digest: `{}`", markdown_cell(rollout.digest.as_str()));
    let _ = writeln!(
        out,
        "- rollout: {}, made at {:.0} by {}",
        rollout.id,
        rollout.created,
        markdown_cell(&rollout.made_by)
    );
    let _ = writeln!(out, "- region as seen at {:.0}\n\n## Certificate\n", rollout.region_taken_at);
    for line in certificate_words(&rollout.certificate) {
        let _ = writeln!(out, "- {}", markdown_cell(&line));
    }
    for (title, table) in [
        ("Hosts in order", hosts_table(rollout)),
        ("Left alone", skipped_table(rollout)),
        (BLOCKED, blocked_table(rollout)),
        ("Instances that stay on a host that is rebooted", stays_table(&rollout.stays)),
        (PROCESSORS, processors_table(rollout)),
    ] {
        if !table.is_empty() {
            let _ = write!(out, "\n## {title}\n\n{}", table.markdown());
        }
    }
    if !rollout.notes.is_empty() {
        out.push_str("\n## Notes\n\n");
        for note in gravest_first(&rollout.notes) {
            let severity = severity_word(note.severity);
            let _ = writeln!(out, "- {severity}: {}: {}", markdown_cell(&note.at), markdown_cell(&note.message));
        }
    }
    out
}

/// What makes way for a host's instances before they leave; nothing where nothing does.
fn ways_table(host: &PlannedHost, style: Style) -> String {
    let mut ways = Table::new(&[
        ("leaves", Lean::Right),
        ("instance", Lean::Left),
        ("name", Lean::Left),
        ("from", Lean::Left),
        ("to", Lean::Left),
    ]);
    for planned in host.ways() {
        ways.row([
            &format!("+{}", duration(planned.start_s)),
            &planned.instance.to_string(),
            &planned.name,
            planned.from.as_str(),
            planned.to.as_str(),
        ]);
    }
    match host.ways().count() {
        0 => String::new(),
        some => format!(
            "  {} on other hosts to make way first\n{}",
            count(some, "move"),
            ways.render(4, |heading| style.dim(heading))
        ),
    }
}

/// The rollout as `show -f json` prints it: the file, with the steps of each host that follow from it.
pub fn json(rollout: &Rollout) -> serde_json::Value {
    let mut value = serde_json::to_value(rollout).unwrap_or_default();
    let stops = stops(rollout);
    let hosts = value.get_mut("hosts").and_then(serde_json::Value::as_array_mut);
    let added = rollout.added();
    for (shown, host) in hosts.into_iter().flatten().zip(&rollout.hosts) {
        let moves: Vec<InstanceId> = host.own_moves().map(|planned| planned.instance).collect();
        let mut steps = steps_of(host, &moves, &added);
        park(&mut steps, &host.host, stops.get(&host.host).map_or(&[], Vec::as_slice));
        let steps = serde_json::to_value(steps).unwrap_or_default();
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("steps".to_owned(), steps);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::rollout;

    #[test]
    fn the_overview_says_what_would_be_done_and_what_not() {
        insta::assert_snapshot!(text(&rollout(), &[], Style::plain()));
    }

    #[test]
    fn a_host_is_shown_with_its_evidence_and_moves_and_a_skipped_one_with_its_reason() {
        let hosts = [HostName::new("compute-2"), HostName::new("compute-3")];
        insta::assert_snapshot!(text(&rollout(), &hosts, Style::plain()));
    }

    #[test]
    fn a_change_ticket_holds_it_all_and_no_name_breaks_it() {
        let ticket = markdown(&rollout());
        insta::assert_snapshot!(ticket);
        assert!(!ticket.contains("<script>"));
    }

    #[test]
    fn a_violated_certificate_says_so_first() {
        let mut certificate = rollout().certificate;
        certificate.violations.push("compute-1 over its room at +702 s".to_owned());
        assert_eq!(certificate_words(&certificate)[0], "1 violation found by the replay: it cannot be run");
    }
}
