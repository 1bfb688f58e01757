//! How a migration of ours stands: its record and the instance, read together.

use super::records::{Asked, records_of};
use super::{StepContext, StepError};
use crate::cloud::{CloudErrorKind, CloudResult, Followed, Migration, MigrationStatus, Server};
use crate::model::{HostName, InstanceId, InstanceStatus};

/// What the record and the instance say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is no record newer than the intent.
    Unrecorded,
    /// The record can still change.
    InFlight,
    /// The record has ended, and the instance does not show it yet.
    Torn,
    /// The record says completed, and Nova names another host.
    Arrived,
    /// The record says anything else that is final.
    Failed,
}

/// The instance and our record of its migration.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// The instance.
    pub server: Server,
    /// The record, where there is one.
    pub record: Option<Migration>,
}

/// One look at a migration on its way.
#[derive(Debug, Clone)]
pub(super) enum Look {
    /// The instance is gone.
    Gone,
    /// The record of a live migration can still change, which says all: the instance was not read.
    Open(Migration),
    /// Both were read.
    Both(Box<Seen>),
}

impl Look {
    /// Reads what there is to know. While a live migration is on its way the instance is read only for those who hear of
    /// its progress: of all requests of a run that is nearly half.
    pub async fn now(cx: &StepContext<'_>, asked: Asked<'_>) -> Result<Self, StepError> {
        let is_told_by = |record: &Migration| record.status.is_in_progress() && !asked.cold && !cx.progress.is_heard();
        if cx.cloud.shares_looks() {
            let followed = read(asked.instance, cx.cloud.follow(asked.instance).await)?;
            let record = asked.record(&followed.records).cloned();
            return Ok(match (record, followed.server) {
                (Some(open), _) if is_told_by(&open) => Self::Open(open),
                (record, Some(server)) => Self::Both(Box::new(Seen { server, record })),
                (_, None) => Self::Gone,
            });
        }
        let records = records_of(cx, asked.instance).await?;
        let record = asked.record(&records).cloned();
        match record {
            Some(open) if is_told_by(&open) => Ok(Self::Open(open)),
            record => Ok(match server_of(cx, asked.instance).await? {
                Some(server) => Self::Both(Box::new(Seen { server, record })),
                None => Self::Gone,
            }),
        }
    }
}

impl Seen {
    /// Reads both as they are; `None` when the instance is gone.
    pub async fn now(cx: &StepContext<'_>, asked: Asked<'_>) -> Result<Option<Self>, StepError> {
        Ok(Self::among(asked, looked_at(cx, asked.instance).await?))
    }

    fn among(asked: Asked<'_>, followed: Followed) -> Option<Self> {
        let record = asked.record(&followed.records).cloned();
        followed.server.map(|server| Self { server, record })
    }

    /// How the migration away from `source` stands.
    pub fn standing(&self, source: &HostName) -> Standing {
        let Some(record) = &self.record else { return Standing::Unrecorded };
        let elsewhere = self.server.host.as_ref().is_some_and(|host| host != source);
        if record.status.is_in_progress() {
            Standing::InFlight
        } else if self.server.status == InstanceStatus::Migrating {
            Standing::Torn
        } else if record.status != MigrationStatus::Completed {
            Standing::Failed
        } else if elsewhere {
            Standing::Arrived
        } else if self.server.status == InstanceStatus::Error {
            Standing::Failed
        } else {
            Standing::Torn
        }
    }
}

/// One instance and its migration records as they are.
pub(super) async fn looked_at(cx: &StepContext<'_>, instance: InstanceId) -> Result<Followed, StepError> {
    read(instance, cx.cloud.look(instance).await)
}

fn read(instance: InstanceId, followed: CloudResult<Followed>) -> Result<Followed, StepError> {
    followed.map_err(|error| {
        StepError::cloud(format!("could not read the migrations of instance {instance} and how it stands"), error)
    })
}

/// One instance, freshly; `None` when it was deleted.
pub(super) async fn server_of(cx: &StepContext<'_>, instance: InstanceId) -> Result<Option<Server>, StepError> {
    match cx.cloud.server(instance).await {
        Ok(server) if server.status == InstanceStatus::Deleted => Ok(None),
        Ok(server) => Ok(Some(server)),
        Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
        Err(error) => Err(StepError::cloud(format!("could not read instance {instance}"), error)),
    }
}
