//! A tiny instance that shows that a host can be used before it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Span;

/// What a probe instance is made of. It is booted onto each host that was put back into service, seen running, and deleted;
/// only then is the host a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeInstance {
    /// Id of its flavor.
    pub flavor: String,
    /// Id of its image.
    pub image: String,
    /// Id of a network; without one it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// How long it may take until it runs.
    #[serde(default = "patience")]
    pub patience: Span,
}

const fn patience() -> Span {
    Span::seconds(5 * 60)
}
