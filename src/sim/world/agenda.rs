//! What is due when: the only thing that moves a simulated region besides requests.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::record::RecordKind;
use crate::model::{HostName, InstanceId, RequestId, UnitName};

/// Something that happens by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happening {
    /// The conductor takes an accepted migration and opens its record.
    OpenRecord(Opening),
    /// The next stage of a live migration, unless it took another course since (`epoch`).
    Live { migration: u64, epoch: u32, stage: LiveStage },
    /// The next stage of a cold migration.
    Cold { migration: u64, stage: ColdStage },
    /// A server reaches the end of its task.
    ServerDone { server: InstanceId, end: ServerEnd, request: Option<RequestId> },
    /// nova-compute has come up far enough to work; `epoch` tells starts apart.
    ComputeReady { host: HostName, epoch: u32 },
    /// Nova looks whether a host's guests are what it believes.
    PowerSync { host: HostName },
    /// A job on a host ends.
    JobEnds { host: HostName, unit: UnitName, boot: String },
    /// A host that was told to reboot falls silent.
    HostDown { host: HostName },
    /// A host's next boot answers.
    HostUp { host: HostName },
    /// An incident of the scenario.
    Incident { index: usize },
    /// An owner confirms a resize, or looks again whether it has arrived.
    OwnerConfirms { server: InstanceId, every: Duration },
    /// A tenant creates or deletes an instance.
    Tenant,
}

/// A migration that was accepted and has no record yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) instance: InstanceId,
    pub(super) kind: RecordKind,
    pub(super) requested: Option<HostName>,
    pub(super) request: RequestId,
}

/// Stages of a live migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LiveStage {
    /// The conductor chooses or checks the target.
    Schedule,
    /// The source takes it into its queue.
    Queue,
    /// The source begins.
    Prepare,
    /// Memory is copied.
    Copy,
    /// The target's preparation broke.
    PrepareFailed,
    /// The copy broke, or what the target's preparation left has been cleared away.
    Break,
    /// The guest runs on its target.
    Switch,
    /// The record is closed.
    Close,
    /// An abort takes effect.
    Cancel,
    /// Nova gives up on a target that died.
    TargetLost,
    /// The server turns to ERROR although its guest runs.
    FalseError,
}

/// Stages of a cold migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColdStage {
    /// A target is chosen.
    Schedule,
    /// It has left its source.
    Leave,
    /// It is on its target.
    Arrive,
    /// It runs there, or rests as before.
    Settle,
    /// The confirmation is done.
    Confirm,
}

/// Ends of tasks of servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerEnd {
    /// Created.
    Built,
    /// Stopped.
    Stopped,
    /// Started.
    Started,
}

/// Happenings in order of time; those of one instant in order of their planning.
#[derive(Debug, Clone, Default)]
pub(super) struct Agenda {
    entries: BTreeMap<(Timestamp, u64), Happening>,
    planned: u64,
}

impl Agenda {
    pub(super) fn plan(&mut self, at: Timestamp, happening: Happening) {
        self.planned += 1;
        self.entries.insert((at, self.planned), happening);
    }

    /// Takes the first entry that is due at `to`.
    pub(super) fn next_due(&mut self, to: Timestamp) -> Option<(Timestamp, Happening)> {
        let (at, _) = *self.entries.first_key_value()?.0;
        if at > to {
            return None;
        }
        self.entries.pop_first().map(|((at, _), happening)| (at, happening))
    }

    /// When the next entry is due.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }
}
