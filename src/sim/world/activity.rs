//! Instance actions and their events: the only place where Nova tells why an accepted migration was refused.

use jiff::Timestamp;

use super::World;
use crate::model::{HostName, InstanceId, ProjectId, RequestId};

/// One action on a server.
#[derive(Debug, Clone)]
pub struct Activity {
    /// `live-migration`, `stop`, `start`, `migrate`, …
    pub action: &'static str,
    /// The request that caused it.
    pub request: RequestId,
    /// User id of whoever asked.
    pub user: String,
    /// Project of whoever asked.
    pub project: ProjectId,
    /// When.
    pub started: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// `Error`, or nothing.
    pub message: Option<&'static str>,
    /// Its events, oldest first.
    pub events: Vec<ActivityEvent>,
}

/// One event of an action.
#[derive(Debug, Clone)]
pub struct ActivityEvent {
    /// For example `conductor_live_migrate_instance`.
    pub event: &'static str,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Whether it went well.
    pub success: bool,
    /// The reason of a failure.
    pub details: Option<String>,
    /// Where it ran.
    pub host: Option<HostName>,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// An admin: no lock stops it.
    Operator,
    /// The owner of the server.
    Owner,
}

impl Caller {
    /// The user id that Nova records.
    pub fn user(self) -> &'static str {
        match self {
            Self::Operator => "c3f5ad1be52d4c3fa4b7dcd0ac90b3a1",
            Self::Owner => "0d64f1b6e2a94a0f8d6c6c2f6f1f51e7",
        }
    }
}

impl World {
    /// Begins an action of `id` and returns the request that it belongs to.
    pub(super) fn begin_activity(&mut self, id: InstanceId, action: &'static str, caller: Caller) -> RequestId {
        let (request, now) = (self.next_request(), self.now);
        let is_forgetful = self.is_forgetful;
        if let Some(server) = self.servers.get_mut(&id) {
            if is_forgetful {
                server.activities.clear();
            }
            server.updated = now;
            server.activities.push(Activity {
                action,
                request: request.clone(),
                user: caller.user().to_owned(),
                project: server.project.clone(),
                started: now,
                updated: now,
                message: None,
                events: Vec::new(),
            });
        }
        self.record_change(|| match caller {
            Caller::Operator => format!("{action} {id}"),
            Caller::Owner => format!("{action} {id} by its owner"),
        });
        request
    }

    /// Adds an event to the newest action of `id` that `request` caused.
    pub(super) fn note_event(
        &mut self,
        id: InstanceId,
        request: &RequestId,
        event: &'static str,
        host: Option<&HostName>,
        outcome: Result<(), String>,
    ) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(&id) else { return };
        let Some(activity) = server.activities.iter_mut().rev().find(|activity| activity.request == *request) else {
            return;
        };
        activity.updated = now;
        activity.events.push(ActivityEvent {
            event,
            started: now,
            finished: now,
            success: outcome.is_ok(),
            details: outcome.err(),
            host: host.cloned(),
        });
    }

    /// Sets the message of the action of `id` that `request` caused to `Error`.
    pub(super) fn fail_activity(&mut self, id: InstanceId, request: &RequestId) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(&id) else { return };
        if let Some(activity) = server.activities.iter_mut().rev().find(|activity| activity.request == *request) {
            activity.updated = now;
            activity.message = Some("Error");
        }
    }
}
