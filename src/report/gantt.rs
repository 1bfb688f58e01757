//! Time lines: hosts by zone, each with its phases. Of a plan, and of a run with the plan behind it.
//!
//! Places are shares of the whole length: the page stretches the drawing by style alone, without a script.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::sentence::{StepParts, took};
use super::story::{HostStory, StepLine};
use super::summary::Summary;
use super::text::{count, duration};
use crate::model::ZoneName;
use crate::plan::{PlannedHost, Rollout};
use crate::workflow::StepKind;

/// Rows up to which each one has room for a name; above, names appear when the rows are made taller.
const NAMED_ROWS: usize = 60;
/// Height of a row that has room for a name, in CSS pixels.
const NAMED_ROW: f64 = 20.0;
/// Height of the whole drawing when its rows are low, in CSS pixels: about a screen.
const WHOLE: f64 = 640.0;
/// Marks of the scale at most.
const MARKS: f64 = 7.0;
/// What scales are marked in, in seconds: one of these lengths of time and a multiple reads well.
const UNITS: [f64; 19] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 21_600.0,
    43_200.0, 86_400.0, 172_800.0,
];

/// The drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Gantt {
    /// Whether rows are too low for names at first.
    pub dense: bool,
    /// Height of a row at first, in CSS pixels.
    pub row: String,
    /// Marks of the scale.
    pub marks: Vec<Mark>,
    /// Where the canary hosts are through, with what is said there.
    pub gate: Option<Mark>,
    /// Zones in order of name.
    pub zones: Vec<Zone>,
}

/// A mark of the scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Where, in percent.
    pub x: String,
    /// What stands there.
    pub label: String,
}

/// Hosts of one zone in the order in which they are begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// What the drawing shows, for who does not see it.
    pub label: String,
    /// Its hosts.
    pub lanes: Vec<Lane>,
}

/// A host.
#[derive(Debug, Clone, PartialEq)]
pub struct Lane {
    /// Row in its zone, from 0.
    pub row: usize,
    /// Its name.
    pub host: String,
    /// Its place in the order, which is its anchor.
    pub order: u32,
    /// Its phases.
    pub bars: Vec<Bar>,
}

/// A phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// `plan`, `drain`, `update`, `reboot`, `verify`.
    pub class: &'static str,
    /// Where, in percent.
    pub x: String,
    /// How wide, in percent.
    pub width: String,
    /// In words.
    pub title: String,
}

/// Which host, and where it stands.
struct Place<'a> {
    host: &'a str,
    zone: Option<&'a ZoneName>,
    order: u32,
}

/// A phase in seconds from the start.
struct Phase {
    class: &'static str,
    from: f64,
    to: f64,
    title: String,
}

impl Gantt {
    /// The time line of a plan.
    pub fn of_plan(rollout: &Rollout) -> Self {
        let settle = rollout.policy.settle.as_seconds();
        let hosts = rollout.hosts.iter().map(|planned| {
            let place = Place { host: planned.host.as_str(), zone: planned.zone.as_ref(), order: planned.order };
            (place, planned_phases(planned, settle))
        });
        let length = rollout.hosts.iter().map(|planned| planned.finish_s).fold(0.0, f64::max);
        let first =
            rollout.hosts.iter().filter(|host| !host.canary).map(|host| host.start_s).fold(f64::INFINITY, f64::min);
        let canaries = rollout.hosts.iter().filter(|host| host.canary).count();
        let gate = (canaries > 0 && first.is_finite()).then(|| Mark {
            x: percent(first, length),
            label: format!("canary gate: {} done and watched", count(canaries, "host")),
        });
        Self { gate, ..Self::draw(hosts, length) }
    }

