//! Steps and edges.

use std::collections::BTreeMap;

use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};
use serde::{Deserialize, Serialize};

use super::StepKind;
use super::power::{Ranked, start_order, stop_order};
use crate::model::{ExtraStep, ExtraWork, HostName, InstanceHandling, InstanceId, Moment, StepId};
use crate::plan::{PlannedHost, Rollout};

/// A vertex of the workflow graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenStep")]
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
    /// Steps of the same host that must have succeeded; a start only that it was tried to the end.
    pub needs: Vec<StepId>,
}

/// A step as it is written: its id begins with its host.
#[derive(Deserialize)]
struct WrittenStep {
    id: StepId,
    kind: StepKind,
    #[serde(default)]
    instance: Option<InstanceId>,
    needs: Vec<StepId>,
}

impl From<WrittenStep> for Step {
    fn from(written: WrittenStep) -> Self {
        let WrittenStep { id, kind, instance, needs } = written;
        let host = HostName::new(id.as_str().split('/').next().unwrap_or_default());
        Self { id, kind, host, instance, needs }
    }
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

/// The steps of one host with `moves` to make, in the order of [`StepKind`], with what remedy and policy add, behind the
/// moves of other hosts' instances that make way for its own.
///
/// ```text
/// identify ─ disable ─┬─ stage ───────────────────────────────────┐
///                     └─ resolve ─┬─ move i₁ ─┬─ resolve/2 ─ fence ─┴─ update ─ configure ─ verify-config ─ reboot
///                                 └─ move i₂ ─┘                        ─ return ─ evidence ─ enable ─ settle
/// ```
///
/// What makes way goes between `disable` and `resolve`, one after the other. `resolve/2` looks again after the moves;
/// rounds go on until nothing is left to leave.
pub fn host_steps(host: &HostName, ways: &[InstanceId], moves: &[InstanceId], added: &Added<'_>) -> Vec<Step> {
    let extra = added.steps.as_slice();
    let mut way = Way { host, added, steps: Vec::new() };
    way.push(StepKind::Identify, vec![]);
    let ready = way.extras(Moment::BeforeHost, way.id("identify"));
    way.push(StepKind::Disable, vec![ready]);
    let told = way.hooks(1, way.id("disable"));
    let disabled = way.extras(Moment::BeforeDrain, told);
    let replaced = extra.iter().any(|step| step.when == Moment::InsteadOfUpdate);
    if !replaced {
        way.push(StepKind::Stage, vec![disabled.clone()]);
    }
    let mut behind = disabled;
    for instance in ways {
        let made = move_step(host, *instance, &behind);
        behind = made.id.clone();
        way.steps.push(made);
    }
    way.push(StepKind::Resolve, vec![behind]);
    let mut emptied = way.id("resolve");
    if !moves.is_empty() {
        way.steps.extend(moves.iter().map(|instance| move_step(host, *instance, &emptied)));
        emptied = way.id("resolve/2");
        let moved = moves.iter().map(|instance| StepId::of_move(host, *instance)).collect();
        way.push_as(emptied.clone(), StepKind::Resolve, moved);
    }
    way.push(StepKind::Fence, vec![emptied]);
    let told = way.hooks(2, way.id("fence"));
    let drained = way.extras(Moment::AfterDrain, told);
    let ready = way.extras(Moment::BeforeUpdate, drained);
    let updated = if replaced {
        way.extras(Moment::InsteadOfUpdate, ready)
    } else {
        way.push(StepKind::Update, vec![way.id("stage"), ready]);
        way.id("update")
    };
    let mut last = way.extras(Moment::AfterUpdate, updated);
    for (kind, then) in [
        (StepKind::Configure, None),
        (StepKind::VerifyConfig, Some(Moment::BeforeReboot)),
        (StepKind::Reboot, None),
        (StepKind::Return, Some(Moment::AfterReboot)),
        (StepKind::Evidence, Some(Moment::BeforeEnable)),
        (StepKind::Enable, Some(Moment::AfterEnable)),
        (StepKind::Settle, None),
    ] {
        way.push(kind, vec![last]);
        last = way.id(kind.name());
        if kind == StepKind::VerifyConfig {
            last = way.hooks(3, last);
        } else if kind == StepKind::Enable {
            last = way.unhooks(last);
        }
        if let Some(moment) = then {
            last = way.extras(moment, last);
        }
    }
    way.steps
}

/// The steps of one host, as they are put together.
struct Way<'a> {
    host: &'a HostName,
    added: &'a Added<'a>,
    steps: Vec<Step>,
}

