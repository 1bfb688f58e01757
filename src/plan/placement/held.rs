//! What a look at a host shows.

use serde::{Deserialize, Serialize};

use crate::model::{GroupId, InstanceId, Resources};

/// What holds room on a host, by Placement's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// An instance, or a migration that keeps the room that its instance had.
    pub id: InstanceId,
    /// How much.
    pub resources: Resources,
    /// Its server group, when it is that of the instance that the host did not take; others are not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
}
