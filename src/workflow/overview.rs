//! A rollout that is too large for a drawing of its steps: hosts, or parts of zones in their order, and who makes room
//! for whom.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::export::{mermaid_label, quoted};
use crate::model::{HostName, ZoneName};
use crate::plan::{PlannedHost, Rollout};

/// Hosts up to which each one's steps are drawn.
pub const STEPS_UP_TO: usize = 12;
/// Hosts up to which each host is drawn.
const HOSTS_UP_TO: usize = 120;
/// Parts of a zone's order that a drawing has, when its hosts are too many.
const PARTS: usize = 10;

/// Boxes and arrows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// What stands in each box, a line each.
    boxes: Vec<Vec<String>>,
    /// From a box to one for which it makes room: with how many moves.
    arrows: BTreeMap<(usize, usize), usize>,
}

impl Overview {
    /// Of a rollout.
    pub fn of(rollout: &Rollout) -> Self {
        let boxes = if rollout.hosts.len() <= HOSTS_UP_TO { by_host(rollout) } else { by_part(rollout) };
        let place: BTreeMap<&HostName, usize> = boxes
            .iter()
            .enumerate()
            .flat_map(|(place, hosts)| hosts.iter().map(move |host| (&host.host, place)))
            .collect();
        let mut arrows = BTreeMap::new();
        for host in &rollout.hosts {
            for one in &host.moves {
                if let (Some(from), Some(to)) = (place.get(&one.to), place.get(&host.host))
                    && from != to
                {
                    *arrows.entry((*from, *to)).or_default() += 1;
                }
            }
        }
        Self { boxes: boxes.iter().map(|hosts| label(hosts)).collect(), arrows }
    }

    /// Graphviz DOT.
    pub fn dot(&self) -> String {
        let mut out = String::from("digraph rollout {\n  rankdir=LR;\n  node [shape=box];\n");
        for (number, lines) in self.boxes.iter().enumerate() {
            let _ = writeln!(out, "  b{number} [label={}];", quoted(&lines.join("\n")).replace('\n', "\\n"));
        }
        for ((from, to), moves) in &self.arrows {
            let _ = writeln!(out, "  b{from} -> b{to} [style=dashed, label=\"room for {moves}\"];");
        }
        out.push_str("}\n");
        out
    }

    /// Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        for (number, lines) in self.boxes.iter().enumerate() {
            let lines: Vec<String> = lines.iter().map(|line| mermaid_label(line)).collect();
            let _ = writeln!(out, "  b{number}[\"{}\"]", lines.join("<br/>"));
        }
        for ((from, to), moves) in &self.arrows {
            let _ = writeln!(out, "  b{from} -.->|room for {moves}| b{to}");
        }
        out
    }
}

fn by_host(rollout: &Rollout) -> Vec<Vec<&PlannedHost>> {
    rollout.hosts.iter().map(|host| vec![host]).collect()
}

/// Each zone's hosts in parts of the same size, in their order.
fn by_part(rollout: &Rollout) -> Vec<Vec<&PlannedHost>> {
    let mut zones: BTreeMap<Option<&ZoneName>, Vec<&PlannedHost>> = BTreeMap::new();
    for host in &rollout.hosts {
        zones.entry(host.zone.as_ref()).or_default().push(host);
    }
    zones.into_values().flat_map(|hosts| parts(&hosts)).collect()
}

fn parts<'a>(hosts: &[&'a PlannedHost]) -> Vec<Vec<&'a PlannedHost>> {
    let size = hosts.len().div_ceil(PARTS).max(1);
    hosts.chunks(size).map(<[_]>::to_vec).collect()
}

fn label(hosts: &[&PlannedHost]) -> Vec<String> {
    let (Some(first), Some(last)) = (hosts.first(), hosts.last()) else { return Vec::new() };
    let zone = first.zone.as_ref().map(|zone| format!(", {zone}")).unwrap_or_default();
    let name = match hosts.len() {
        1 => format!("{}: {}{zone}{}", first.order, first.host, if first.canary { ", canary" } else { "" }),
        many => format!("{} to {}: {many} hosts{zone}", first.order, last.order),
    };
    let moves: usize = hosts.iter().map(|host| host.moves.len()).sum();
    vec![
        name,
        format!("{moves} moves"),
        format!("+{:.0} s to +{:.0} s", first.start_s, hosts.iter().map(|host| host.finish_s).fold(0.0, f64::max)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{HOSTILE, rollout};

    #[test]
    fn a_host_that_takes_instances_points_to_the_one_that_they_leave() {
        let mut rollout = rollout();
        rollout.hosts[0].zone = Some(HOSTILE.into());
        let overview = Overview::of(&rollout);
        assert_eq!(overview.arrows, BTreeMap::from([((0, 1), 1)]));
        assert!(overview.dot().contains("b0 -> b1 [style=dashed, label=\"room for 1\"]"), "{}", overview.dot());
        let mermaid = overview.mermaid();
        assert!(mermaid.contains("b0 -.->|room for 1| b1") && !mermaid.contains("<script>"), "{mermaid}");
    }

    #[test]
    fn a_large_rollout_is_drawn_in_few_boxes_that_hold_every_host() {
        let mut rollout = rollout();
        let one = rollout.hosts[0].clone();
        rollout.hosts = (1..=500)
            .map(|order| PlannedHost { host: format!("c{order}").as_str().into(), order, ..one.clone() })
            .collect();
        let overview = Overview::of(&rollout);
        assert_eq!(overview.boxes.len(), PARTS);
        assert!(overview.boxes[0][0].starts_with("1 to 50: 50 hosts"), "{:?}", overview.boxes[0]);
    }
}
