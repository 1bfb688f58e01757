//! How long things take in a simulated region, and how often its services look around.

use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::random::Spread;
use crate::model::{Rate, Span};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Durations of a region; the defaults are those of production.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timing {
    /// Nova's `report_interval`.
    pub report_interval: Span,
    /// Nova's `service_down_time`.
    pub service_down: Span,
    /// Nova's `sync_power_state_interval`: until then ACTIVE is a lie after a host lost its guests.
    pub power_sync: Span,
    /// Nova's `scheduler_instance_sync_interval`: until then the scheduler believes in instances that have left.
    pub scheduler_sync: Span,
    /// How long Nova waits for the answer of a service that died (`rpc_response_timeout`).
    pub rpc_timeout: Span,
    /// Nova's `max_concurrent_live_migrations`, per source.
    pub concurrent_migrations: usize,
    /// From the order to start nova-compute until it reports for the first time.
    pub compute_start: Spread,
    /// From the acceptance of a migration until its record shows.
    pub record_opens: Spread,
    /// From a live migration's record until its target is chosen.
    pub schedule: Spread,
    /// A live migration in `preparing`.
    pub prepare: Spread,
    /// What a live migration's copy takes apart from the memory.
    pub copy: Spread,
    /// How fast a live migration copies memory.
    pub bandwidth: Rate,
    /// How much more than its memory an instance's migration copies, in percent: pages are written again.
    pub dirty_percent: PercentRange,
    /// What an instance's copy takes of the time that its memory and the bandwidth say, in percent.
    pub copy_percent: PercentRange,
    /// How long the record stays `running` after the server is seen ACTIVE on its host.
    pub record_lag: Spread,
    /// An abort or a roll-back.
    pub roll_back: Spread,
    /// A cold migration until `VERIFY_RESIZE`, apart from its copying; and its confirmation.
    pub cold: Spread,
    /// Stopping a server.
    pub stop: Spread,
    /// Starting a server.
    pub start: Spread,
    /// Creating a server.
    pub build: Spread,
    /// Downloading packages.
    pub stage: Spread,
    /// Installing packages.
    pub update: Spread,
    /// From the order to reboot until the host is silent.
    pub shut_down: Spread,
    /// From silence until the new boot answers.
    pub boot: Spread,
    /// Answer of an API to one request.
    pub answer: Spread,
    /// What each server adds to the answer of a list.
    pub answer_per_server: Span,
    /// Answer of a host to one command.
    pub shell: Spread,
}

/// A range of percentages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PercentRange {
    /// Lowest.
    pub from: u32,
    /// Highest.
    pub to: u32,
}

impl PercentRange {
    /// One value; a range of one value draws nothing.
    pub(super) fn draw(self, dice: &mut StdRng) -> u32 {
        if self.from >= self.to { self.from } else { dice.random_range(self.from..=self.to) }
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            report_interval: Span::seconds(10),
            service_down: Span::seconds(60),
            power_sync: Span::seconds(600),
            scheduler_sync: Span::seconds(120),
            rpc_timeout: Span::seconds(60),
            concurrent_migrations: 1,
            compute_start: Spread::between(secs(6), secs(14)),
            // Seen on a loaded region: most of a second after the 202 the list still ended with the record before.
            record_opens: Spread::between(millis(20), millis(900)),
            schedule: Spread::between(millis(300), millis(1200)),
            prepare: Spread::between(millis(500), millis(2000)),
            copy: Spread::between(millis(1500), millis(4000)),
            bandwidth: Rate::bytes_per_second(1_100_000_000),
            dirty_percent: PercentRange { from: 5, to: 60 },
            copy_percent: PercentRange { from: 100, to: 100 },
            record_lag: Spread::between(millis(100), millis(1000)),
            roll_back: Spread::between(millis(600), millis(1500)),
            cold: Spread::between(secs(4), secs(8)),
            stop: Spread::between(secs(1), secs(8)),
            start: Spread::between(secs(1), secs(4)),
            build: Spread::between(secs(2), secs(6)),
            stage: Spread::between(secs(20), secs(90)),
            update: Spread::between(secs(60), secs(180)),
            shut_down: Spread::between(secs(3), secs(12)),
            // Large servers spend minutes in their firmware's self-test.
            boot: Spread::between(secs(180), secs(420)),
            answer: Spread::between(millis(15), millis(60)),
            // 200 servers with details took 1.1 s on a real region.
            answer_per_server: Span::millis(5),
            shell: Spread::between(millis(80), millis(300)),
        }
    }
}

impl Timing {
    /// A small, quick region like the test lab's: reports every 2 s, boots within seconds.
    pub fn quick() -> Self {
        Self {
            report_interval: Span::seconds(2),
            service_down: Span::seconds(6),
            power_sync: Span::seconds(20),
            scheduler_sync: Span::seconds(10),
            compute_start: Spread::between(secs(5), secs(8)),
            concurrent_migrations: 4,
            stage: Spread::between(secs(1), secs(4)),
            update: Spread::between(secs(3), secs(8)),
            shut_down: Spread::between(secs(1), secs(2)),
            boot: Spread::between(secs(3), secs(9)),
            ..Self::default()
        }
    }
}