/// What a rollout adds to each host's way.
#[derive(Debug, Clone, Default)]
pub struct Added<'a> {
    /// Steps of remedy and policy, in their order.
    pub steps: Vec<&'a ExtraStep>,
    /// Names of the policy's hooks, in their order.
    pub hooks: Vec<&'a str>,
}

impl Way<'_> {
    fn id(&self, what: &str) -> StepId {
        StepId::of(self.host, what)
    }

    fn push(&mut self, kind: StepKind, needs: Vec<StepId>) {
        self.push_as(self.id(kind.name()), kind, needs);
    }

    fn push_as(&mut self, id: StepId, kind: StepKind, needs: Vec<StepId>) {
        self.steps.push(Step { id, kind, host: self.host.clone(), instance: None, needs });
    }

    /// Has all hooks tell it for the `round`-th time.
    fn hooks(&mut self, round: u32, after: StepId) -> StepId {
        let mut last = after;
        for name in &self.added.hooks {
            let id = self.id(&if round == 1 { format!("hook/{name}") } else { format!("hook/{name}/{round}") });
            self.push_as(id.clone(), StepKind::Hook, vec![last]);
            last = id;
        }
        last
    }

    /// Has all hooks take it back, the last one first.
    fn unhooks(&mut self, after: StepId) -> StepId {
        let mut last = after;
        for name in self.added.hooks.iter().rev() {
            let id = self.id(&format!("unhook/{name}"));
            self.push_as(id.clone(), StepKind::Unhook, vec![last]);
            last = id;
        }
        last
    }

    /// Adds the steps of a moment, one after another; gives what comes after them waits for.
    fn extras(&mut self, moment: Moment, after: StepId) -> StepId {
        let mut last = after;
        for extra in self.added.steps.iter().filter(|extra| extra.when == moment) {
            let id = self.id(&format!("{}/{}", extra.kind(), extra.name));
            self.push_as(id.clone(), extra.kind(), vec![last]);
            last = id;
        }
        last
    }
}

impl ExtraStep {
    /// The kind of step that it is.
    pub const fn kind(&self) -> StepKind {
        match self.work {
            ExtraWork::Command(_) => StepKind::Command,
            ExtraWork::Ansible(_) => StepKind::Ansible,
        }
    }
}

/// The steps of a planned subject: a host's with its moves, or the one of an instance in the place of a host.
/// Those of a host that is only drained end with the last look after its moves.
pub fn steps_of(planned: &PlannedHost, moves: &[InstanceId], added: &Added<'_>) -> Vec<Step> {
    use StepKind::{Disable, Identify, Move, Resolve};

    if planned.cold_boot.is_none() {
        let ways: Vec<InstanceId> = planned.ways().map(|way| way.instance).collect();
        if !planned.drain_only {
            return host_steps(&planned.host, &ways, moves, added);
        }
        let mut steps = host_steps(&planned.host, &ways, moves, &Added::default());
        steps.retain(|step| matches!(step.kind, Identify | Disable | Resolve | Move));
        return steps;
    }
    let id = StepId::of(&planned.host, StepKind::ColdBoot.name());
    vec![Step { id, kind: StepKind::ColdBoot, host: planned.host.clone(), instance: None, needs: Vec::new() }]
}

/// Puts the instances that are stopped in place into the steps of their host: they are stopped when everything else has
/// left and the update is staged, a further look follows, and they are started when the evidence holds.
pub fn park(steps: &mut Vec<Step>, host: &HostName, stops: &[Ranked]) {
    let looks = steps.iter().filter(|step| step.kind == StepKind::Resolve);
    let (Some(last), count) = (looks.clone().next_back().map(|step| step.id.clone()), looks.count()) else { return };
    let Some(fence) = steps.iter().position(|step| step.kind == StepKind::Fence) else { return };
    if stops.is_empty() {
        return;
    }
    let staged = steps.iter().find(|step| step.kind == StepKind::Stage).map(|step| step.id.clone());
    let after: Vec<StepId> = std::iter::once(last).chain(staged).collect();
    let mut parked = stop_steps(host, stops, &after);
    let again = StepId::of(host, &format!("{}/{}", StepKind::Resolve, count + 1));
    let needs = parked.iter().map(|step| step.id.clone()).collect();
    parked.push(Step { id: again.clone(), kind: StepKind::Resolve, host: host.clone(), instance: None, needs });
    steps[fence].needs = vec![again];
    steps.splice(fence..fence, parked);
    let starts = start_steps(host, stops, &[StepId::of(host, StepKind::Evidence.name())]);
    if let Some(settle) = steps.iter_mut().find(|step| step.kind == StepKind::Settle) {
        settle.needs.extend(starts.iter().map(|step| step.id.clone()));
    }
    if let Some(enable) = steps.iter().position(|step| step.kind == StepKind::Enable) {
        steps.splice(enable..enable, starts);
    }
}

