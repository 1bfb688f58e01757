//! The choice itself.

use super::draft::Draft;
use super::{Choice, Mover, Occupancy, Refusal, Rules};
use crate::model::HostName;
use crate::plan::space::Need;

/// Chooses where one instance goes as things stand: the preferred host if that admits it, otherwise the best fit of
/// its domain (hosts in use before empty ones, least room left over first).
pub fn choose_target(occupancy: &Occupancy, mover: &Mover, rules: &Rules<'_>) -> Result<Choice, Refusal> {
    let asked = Asked::read(occupancy, mover)?;
    if let Some(group) = occupancy.group_in_flight(asked.group) {
        return Err(Refusal::GroupInFlight { group: occupancy.layout.group_rule(group).id.clone() });
    }
    let draft = Draft::over(occupancy, *rules);
    draft.choose(mover, &asked).ok_or_else(|| draft.why_nowhere(mover, &asked))
}

/// As [`choose_target`], without words for why there is none: they take a walk over all targets of the domain.
pub(crate) fn target_for(occupancy: &Occupancy, mover: &Mover, rules: &Rules<'_>) -> Option<Choice> {
    let asked = Asked::read(occupancy, mover).ok()?;
    if occupancy.group_in_flight(asked.group).is_some() {
        return None;
    }
    Draft::over(occupancy, *rules).choose(mover, &asked)
}

/// Chooses among `hosts`, of which none need be a target: the preferred one if it is among them and has room, otherwise
/// the best fit. Empty ones are left alone where the policy keeps some.
pub(crate) fn target_among<'h>(
    occupancy: &Occupancy,
    mover: &Mover,
    rules: &Rules<'_>,
    hosts: impl Iterator<Item = &'h HostName>,
) -> Option<Choice> {
    let asked = Asked::read(occupancy, mover).ok()?;
    if occupancy.group_in_flight(asked.group).is_some() {
        return None;
    }
    let need = asked.need();
    let fit = |name: &'h HostName| {
        let host = occupancy.layout.host(name)?;
        let rank = occupancy.rank(host);
        let is_kept = rank.is_empty && rules.kept_empty() > 0;
        let takes =
            !is_kept && !rules.bars(name) && !occupancy.is_spare(host) && occupancy.space.suits(host, &need).is_ok();
        takes.then_some((mover.preferred.as_ref() != Some(name), rank, name))
    };
    let (_, _, host) = hosts.filter_map(fit).min()?;
    let instead = (mover.preferred.as_ref() != Some(host))
        .then(|| Refusal::NoneSoon { domain: occupancy.layout.domain_label(asked.from).to_owned() });
    Some(Choice { host: host.clone(), instead })
}

/// A [`Mover`] by number.
pub(super) struct Asked {
    pub(super) amounts: Box<[i64]>,
    pub(super) group: Option<u32>,
    pub(super) from: u32,
    zone: Option<u32>,
    kinds: Option<Box<[bool]>>,
    topology: Option<u32>,
}

impl Asked {
    pub(super) fn read(occupancy: &Occupancy, mover: &Mover) -> Result<Self, Refusal> {
        let layout = &occupancy.layout;
        let from = occupancy.host(&mover.from)?;
        let made = occupancy.made(mover.id);
        let zone = match &mover.pinned_zone {
            Some(zone) => Some(layout.zone(zone).ok_or_else(|| Refusal::Zone { zone: zone.clone() })?),
            None => made.and_then(|made| made.zone),
        };
        let origin = made.and_then(|made| made.origin).unwrap_or(from);
        let mut kinds = layout.kinds().suited(&mover.demand(), origin);
        if let Some(known) = made.and_then(|made| made.kinds.as_ref()) {
            let all = kinds.get_or_insert_with(|| vec![true; known.len()].into());
            all.iter_mut().zip(known.iter()).for_each(|(suits, known)| *suits &= known);
        }
        let amounts = layout.amounts(&mover.resources).map_err(|class| Refusal::NoRoom {
            domain: layout.domain_label(from).to_owned(),
            missing: mover.resources.get(&class),
            class,
        })?;
        let group = mover.group.as_ref().and_then(|group| layout.group(group));
        let topology = made.and_then(|made| made.topology);
        Ok(Self { amounts, group, from, zone, kinds, topology })
    }

    pub(super) fn need(&self) -> Need<'_> {
        Need {
            amounts: &self.amounts,
            group: self.group,
            from: self.from,
            zone: self.zone,
            kinds: self.kinds.as_deref(),
            topology: self.topology,
        }
    }
}
