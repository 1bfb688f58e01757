//! What the hosts say of themselves.

use futures_util::{StreamExt as _, stream};

use super::Progress;
use crate::host::{HostResult, HostShell, Inquiry, RawFacts, facts};
use crate::model::{Gap, GapKind, Host, HostName};

/// Asks every host, some at a time; answers are in the order of `hosts`.
pub(super) async fn look(
    shell: &dyn HostShell,
    hosts: &[HostName],
    inquiry: &Inquiry,
    parallel: usize,
    progress: &(dyn Fn(Progress) + Sync),
) -> Vec<HostResult<RawFacts>> {
    let asked: Vec<_> = hosts.iter().map(|host| shell.collect(host, inquiry)).collect();
    let mut answers = stream::iter(asked).buffered(parallel);
    let mut looks = Vec::new();
    while let Some(answer) = answers.next().await {
        looks.push(answer);
        progress(Progress::Hosts(looks.len(), hosts.len()));
    }
    looks
}

/// Enters what a host said, and tells what it did not say.
///
/// Facts of a machine that is not the host are dropped: an address that leads elsewhere must not decide anything.
pub(super) fn enter(host: &mut Host, look: HostResult<RawFacts>) -> Option<Gap> {
    let gap = |kind, detail: String| Some(Gap { kind, at: host.host.to_string(), detail });
    let raw = match look {
        Ok(raw) => raw,
        Err(error) => return gap(GapKind::HostFacts, format!("{}: {}", error.operation, error.message)),
    };
    let identity = facts::identity(&raw);
    if let Some(other) = identity.nova_host.as_deref().filter(|name| *name != host.host.as_str()) {
        return gap(GapKind::HostIdentity, format!("the machine that answers is `{other}` to Nova, not this host"));
    }
    let gap = if identity.is_known() {
        None
    } else {
        gap(GapKind::HostIdentity, "its machine-id or Nova's name for it could not be read".to_owned())
    };
    host.facts = facts::parse(&raw);
    host.identity = identity;
    gap
}

/// The hosts were left out on purpose.
pub(super) fn not_asked(region: &str) -> Gap {
    Gap { kind: GapKind::HostFacts, at: region.to_owned(), detail: "the hosts were not asked".to_owned() }
}
