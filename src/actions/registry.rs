//! Which action carries out which kind of step.

use super::Action;
use super::ansible::Ansible;
use super::back::Return;
use super::cold_boot::ColdBoot;
use super::command::Command;
use super::config::Configure;
use super::evidence::{Evidence, VerifyConfig};
use super::fence::{Fence, Unfence};
use super::hook::{SetHook, Unhook};
use super::identity::Identify;
use super::moves::Move;
use super::packages::{Stage, UpdatePackages};
use super::power::{Start, Stop};
use super::probe_instance::Probing;
use super::reboot::Reboot;
use super::resolve::Resolve;
use super::service::{Disable, Enable, Quarantine};
use super::wait::Settle;
use crate::workflow::StepKind;

/// The action of a kind of step.
pub fn for_step(kind: StepKind) -> &'static dyn Action {
    match kind {
        StepKind::Identify => &Identify,
        StepKind::Disable => &Disable,
        StepKind::Hook => &SetHook,
        StepKind::Stage => &Stage,
        StepKind::Resolve => &Resolve,
        StepKind::Move => &Move,
        StepKind::Stop => &Stop,
        StepKind::Fence => &Fence,
        StepKind::Update => &UpdatePackages,
        StepKind::Configure => &Configure,
        StepKind::VerifyConfig => &VerifyConfig,
        StepKind::Command => &Command,
        StepKind::Ansible => &Ansible,
        StepKind::Reboot => &Reboot,
        StepKind::Return => &Return,
        StepKind::Evidence => &Evidence,
        StepKind::Start => &Start,
        StepKind::Enable => &Enable,
        StepKind::Unhook => &Unhook,
        StepKind::Settle => &Settle,
        StepKind::Probe => &Probing,
        StepKind::ColdBoot => &ColdBoot,
        StepKind::Unfence => &Unfence,
        StepKind::Quarantine => &Quarantine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_steps_lists_every_kind_in_order() {
        let page = include_str!("../../docs/steps.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let listed: Vec<&str> = rows.map(|(kind, _)| kind).collect();
        let kinds: Vec<&str> = StepKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(listed, kinds);
    }
}