    /// The time line of a run, on the plan's; hosts that were not begun show what was planned.
    pub fn of_run(summary: &Summary) -> Self {
        let stories = || summary.host.iter().filter_map(|line| Some((line.host.as_str(), line.story.as_ref()?)));
        let steps = || stories().flat_map(|(_, story)| &story.steps);
        let Some(start) = summary.started.or_else(|| steps().map(|step| step.started).min()) else {
            return Self::draw([].into_iter(), 0.0);
        };
        let since = |at: Timestamp| at.duration_since(start).as_secs_f64();
        let planned = stories().map(|(_, story)| story.planned_finish_s).fold(0.0, f64::max);
        let lived = steps().flat_map(|step| [Some(step.started), step.ended]).flatten().map(since).fold(0.0, f64::max);
        let hosts = stories().map(|(host, story)| {
            let (from, to) = (story.planned_start_s, story.planned_finish_s);
            let title = format!("{host}, as planned: +{} to +{}", duration(from), duration(to));
            let plan = Phase { class: "plan", from, to, title };
            let phases = lived_phases(story).into_iter().map(|(class, words, begin, end)| Phase {
                class,
                from: since(begin),
                to: since(end),
                title: format!("{host}, {words}: {}, from {begin:.0}", took(begin, end)),
            });
            let place = Place { host, zone: story.zone.as_ref(), order: story.order };
            (place, std::iter::once(plan).chain(phases).collect())
        });
        Self::draw(hosts, lived.max(planned))
    }

    fn draw<'a>(hosts: impl Iterator<Item = (Place<'a>, Vec<Phase>)>, length: f64) -> Self {
        let length = length.max(1.0);
        let mut zones: BTreeMap<Option<&ZoneName>, Vec<Lane>> = BTreeMap::new();
        let mut rows = 0;
        for (place, phases) in hosts {
            let lanes = zones.entry(place.zone).or_default();
            rows += 1;
            lanes.push(Lane {
                row: lanes.len(),
                host: place.host.to_owned(),
                order: place.order,
                bars: phases.into_iter().filter_map(|phase| bar(phase, length)).collect(),
            });
        }
        let dense = rows > NAMED_ROWS;
        Self {
            dense,
            row: format!("{:.1}", if dense { low_row(rows) } else { NAMED_ROW }),
            marks: scale(length),
            gate: None,
            zones: zones
                .into_iter()
                .map(|(zone, lanes)| {
                    let name = zone.map_or_else(|| "no zone".to_owned(), ToString::to_string);
                    Zone {
                        label: format!("When each of {} of {name} is worked on", count(lanes.len(), "host")),
                        name,
                        lanes,
                    }
                })
                .collect(),
        }
    }
}

/// The phases that a plan tells apart: until the last instance has left, the work behind that, and the wait at its end
/// until the scheduler has seen the host.
fn planned_phases(planned: &PlannedHost, settle: f64) -> Vec<Phase> {
    let emptied = planned.moves.iter().map(|one| one.finish_s).fold(planned.start_s, f64::max);
    let settles = (planned.finish_s - settle).max(emptied);
    let say = |words: &str, from: f64, to: f64| {
        format!("{}, {words}: +{} to +{}", planned.host, duration(from), duration(to))
    };
    let leave = format!("{} leave", count(planned.moves.len(), "instance"));
    vec![
        Phase { class: "drain", from: planned.start_s, to: emptied, title: say(&leave, planned.start_s, emptied) },
        Phase { class: "update", from: emptied, to: settles, title: say("update, reboot, prove", emptied, settles) },
        Phase { class: "verify", from: settles, to: planned.finish_s, title: say("settle", settles, planned.finish_s) },
    ]
}

/// The phases of a host in order: class, words, begin, end. A later attempt at a host continues its phases.
fn lived_phases(story: &HostStory) -> Vec<(&'static str, &'static str, Timestamp, Timestamp)> {
    let mut phases: Vec<(&'static str, &'static str, Timestamp, Timestamp)> = Vec::new();
    for step in &story.steps {
        let Some((class, words)) = phase_of(step) else { continue };
        let end = step.ended.unwrap_or(step.started);
        match phases.last_mut() {
            Some(last) if last.0 == class => last.3 = last.3.max(end),
            _ => phases.push((class, words, step.started, end)),
        }
    }
    phases
}

