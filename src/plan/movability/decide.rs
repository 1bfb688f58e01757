//! What policy and owners make of an instance, of all that the matrix leaves open.

use jiff::Timestamp;

use super::matrix::{Rule, Ways};
use super::{Affinity, Bond, Standing};
use crate::model::{Instance, InstanceHandling, InstanceRules};
use crate::plan::rollout::StayReason;

/// What becomes of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Movability {
    /// It leaves in this way.
    Leaves(InstanceHandling),
    /// It stays through the reboot.
    Stays {
        /// Why.
        reason: StayReason,
        /// What is done with it: left as it is, or stopped in place.
        handling: InstanceHandling,
    },
    /// Its host is not touched.
    Blocks {
        /// What kind of thing keeps it.
        reason: StayReason,
        /// Why it can neither leave nor stay, in words.
        why: String,
    },
}

/// What becomes of an instance as it stands at `now`. Planner and engine both ask this; the engine with fresh facts.
pub fn movability(instance: &Instance, affinity: &Affinity, rules: &InstanceRules, now: Timestamp) -> Movability {
    let case = Case::of(instance, affinity);
    if let Some(handling) = rules.named.get(&instance.id) {
        return case.by_name(*handling);
    }
    if let Some(word) = rules.owners.word(&instance.metadata, &instance.project, now)
        // An instance at rest feels nothing of a reboot, whatever its owner would say of a move.
        && !(case.ways.rest && word.handling == InstanceHandling::SkipHost)
        && !instance.locked
    {
        if word.handling == InstanceHandling::SkipHost {
            return Movability::Blocks { reason: StayReason::Decided, why: word.said };
        }
        if let Some(done) = case.carry_out(word.handling) {
            return match done {
                Movability::Stays { handling: InstanceHandling::StopInPlace, .. } => {
                    Movability::Stays { reason: StayReason::Decided, handling: InstanceHandling::StopInPlace }
                }
                other @ (Movability::Leaves(_) | Movability::Stays { .. } | Movability::Blocks { .. }) => other,
            };
        }
    }
    case.by_policy(rules)
}

/// An instance, as far as the matrix sees it.
struct Case<'a> {
    instance: &'a Instance,
    standing: Standing,
    /// What binds it beside a lock, in words.
    bonds: Vec<(Bond, String)>,
    ways: Ways,
}

impl<'a> Case<'a> {
    fn of(instance: &'a Instance, affinity: &Affinity) -> Self {
        let standing = Standing::of(instance);
        let bonds = Bond::ALL.into_iter().filter(|bond| *bond != Bond::Locked);
        let bonds: Vec<_> = bonds.filter_map(|bond| Some((bond, bond.seen(instance, affinity)?))).collect();
        let ways = bonds.iter().fold(standing.row().ways, |ways, (bond, _)| ways.and(bond.row().ways));
        Self { instance, standing, bonds, ways }
    }

    /// What somebody has decided about this one instance; a lock, and a device of which Nova does not show whether it comes
    /// along live, are known to them.
    fn by_name(&self, handling: InstanceHandling) -> Movability {
        let knows = self.bonds.iter().all(|(bond, _)| bond.may_come_along());
        if handling == InstanceHandling::LiveMigrate && self.standing.row().ways.live && knows {
            return Movability::Leaves(handling);
        }
        self.carry_out(handling).unwrap_or_else(|| self.blocks(StayReason::Decided, handling))
    }

    fn by_policy(&self, rules: &InstanceRules) -> Movability {
        let rule = self.standing.row().rule;
        let wish = match rule {
            Rule::Moved => InstanceHandling::LiveMigrate,
            Rule::Paused => rules.paused,
            Rule::Stopped => rules.stopped,
            Rule::Suspended => rules.suspended,
            Rule::CannotMove | Rule::Locked => rules.cannot_move,
            Rule::Nothing => InstanceHandling::Leave,
        };
        // Resting is nothing that is done to an instance, and what nothing can be done with needs no lock.
        let rests = self.ways.rest && matches!(wish, InstanceHandling::Leave | InstanceHandling::StopInPlace);
        if self.instance.locked && !rests && rule != Rule::CannotMove {
            return self.locked(wish, rules.locked);
        }
        if let Some(done) = self.carry_out(wish) {
            return done;
        }
        // What cannot be moved live for what binds it is the policy's to decide once more.
        let is_bound = matches!(rule, Rule::Moved | Rule::Paused) && wish == InstanceHandling::LiveMigrate;
        if !is_bound {
            return self.blocks(self.reason(), wish);
        }
        self.carry_out(rules.cannot_move).unwrap_or_else(|| self.blocks(StayReason::CannotMove, rules.cannot_move))
    }

