//! A state as a snapshot keeps it: what events changed of what the record says. The record comes first, as on any other
//! reading; counters that only tell a change from none begin anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::event::Runner;
use super::super::host::{HostPhase, HostState};
use super::{Gate, Health, MoveCounts, RunState, RunStatus};
use crate::model::{Limits, Region, RunId};
use crate::plan::Rollout;
use crate::plan::placement::SavedOccupancy;

/// Which version of this shape, of which version of fleetmend: a snapshot of any other is made anew from the events.
pub(in crate::run) const MADE_BY: &str = concat!(env!("CARGO_PKG_VERSION"), " 1");

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    seq: u64,
    status: RunStatus,
    /// Hosts that are not as they were, by place in the rollout.
    hosts: Vec<(usize, HostState)>,
    occupancy: SavedOccupancy,
    limits: Limits,
    gate: Gate,
    health: BTreeMap<String, Health>,
    moves: MoveCounts,
    acknowledged_failures: usize,
    drift: Option<String>,
    sick: Option<Timestamp>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    resumed: usize,
    runner: Option<Runner>,
    requests: u64,
    retries: u64,
}

impl RunState {
    /// What [`Self::restored`] makes the same of.
    pub(in crate::run) fn save(&self) -> String {
        // Each field is named, so that none that comes later is forgotten here.
        let Self {
            // What the record says, and what is counted or looked up anew from the rest.
            rollout,
            run: _,
            changes: _,
            openings: _,
            reliefs: _,
            domains: _,
            index: _,
            zone_sizes: _,
            rack_sizes: _,
            aggregates: _,
            zones_up: _,
            aggregates_up: _,
            region_size: _,
            most_out: _,
            seq,
            status,
            hosts,
            occupancy,
            limits,
            gate,
            health,
            moves,
            acknowledged_failures,
            drift,
            sick,
            started,
            ended,
            resumed,
            runner,
            requests,
            retries,
        } = self;
        let is_new = |host: &HostState| host.phase == HostPhase::Waiting && host.since == rollout.created;
        let hosts = hosts.values().enumerate().filter(|(_, host)| !is_new(host));
        let saved = Saved {
            seq: *seq,
            status: status.clone(),
            hosts: hosts.map(|(place, host)| (place, host.clone())).collect(),
            occupancy: occupancy.save(),
            limits: limits.clone(),
            gate: *gate,
            health: health.clone(),
            moves: *moves,
            acknowledged_failures: *acknowledged_failures,
            drift: drift.clone(),
            sick: *sick,
            started: *started,
            ended: *ended,
            resumed: *resumed,
            runner: runner.clone(),
            requests: *requests,
            retries: *retries,
        };
        serde_json::to_string(&saved).expect("a state has text keys and no maps that could refuse to serialize")
    }

    /// The state that was saved, of the run that the record begins.
    pub(in crate::run) fn restored(
        run: RunId,
        rollout: Arc<Rollout>,
        region: &Region,
        text: &str,
    ) -> Result<Self, serde_json::Error> {
        let saved: Saved = serde_json::from_str(text)?;
        let mut state = Self::new(run, rollout, region);
        state.occupancy.restore(saved.occupancy);
        for (place, host) in saved.hosts {
            let Some((name, slot)) = state.hosts.get_index_mut(place) else { continue };
            *slot = host;
            let name = name.clone();
            state.refresh(name.as_str());
        }
        state.seq = saved.seq;
        state.status = saved.status;
        state.limits = saved.limits;
        state.gate = saved.gate;
        state.health = saved.health;
        state.moves = saved.moves;
        state.acknowledged_failures = saved.acknowledged_failures;
        state.drift = saved.drift;
        state.sick = saved.sick;
        state.started = saved.started;
        state.ended = saved.ended;
        state.resumed = saved.resumed;
        state.runner = saved.runner;
        state.requests = saved.requests;
        state.retries = saved.retries;
        Ok(state)
    }

    /// Holds that this state, saved and restored, is the same.
    #[cfg(test)]
    pub(crate) fn assert_survives_a_snapshot(&self, region: &Region) {
        let text = self.save();
        let again = Self::restored(self.run, Arc::clone(&self.rollout), region, &text).unwrap();
        assert_eq!(again.save(), text, "event {}", self.seq);
        assert!(again.index.agrees_with(&self.index), "event {}", self.seq);
        again.assert_counted_right();
        // Of what is unlike an instance at rest nothing is lost: the same is decided.
        for later in [0, 3600] {
            let now =
                self.ended.or(self.started).unwrap_or(self.rollout.created) + jiff::SignedDuration::from_secs(later);
            let told = super::super::schedule::decide(self, now);
            assert_eq!(super::super::schedule::decide(&again, now), told, "event {}", self.seq);
        }
    }
}