fn phase_of(step: &StepLine) -> Option<(&'static str, &'static str)> {
    Some(match StepParts::of(&step.step).kind? {
        StepKind::Identify | StepKind::Disable | StepKind::Resolve | StepKind::Move | StepKind::Stop => {
            ("drain", "drain")
        }
        StepKind::Fence | StepKind::Update | StepKind::Configure | StepKind::VerifyConfig => ("update", "update"),
        StepKind::Reboot | StepKind::ColdBoot => ("reboot", "reboot"),
        StepKind::Return
        | StepKind::Evidence
        | StepKind::Start
        | StepKind::Enable
        | StepKind::Settle
        | StepKind::Probe => ("verify", "prove and settle"),
        // Downloads run beside the drain, what a file adds stands anywhere; aftercare is no phase.
        StepKind::Stage
        | StepKind::Hook
        | StepKind::Unhook
        | StepKind::Command
        | StepKind::Ansible
        | StepKind::Unfence
        | StepKind::Quarantine => return None,
    })
}

/// Nothing is drawn of what takes no time, but for what was lived through.
fn bar(phase: Phase, length: f64) -> Option<Bar> {
    (phase.to > phase.from).then(|| Bar {
        class: phase.class,
        x: percent(phase.from, length),
        width: percent(phase.to - phase.from, length),
        title: phase.title,
    })
}

/// A row of which all fit on about a screen; more than half a pixel, so that none is lost.
#[expect(clippy::cast_precision_loss, reason = "hosts are counted in thousands")]
fn low_row(rows: usize) -> f64 {
    (WHOLE / rows as f64).clamp(0.6, NAMED_ROW)
}

/// Marks at round times, the first at the start.
#[expect(clippy::maybe_infinite_iter, reason = "times grow beyond every length")]
fn scale(length: f64) -> Vec<Mark> {
    let unit = UNITS
        .into_iter()
        .find(|unit| length / unit <= MARKS)
        .unwrap_or_else(|| (length / MARKS / 86_400.0).ceil() * 86_400.0);
    (0..)
        .map(|number| f64::from(number) * unit)
        // A label at the very end would stand outside.
        .take_while(|at| *at <= length * 0.97)
        .map(|at| Mark { x: percent(at, length), label: format!("+{}", duration(at)) })
        .collect()
}

/// A share in percent, as short as a drawing needs it.
fn percent(part: f64, whole: f64) -> String {
    let text = format!("{:.3}", 100.0 * part / whole);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::rollout;

    #[test]
    fn a_plan_is_drawn_by_zone_in_order_and_to_its_very_end() {
        let gantt = Gantt::of_plan(&rollout());
        assert_eq!(gantt.zones.len(), 1);
        let lanes = &gantt.zones[0].lanes;
        assert_eq!(lanes.iter().map(|lane| lane.host.as_str()).collect::<Vec<_>>(), ["compute-1", "compute-2"]);
        let end = |lane: &Lane| {
            let last = lane.bars.last().unwrap();
            last.x.parse::<f64>().unwrap() + last.width.parse::<f64>().unwrap()
        };
        assert!((end(&lanes[1]) - 100.0).abs() < 0.01, "{:?}", lanes[1]);
        // The first host has no instance to lose: it is not drained.
        assert_eq!(lanes[0].bars.iter().map(|bar| bar.class).collect::<Vec<_>>(), ["update", "verify"]);
        assert_eq!(lanes[1].bars.iter().map(|bar| bar.class).collect::<Vec<_>>(), ["drain", "update", "verify"]);
        assert!(gantt.gate.is_some());
    }

    #[test]
    fn the_scale_has_few_marks_at_round_times_whatever_the_length() {
        for length in [3.0, 61.0, 4000.0, 90_000.0, 3_000_000.0] {
            let marks = scale(length);
            assert!((2..=8).contains(&marks.len()), "{length}: {marks:?}");
        }
        let labels: Vec<String> = scale(11_460.0).into_iter().map(|mark| mark.label).collect();
        assert_eq!(labels, ["+0 s", "+30 min", "+1 h", "+1 h 30 min", "+2 h", "+2 h 30 min", "+3 h"]);
    }

    #[test]
    fn a_thousand_rows_fit_on_a_screen() {
        assert!(low_row(1000) * 1000.0 <= WHOLE);
        assert!(low_row(100) > 6.0);
    }
}
