//! What the hosts say of themselves.

use futures_util::{StreamExt as _, stream};

use super::{OwnPlaces, Progress};
use crate::host::{HostErrorKind, HostResult, HostShell, Inquiry, RawFacts, facts};
use crate::model::{Gap, GapCause, GapKind, Host, HostFacts, HostIdentity, HostName, Role};

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
pub(super) fn enter(host: &mut Host, look: HostResult<RawFacts>, own: &OwnPlaces) -> Option<Gap> {
    let gap = |kind, detail: String| Some(Gap { kind, at: host.host.to_string(), detail, cause: None });
    let raw = match look {
        Ok(raw) => raw,
        Err(error) => {
            let detail = format!("{}: {}", error.operation, error.message);
            let told = gap(GapKind::HostFacts, detail);
            return told.map(|gap| Gap { cause: Some(cause(error.kind)), ..gap });
        }
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
    enter_own(&mut host.facts, &identity, own);
    host.identity = identity;
    gap
}

/// What of our own is on the host.
fn enter_own(facts: &mut HostFacts, identity: &HostIdentity, own: &OwnPlaces) {
    let mut add = |role, sign: String| facts.roles.get_or_insert_default().entry(role).or_default().push(sign);
    let is_runner = own.runner.is_some() && identity.machine_id == own.runner;
    if is_runner {
        add(Role::Runner, "this machine's machine-id".to_owned());
    }
    let here = facts.addresses.iter().find(|address| own.journal.contains(address)).copied();
    // The loopback of the runner is the runner's own machine.
    let local = own.journal.iter().find(|address| is_runner && address.is_loopback()).copied();
    if let Some(address) = here.or(local) {
        facts.roles.get_or_insert_default().entry(Role::StateDatabase).or_default().push(format!("address {address}"));
    }
}

fn cause(kind: HostErrorKind) -> GapCause {
    match kind {
        HostErrorKind::Unreachable => GapCause::Unreachable,
        HostErrorKind::AccessDenied => GapCause::AccessDenied,
        HostErrorKind::HostKey => GapCause::HostKey,
        HostErrorKind::TimedOut => GapCause::TimedOut,
        HostErrorKind::BecomeDenied => GapCause::BecomeDenied,
        HostErrorKind::WrongMachine | HostErrorKind::NotQuiet | HostErrorKind::Failed | HostErrorKind::Protocol => {
            GapCause::Other
        }
    }
}

/// The hosts were left out on purpose.
pub(super) fn not_asked(region: &str) -> Gap {
    Gap { kind: GapKind::HostFacts, at: region.to_owned(), detail: "the hosts were not asked".to_owned(), cause: None }
}
