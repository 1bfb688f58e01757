//! A rollout for review, as a page.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;

use super::page::{
    Card, MANY, SCRIPT, STYLE_SHEET, Standing, ZOOMS, count, duration, gravest_first, grouped, handling_words,
    outcome_class, outcome_word, printable, prose, script_hash, seconds, severity_class, severity_word, since,
    skip_words, stay_words, time, verdict,
};
use crate::model::{HostName, ProjectId};
use crate::plan::{PlannedHost, PlannedStay, Rollout, Severity};
use crate::remedy::{Evidence, Verdict};
use crate::report::affected::{Affected, affected};
use crate::report::calls::{Calls, calls};
use crate::report::evidence::decisive;
use crate::report::gantt::Gantt;
use crate::report::load::{Curve, curves};
use crate::report::review::{certificate_words, headline};
use crate::report::risks::{Risk, Rule, risks, rules};

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage<'a> {
    rollout: &'a Rollout,
    headline: String,
    standing: Standing,
    /// Whether what is out of sight is not laid out at first.
    many: bool,
    cards: Vec<Card>,
    gantt: Gantt,
    curves: Vec<Curve>,
    calls: Vec<Calls>,
    certificate: Vec<String>,
    rules: Vec<Rule>,
    risks: Vec<Risk>,
    hosts: Vec<HostView<'a>>,
    evidence: Vec<EvidenceView<'a>>,
    projects: Vec<ProjectView<'a>>,
    policy: String,
    remedy: String,
}

/// A host with what is on it.
struct HostView<'a> {
    planned: &'a PlannedHost,
    stays: Vec<&'a PlannedStay>,
    projects: usize,
    /// What decides its verdict.
    decisive: Vec<&'a Evidence>,
    /// Which of the distinct sets of evidence is its.
    evidence: usize,
}

/// Evidence, word for word the same on all of these hosts.
struct EvidenceView<'a> {
    verdict: &'a Verdict,
    hosts: Vec<&'a HostName>,
}

/// A project and what is done to its instances.
struct ProjectView<'a> {
    id: &'a ProjectId,
    is: Affected,
}

/// A rollout for review, as a page.
pub fn review(rollout: &Rollout) -> Result<String, askama::Error> {
    let projects = affected(rollout);
    let (hosts, evidence) = hosts(rollout);
    let page = ReviewPage {
        headline: headline(rollout),
        standing: standing(rollout),
        many: rollout.hosts.len() > MANY,
        cards: cards(rollout, &projects),
        gantt: Gantt::of_plan(rollout),
        curves: curves(rollout),
        calls: calls(rollout),
        certificate: certificate_words(&rollout.certificate),
        rules: rules(rollout),
        risks: risks(rollout),
        hosts,
        evidence,
        projects: projects.into_iter().map(|(id, is)| ProjectView { id, is }).collect(),
        policy: file(&rollout.policy),
        remedy: file(&rollout.remedy),
        rollout,
    };
    page.render()
}

fn standing(rollout: &Rollout) -> Standing {
    let of = |severity| rollout.notes.iter().filter(|note| note.severity == severity).count();
    let against = of(Severity::Fatal) + rollout.certificate.violations.len();
    let warnings = of(Severity::Warning);
    let proven = "the replay found no limit, no host's room and no server group violated at any instant";
    match (against, warnings) {
        (0, 0) => Standing { class: "good", word: "✓ Ready to approve", says: format!("no warning; {proven}") },
        (0, _) => Standing {
            class: "mind",
            word: "! Read before you approve",
            says: format!("{}; {proven}", count(warnings, "warning")),
        },
        _ => Standing {
            class: "bad",
            word: "✗ Cannot be run",
            says: format!("{} against it", count(against, "finding")),
        },
    }
}

fn cards(rollout: &Rollout, projects: &BTreeMap<&ProjectId, Affected>) -> Vec<Card> {
    let certificate = &rollout.certificate;
    vec![
        Card::new(grouped(rollout.hosts.len()), "hosts to remedy, one reboot each"),
        Card::new(grouped(certificate.moves), "moves of instances"),
        Card::new(duration(certificate.makespan_s), "from the first to the last host"),
        Card::new(certificate.peak_hosts_out.to_string(), "hosts out of service at once, at most"),
        Card::new(grouped(projects.len()), "projects have instances here"),
        Card::new(grouped(rollout.stays.len()), "instances that stay through a reboot"),
        Card::new(grouped(rollout.skipped.len()), "hosts left alone"),
    ]
}

/// Hosts in order, and the distinct sets of evidence among them in the order in which they first appear.
fn hosts(rollout: &Rollout) -> (Vec<HostView<'_>>, Vec<EvidenceView<'_>>) {
    let mut stays: BTreeMap<&HostName, Vec<&PlannedStay>> = BTreeMap::new();
    for stay in &rollout.stays {
        stays.entry(&stay.host).or_default().push(stay);
    }
    let mut evidence: Vec<EvidenceView<'_>> = Vec::new();
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    let hosts = rollout.hosts.iter().map(|planned| {
        let stays = stays.remove(&planned.host).unwrap_or_default();
        let moving = planned.moves.iter().map(|one| &one.project);
        let projects: BTreeSet<&ProjectId> = moving.chain(stays.iter().map(|stay| &stay.project)).collect();
        let key = serde_json::to_string(&planned.verdict).unwrap_or_default();
        let number = *numbers.entry(key).or_insert_with(|| {
            evidence.push(EvidenceView { verdict: &planned.verdict, hosts: Vec::new() });
            evidence.len() - 1
        });
        evidence[number].hosts.push(&planned.host);
        HostView {
            planned,
            stays,
            projects: projects.len(),
            decisive: decisive(&planned.verdict),
            evidence: number + 1,
        }
    });
    let hosts = hosts.collect();
    (hosts, evidence)
}

/// A part of the rollout as programs read it, safe for people.
fn file(part: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(part).unwrap_or_default();
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// The machine that a host must be.
fn identity(planned: &PlannedHost) -> String {
    let identity = &planned.identity;
    let all = [("machine", &identity.machine_id), ("Nova name", &identity.nova_host), ("hostname", &identity.hostname)];
    let known = all.iter().filter_map(|(what, value)| Some(format!("{what} {}", value.as_ref()?)));
    printable(&known.collect::<Vec<_>>().join(", ")).into_owned()
}

/// The first of some hosts by name, and how many more there are.
fn some(hosts: &[&HostName]) -> String {
    const NAMED: usize = 8;
    let named: Vec<String> = hosts.iter().take(NAMED).map(|host| printable(host.as_str()).into_owned()).collect();
    let more = hosts.len().saturating_sub(NAMED);
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}