/// Stops of instances that stay, once `after` has been done.
pub(crate) fn stop_steps(host: &HostName, stops: &[Ranked], after: &[StepId]) -> Vec<Step> {
    in_turn(host, StepKind::Stop, stop_order(stops), after)
}

/// Starts of instances that were stopped in place, once `after` has been done.
pub(crate) fn start_steps(host: &HostName, stopped: &[Ranked], after: &[StepId]) -> Vec<Step> {
    in_turn(host, StepKind::Start, start_order(stopped), after)
}

fn in_turn(host: &HostName, kind: StepKind, turns: Vec<(InstanceId, Vec<InstanceId>)>, after: &[StepId]) -> Vec<Step> {
    let id = |instance| StepId::of_instance(host, kind.name(), instance);
    let step = |(instance, before): (InstanceId, Vec<InstanceId>)| Step {
        id: id(instance),
        kind,
        host: host.clone(),
        instance: None,
        needs: after.iter().cloned().chain(before.into_iter().map(id)).collect(),
    };
    turns.into_iter().map(step).collect()
}

/// By host, the instances that are to be stopped in place for its reboot.
pub fn stops(rollout: &Rollout) -> BTreeMap<&HostName, Vec<Ranked>> {
    let mut stops: BTreeMap<&HostName, Vec<Ranked>> = BTreeMap::new();
    for stay in rollout.stays.iter().filter(|stay| stay.handling == InstanceHandling::StopInPlace) {
        let ranked = Ranked { id: stay.instance, priority: stay.priority, group: stay.group.clone() };
        stops.entry(&stay.host).or_default().push(ranked);
    }
    stops
}

/// The move of one instance, once `behind` has succeeded: the look that says that it leaves.
pub(crate) fn move_step(host: &HostName, instance: InstanceId, behind: &StepId) -> Step {
    Step {
        id: StepId::of_move(host, instance),
        kind: StepKind::Move,
        host: host.clone(),
        instance: Some(instance),
        needs: vec![behind.clone()],
    }
}