    /// Why it stays, in a word.
    fn reason(&self) -> StayReason {
        match self.standing {
            Standing::Off => StayReason::Stopped,
            Standing::Suspended => StayReason::Suspended,
            Standing::Shelved | Standing::SoftDeleted | Standing::Nowhere => StayReason::Resting,
            Standing::Running
            | Standing::Paused
            | Standing::Rescued
            | Standing::Resized
            | Standing::Broken
            | Standing::BrokenOff
            | Standing::Changing
            | Standing::Unknown => StayReason::CannotMove,
        }
    }

    /// What is done where that is possible.
    fn carry_out(&self, wish: InstanceHandling) -> Option<Movability> {
        match wish {
            InstanceHandling::LiveMigrate if self.ways.live => Some(Movability::Leaves(wish)),
            InstanceHandling::ColdMigrate if self.ways.cold => Some(Movability::Leaves(wish)),
            // What rests has nothing that would have to be stopped.
            InstanceHandling::Leave | InstanceHandling::StopInPlace if self.ways.rest => {
                Some(Movability::Stays { reason: self.reason(), handling: InstanceHandling::Leave })
            }
            InstanceHandling::StopInPlace if self.ways.stop => {
                let reason = if self.bonds.is_empty() { StayReason::Decided } else { StayReason::CannotMove };
                Some(Movability::Stays { reason, handling: wish })
            }
            InstanceHandling::LiveMigrate
            | InstanceHandling::ColdMigrate
            | InstanceHandling::StopInPlace
            | InstanceHandling::Leave
            | InstanceHandling::SkipHost => None,
        }
    }

    /// What becomes of a locked one for which something else is wished than to be left as it is.
    fn locked(&self, wish: InstanceHandling, rule: InstanceHandling) -> Movability {
        let handling = match rule {
            // As if it were not locked.
            InstanceHandling::LiveMigrate | InstanceHandling::ColdMigrate => wish,
            InstanceHandling::Leave | InstanceHandling::StopInPlace | InstanceHandling::SkipHost => rule,
        };
        match self.carry_out(handling) {
            Some(Movability::Stays { handling, .. }) => Movability::Stays { reason: StayReason::Locked, handling },
            Some(other) => other,
            None if self.bonds.is_empty() => {
                Movability::Blocks { reason: StayReason::Locked, why: format!("it is locked{}", consequence(handling)) }
            }
            None => self.blocks(StayReason::Locked, handling),
        }
    }

    /// Why it can neither leave nor stay.
    fn blocks(&self, reason: StayReason, wish: InstanceHandling) -> Movability {
        let status = &self.instance.status;
        let task = self.instance.task_state.as_ref().map(|task| format!("task {task} is under way"));
        let bond = self.bonds.first().map(|(_, words)| words.clone());
        let stands = || match self.standing.row().rule {
            Rule::CannotMove => format!("Nova does not migrate what is {status}: {}", self.standing.row().why),
            Rule::Moved | Rule::Stopped | Rule::Paused | Rule::Suspended | Rule::Locked | Rule::Nothing => {
                format!("it is {status}")
            }
        };
        let what = task.or(bond).unwrap_or_else(stands);
        Movability::Blocks { reason, why: format!("{what}{}", consequence(wish)) }
    }
}

/// What follows for its host.
fn consequence(wish: InstanceHandling) -> &'static str {
    match wish {
        InstanceHandling::SkipHost => " and the policy skips its host",
        InstanceHandling::Leave => ", and a reboot would end it",
        InstanceHandling::LiveMigrate => ", so the policy's live-migrate cannot be done",
        InstanceHandling::ColdMigrate => ", so the policy's cold-migrate cannot be done",
        InstanceHandling::StopInPlace => ", so the policy's stop-in-place cannot be done",
    }
}
