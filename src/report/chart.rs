//! The time line of a run: when each host was out of service, and in which phase. Own SVG, no library.

use jiff::Timestamp;

use super::sentence::{StepParts, took};
use super::story::{HostStory, StepLine};
use super::summary::Summary;
use super::text::duration;
use crate::workflow::StepKind;

/// Where bars begin; host names stand before.
const LEFT: f64 = 160.0;
/// Width of the drawing.
const WIDTH: f64 = 1000.0;
/// Height of a host's row.
const ROW: usize = 16;
/// Height of the scale above them.
const SCALE: usize = 20;

/// The drawing, in units of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Height.
    pub height: usize,
    /// Marks of the scale.
    pub ticks: Vec<Tick>,
    /// Hosts that were begun.
    pub rows: Vec<Row>,
}

/// A mark of the scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where.
    pub x: String,
    /// Time since the start.
    pub label: String,
}

/// A host.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its name.
    pub host: String,
    /// Where.
    pub y: usize,
    /// Its phases.
    pub bars: Vec<Bar>,
}

/// A phase.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// `drain`, `update`, `reboot`, `verify`.
    pub class: &'static str,
    /// Where.
    pub x: String,
    /// How wide.
    pub width: String,
    /// In words.
    pub title: String,
}

/// Draws the time line of `summary`; empty when nothing was begun.
pub fn chart(summary: &Summary) -> Chart {
    let stories: Vec<(&str, &HostStory)> = summary
        .host
        .iter()
        .filter_map(|line| Some((line.host.as_str(), line.story.as_ref()?)))
        .filter(|(_, story)| !story.steps.is_empty())
        .collect();
    let times = || {
        stories.iter().flat_map(|(_, story)| &story.steps).flat_map(|step| [Some(step.started), step.ended]).flatten()
    };
    let (Some(from), Some(to)) = (times().min(), times().max()) else {
        return Chart { height: SCALE, ticks: Vec::new(), rows: Vec::new() };
    };
    let length = to.duration_since(from).as_secs_f64().max(1.0);
    let x = |at: Timestamp| LEFT + at.duration_since(from).as_secs_f64() / length * (WIDTH - LEFT);
    let rows = stories
        .iter()
        .enumerate()
        .map(|(index, (host, story))| Row {
            host: shortened(host),
            y: SCALE + index * ROW,
            bars: phases(story)
                .into_iter()
                .map(|(class, words, begin, end)| Bar {
                    class,
                    x: format!("{:.1}", x(begin)),
                    width: format!("{:.1}", (x(end) - x(begin)).max(1.0)),
                    title: format!("{words}: {}", took(begin, end)),
                })
                .collect(),
        })
        .collect();
    let tick = |x: f64, seconds: f64| Tick { x: format!("{x:.1}"), label: format!("+{}", duration(seconds)) };
    let mut ticks: Vec<Tick> =
        [0.0, 0.25, 0.5, 0.75].into_iter().map(|share| tick(LEFT + share * (WIDTH - LEFT), share * length)).collect();
    // The last label stands before its mark, which is the edge.
    ticks.push(tick(WIDTH - 60.0, length));
    Chart { height: SCALE + stories.len() * ROW, ticks, rows }
}

/// A host's name as the margin holds it.
fn shortened(host: &str) -> String {
    const MOST: usize = 22;
    if host.chars().count() <= MOST { host.to_owned() } else { host.chars().take(MOST - 1).chain(['…']).collect() }
}

/// The phases of a host in order: class, words, begin, end. A later attempt at a host continues its phases.
fn phases(story: &HostStory) -> Vec<(&'static str, &'static str, Timestamp, Timestamp)> {
    let mut phases: Vec<(&'static str, &'static str, Timestamp, Timestamp)> = Vec::new();
    for step in &story.steps {
        let Some((class, words)) = phase(step) else { continue };
        let end = step.ended.unwrap_or(step.started);
        match phases.last_mut() {
            Some(last) if last.0 == class => last.3 = last.3.max(end),
            _ => phases.push((class, words, step.started, end)),
        }
    }
    phases
}

fn phase(step: &StepLine) -> Option<(&'static str, &'static str)> {
    Some(match StepParts::of(&step.step).kind? {
        StepKind::Identify | StepKind::Disable | StepKind::Resolve | StepKind::Move => ("drain", "drain"),
        StepKind::Fence | StepKind::Update | StepKind::Configure | StepKind::VerifyConfig => ("update", "update"),
        StepKind::Reboot => ("reboot", "reboot"),
        StepKind::Return | StepKind::Evidence | StepKind::Enable | StepKind::Settle => ("verify", "prove and settle"),
        // Downloads run beside the drain; aftercare is no phase.
        StepKind::Stage | StepKind::Unfence | StepKind::Quarantine => return None,
    })
}