/// The whole rollout: every host's steps, and a room edge from a planned target's last step to each move onto it.
/// Grows linearly with hosts and moves.
pub fn graph(rollout: &Rollout) -> Workflow {
    let mut workflow = Workflow { graph: DiGraph::new(), by_id: BTreeMap::new() };
    let added = rollout.added();
    let stops = stops(rollout);
    for host in &rollout.hosts {
        let mut steps = steps_of(host, &moves_of(host), &added);
        park(&mut steps, &host.host, stops.get(&host.host).map_or(&[], Vec::as_slice));
        for step in steps {
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
    host.own_moves().map(|planned| planned.instance).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_reboot_waits_for_every_move_and_the_staged_update() {
        let host = HostName::new("compute-1");
        let moves = [InstanceId::new(Uuid::from_u128(1)), InstanceId::new(Uuid::from_u128(2))];
        let steps = host_steps(&host, &[], &moves, &Added::default());
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
    fn hooks_span_the_work_are_renewed_within_it_and_taken_back_in_turn() {
        let host = HostName::new("compute-1");
        let steps = host_steps(&host, &[], &[], &Added { steps: Vec::new(), hooks: vec!["alarms", "pager"] });
        let needs = |what: &str| steps.iter().find(|step| step.id == StepId::of(&host, what)).unwrap().needs.clone();
        for (what, needed) in [
            ("hook/alarms", "disable"),
            ("hook/pager", "hook/alarms"),
            ("resolve", "hook/pager"),
            ("hook/alarms/2", "fence"),
            ("hook/alarms/3", "verify-config"),
            ("reboot", "hook/pager/3"),
            ("unhook/pager", "enable"),
            ("unhook/alarms", "unhook/pager"),
            ("settle", "unhook/alarms"),
        ] {
            assert_eq!(needs(what), [StepId::of(&host, needed)], "{what}");
        }
    }

    #[test]
    fn what_makes_way_goes_one_by_one_before_the_host_is_looked_at() {
        let host = HostName::new("compute-1");
        let id = |number| InstanceId::new(Uuid::from_u128(number));
        let steps = host_steps(&host, &[id(7), id(8)], &[id(1)], &Added::default());
        let needs = |id: &StepId| steps.iter().find(|step| step.id == *id).unwrap().needs.clone();
        assert_eq!(needs(&StepId::of(&host, "resolve")), [StepId::of_move(&host, id(8))]);
        assert_eq!(needs(&StepId::of_move(&host, id(8))), [StepId::of_move(&host, id(7))]);
        assert_eq!(needs(&StepId::of_move(&host, id(7))), [StepId::of(&host, "disable")]);
        assert_eq!(needs(&StepId::of_move(&host, id(1))), [StepId::of(&host, "resolve")]);
    }

    #[test]
    fn a_host_that_is_only_drained_ends_with_the_look_after_its_moves() {
        use StepKind::{Disable, Identify, Move, Resolve};
        let planned = crate::report::fixture::rollout().hosts.remove(0);
        let planned = PlannedHost { drain_only: true, ..planned };
        let kinds = |moves: &[InstanceId]| -> Vec<StepKind> {
            steps_of(&planned, moves, &Added::default()).into_iter().map(|step| step.kind).collect()
        };
        assert_eq!(kinds(&[]), [Identify, Disable, Resolve]);
        assert_eq!(kinds(&[InstanceId::new(Uuid::from_u128(1))]), [Identify, Disable, Resolve, Move, Resolve]);
    }

    #[test]
    fn an_empty_host_goes_from_one_look_to_the_fence() {
        let host = HostName::new("compute-1");
        let steps = host_steps(&host, &[], &[], &Added::default());
        let fence = steps.iter().find(|step| step.kind == StepKind::Fence).unwrap();
        assert_eq!(fence.needs, [StepId::of(&host, "resolve")]);
    }

    #[test]
    fn added_steps_stand_where_their_file_says_one_after_another() {
        let host = HostName::new("compute-1");
        let extra = |name: &str, when: &str| -> ExtraStep {
            let written = serde_json::json!({"name": name, "when": when, "do": {"command": {"run": ["/bin/x"]}}});
            serde_json::from_value(written).unwrap()
        };
        let moments = [
            ("before-host", "identify", "disable"),
            ("before-drain", "disable", "resolve"),
            ("after-drain", "fence", "update"),
            ("before-update", "fence", "update"),
            ("after-update", "update", "configure"),
            ("before-reboot", "verify-config", "reboot"),
            ("after-reboot", "return", "evidence"),
            ("before-enable", "evidence", "enable"),
            ("after-enable", "enable", "settle"),
        ];
        for (moment, before, after) in moments {
            let (one, two) = (extra("one", moment), extra("two", moment));
            let steps = host_steps(&host, &[], &[], &Added { steps: vec![&one, &two], hooks: Vec::new() });
            let needs =
                |what: &str| steps.iter().find(|step| step.id == StepId::of(&host, what)).unwrap().needs.clone();
            assert_eq!(needs("command/one"), [StepId::of(&host, before)], "{moment}");
            assert_eq!(needs("command/two"), [StepId::of(&host, "command/one")], "{moment}");
            assert!(needs(after).contains(&StepId::of(&host, "command/two")), "{moment}");
        }
        let instead = extra("one", "instead-of-update");
        let steps = host_steps(&host, &[], &[], &Added { steps: vec![&instead], hooks: Vec::new() });
        assert!(steps.iter().all(|step| !matches!(step.kind, StepKind::Stage | StepKind::Update)));
        let configure = steps.iter().find(|step| step.kind == StepKind::Configure).unwrap();
        assert_eq!(configure.needs, [StepId::of(&host, "command/one")]);
    }

    #[test]
    fn what_is_stopped_in_place_is_stopped_between_the_moves_and_the_fence_and_started_after_the_evidence() {
        let host = HostName::new("compute-1");
        let id = |number| InstanceId::new(Uuid::from_u128(number));
        let mut steps = host_steps(&host, &[], &[id(1)], &Added::default());
        park(&mut steps, &host, &[Ranked { id: id(2), priority: 0, group: None }]);
        let needs = |what: &str| {
            let step = steps.iter().find(|step| step.id == StepId::of(&host, what)).unwrap();
            step.needs.iter().map(|need| need.as_str().trim_start_matches("compute-1/").to_owned()).collect::<Vec<_>>()
        };
        let (stop, start) = (format!("stop/{}", id(2)), format!("start/{}", id(2)));
        assert_eq!(needs(&stop), ["resolve/2", "stage"]);
        assert_eq!(needs("resolve/3"), [stop.as_str()]);
        assert_eq!(needs("fence"), ["resolve/3"]);
        assert_eq!(needs(&start), ["evidence"]);
        assert_eq!(needs("settle"), ["enable", start.as_str()]);
    }
}
