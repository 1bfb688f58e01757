//! Steps and edges.

use std::collections::BTreeMap;

use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::Serialize;

use super::StepKind;
use crate::model::{HostName, InstanceId, StepId};
use crate::plan::{PlannedHost, Rollout};

/// A vertex of the workflow graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its id.
    pub id: StepId,
    /// What it does.
    pub kind: StepKind,
    /// The host it belongs to.
    #[serde(skip)]
    pub host: HostName,
    /// For a move: which instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Steps of the same host that must have succeeded.
    pub needs: Vec<StepId>,
}

/// Why one step waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdgeKind {
    /// Must have succeeded.
    Needs,
    /// A preference: the planned target is this host; any mitigated host of the domain with room will do.
    Room,
}

/// The whole rollout as a graph.
#[derive(Debug)]
pub struct Workflow {
    /// Steps and edges, from what is waited for to what waits.
    pub graph: DiGraph<Step, EdgeKind>,
    /// Steps by id; node indices never leave this room.
    by_id: BTreeMap<StepId, NodeIndex>,
}

impl Workflow {
    /// The step of that id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.by_id.get(id).map(|index| &self.graph[*index])
    }

    /// Steps in an order in which every step comes after all that it waits for; `None` when the graph has a cycle.
    pub fn in_order(&self) -> Option<Vec<&Step>> {
        let order = toposort(&self.graph, None).ok()?;
        Some(order.into_iter().map(|index| &self.graph[index]).collect())
    }
}

/// The steps of one host with `moves` to make, in the order of [`StepKind`].
///
/// ```text
/// identify ─ disable ─┬─ stage ───────────────────────────────────┐
///                     └─ resolve ─┬─ move i₁ ─┬─ resolve/2 ─ fence ─┴─ update ─ configure ─ verify-config ─ reboot
///                                 └─ move i₂ ─┘                        ─ return ─ evidence ─ enable ─ settle
/// ```
///
/// `resolve/2` looks again after the moves; rounds go on until nothing is left to leave.
pub fn host_steps(host: &HostName, moves: &[InstanceId]) -> Vec<Step> {
    let id = |what: &str| StepId::of(host, what);
    let step = |kind: StepKind, needs: Vec<StepId>| Step {
        id: id(kind.name()),
        kind,
        host: host.clone(),
        instance: None,
        needs,
    };
    let mut steps = vec![
        step(StepKind::Identify, vec![]),
        step(StepKind::Disable, vec![id("identify")]),
        step(StepKind::Stage, vec![id("disable")]),
        step(StepKind::Resolve, vec![id("disable")]),
    ];
    let mut emptied = id("resolve");
    if !moves.is_empty() {
        steps.extend(moves.iter().map(|instance| move_step(host, *instance, &emptied)));
        emptied = id("resolve/2");
        steps.push(Step {
            id: emptied.clone(),
            kind: StepKind::Resolve,
            host: host.clone(),
            instance: None,
            needs: moves.iter().map(|instance| StepId::of_move(host, *instance)).collect(),
        });
    }
    steps.push(step(StepKind::Fence, vec![emptied]));
    steps.push(step(StepKind::Update, vec![id("stage"), id("fence")]));
    let chain = [
        StepKind::Update,
        StepKind::Configure,
        StepKind::VerifyConfig,
        StepKind::Reboot,
        StepKind::Return,
        StepKind::Evidence,
        StepKind::Enable,
        StepKind::Settle,
    ];
    for pair in chain.windows(2) {
        steps.push(step(pair[1], vec![id(pair[0].name())]));
    }
    steps
}

/// The steps of a planned subject: a host's with its moves, or the one of an instance in the place of a host.
pub fn steps_of(planned: &PlannedHost, moves: &[InstanceId]) -> Vec<Step> {
    if planned.cold_boot.is_none() {
        return host_steps(&planned.host, moves);
    }
    let id = StepId::of(&planned.host, StepKind::ColdBoot.name());
    vec![Step { id, kind: StepKind::ColdBoot, host: planned.host.clone(), instance: None, needs: Vec::new() }]
}

/// The move of one instance, once `resolved` says that it leaves.
pub(crate) fn move_step(host: &HostName, instance: InstanceId, resolved: &StepId) -> Step {
    Step {
        id: StepId::of_move(host, instance),
        kind: StepKind::Move,
        host: host.clone(),
        instance: Some(instance),
        needs: vec![resolved.clone()],
    }
}

/// The whole rollout: every host's steps, and a room edge from a planned target's last step to each move onto it.
/// Grows linearly with hosts and moves.
pub fn graph(rollout: &Rollout) -> Workflow {
    let mut workflow = Workflow { graph: DiGraph::new(), by_id: BTreeMap::new() };
    for host in &rollout.hosts {
        for step in steps_of(host, &moves_of(host)) {
            let id = step.id.clone();
            let index = workflow.graph.add_node(step);
            workflow.by_id.insert(id, index);
        }
    }
    let order: BTreeMap<&HostName, u32> = rollout.hosts.iter().map(|host| (&host.host, host.order)).collect();
    for index in workflow.graph.node_indices().collect::<Vec<_>>() {
        for need in workflow.graph[index].needs.clone() {
            if let Some(from) = workflow.by_id.get(&need) {
                workflow.graph.add_edge(*from, index, EdgeKind::Needs);
            }
        }
    }
    for host in &rollout.hosts {
        for planned in &host.moves {
            // A target that comes later in the order is a seed's: it takes the instance before it is remedied.
            let earlier = order.get(&planned.to).is_some_and(|target| *target < host.order);
            let from = workflow.by_id.get(&StepId::of(&planned.to, StepKind::Settle.name()));
            let to = workflow.by_id.get(&StepId::of_move(&host.host, planned.instance));
            if let (true, Some(from), Some(to)) = (earlier, from, to) {
                workflow.graph.add_edge(*from, *to, EdgeKind::Room);
            }
        }
    }
    workflow
}

/// The instances that a planned host is to lose.
fn moves_of(host: &PlannedHost) -> Vec<InstanceId> {
    host.moves.iter().map(|planned| planned.instance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_reboot_waits_for_every_move_and_the_staged_update() {
        let host = HostName::new("compute-1");
        let moves = [InstanceId::new(Uuid::from_u128(1)), InstanceId::new(Uuid::from_u128(2))];
        let steps = host_steps(&host, &moves);
        let mut before = std::collections::BTreeSet::new();
        let mut open = vec![StepId::of(&host, "reboot")];
        while let Some(id) = open.pop() {
            let step = steps.iter().find(|step| step.id == id).unwrap();
            open.extend(step.needs.iter().filter(|need| before.insert((*need).clone())).cloned());
        }
        for instance in moves {
            assert!(before.contains(&StepId::of_move(&host, instance)));
        }
        for what in ["disable", "stage", "resolve", "resolve/2", "fence", "update", "verify-config"] {
            assert!(before.contains(&StepId::of(&host, what)), "{what}");
        }
        assert!(!before.contains(&StepId::of(&host, "enable")));
    }

    #[test]
    fn an_empty_host_goes_from_one_look_to_the_fence() {
        let host = HostName::new("compute-1");
        let steps = host_steps(&host, &[]);
        let fence = steps.iter().find(|step| step.kind == StepKind::Fence).unwrap();
        assert_eq!(fence.needs, [StepId::of(&host, "resolve")]);
    }
}
