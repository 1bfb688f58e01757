//! An occupancy as a snapshot keeps it: by the numbers of the region's layout, which the same region gives again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Occupancy, Occupant};
use crate::model::InstanceId;

/// Who is where, and which hosts take more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedOccupancy {
    targets: Vec<u32>,
    occupants: Vec<SavedOccupant>,
}

/// Instance, where it is, where it is bound for, amounts, group. Short, because a large region has a quarter of a million.
type SavedOccupant = (InstanceId, u32, Option<u32>, Box<[i64]>, Option<u32>);

impl Occupancy {
    /// What [`Self::restore`] makes the same of.
    pub(crate) fn save(&self) -> SavedOccupancy {
        let hosts = 0..u32::try_from(self.layout.len()).unwrap_or(u32::MAX);
        let saved = |(id, occupant): (&InstanceId, &Occupant)| {
            (*id, occupant.on, occupant.bound_for, occupant.amounts.clone(), occupant.group)
        };
        SavedOccupancy {
            targets: hosts.filter(|host| self.space.is_target(*host)).collect(),
            occupants: self.occupants.iter().map(saved).collect(),
        }
    }

    /// Brings an occupancy of the same region to what was saved; what is the same already costs a look.
    pub(crate) fn restore(&mut self, saved: SavedOccupancy) {
        let hosts = u32::try_from(self.layout.len()).unwrap_or(u32::MAX);
        for host in (0..hosts).filter(|host| self.space.is_target(*host)).collect::<Vec<_>>() {
            let rank = self.rank(host);
            self.targets[self.layout.domain_of(host) as usize].remove(&rank);
            self.space.set_target(host, false);
        }
        let kept = |id: &InstanceId| saved.occupants.binary_search_by(|other| other.0.cmp(id)).is_ok();
        let gone: Vec<InstanceId> = self.occupants.keys().filter(|id| !kept(id)).copied().collect();
        for id in gone {
            self.remove(id);
        }
        for (id, on, bound_for, amounts, group) in saved.occupants {
            let known = self.occupants.get(&id);
            let is_so = known.is_some_and(|known| {
                (known.on, known.bound_for, &known.amounts, known.group) == (on, bound_for, &amounts, group)
            });
            if is_so || on >= hosts || bound_for.is_some_and(|host| host >= hosts) {
                continue;
            }
            let made = known.map(|known| known.made.clone()).unwrap_or_default();
            self.remove(id);
            let occupant = Occupant { amounts, group, on, bound_for, made };
            self.space.take(on, &occupant.need());
            if let Some(target) = bound_for {
                self.space.take(target, &occupant.need());
                if let Some(group) = group {
                    *self.in_flight.entry(group).or_default() += 1;
                }
            }
            Arc::make_mut(&mut self.occupants).insert(id, occupant);
            Arc::make_mut(&mut self.on)[on as usize].push(id);
        }
        for host in saved.targets.into_iter().filter(|host| *host < hosts) {
            self.space.set_target(host, true);
            let rank = self.rank(host);
            self.targets[self.layout.domain_of(host) as usize].insert(rank);
        }
    }
}
