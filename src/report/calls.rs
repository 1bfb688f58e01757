//! Every request and every command that a rollout sends, by step: what a reviewer of a change looks up.
//!
//! What differs from host to host stands between braces. Nothing holds these words to what actions ask: a change of an
//! action is to be told here too.

use super::sentence::kind_words;
use crate::model::{InstanceHandling, NovaConfHandling};
use crate::plan::Rollout;
use crate::workflow::StepKind;

/// What one kind of step sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    /// What the step does, in words.
    pub step: &'static str,
    /// Once a host, once an instance, only after a failure.
    pub when: &'static str,
    /// How often, where everything goes well.
    pub times: usize,
    /// What changes something.
    pub changes: Vec<String>,
    /// What only looks.
    pub looks: Vec<String>,
}

/// All of them, in the order in which a host goes through them.
pub fn calls(rollout: &Rollout) -> Vec<Calls> {
    StepKind::ALL.iter().map(|kind| of_kind(rollout, *kind)).collect()
}

const SERVICE: &str = "GET /os-services?binary=nova-compute&host={host}";
const DOMAINS: &str = "on {host}: virsh list --all (uuid, state)";
const SERVERS: &str = "GET /servers/detail?all_tenants=1&host={host}";

fn of_kind(rollout: &Rollout, kind: StepKind) -> Calls {
    let hosts = rollout.hosts.len();
    let moves = rollout.hosts.iter().map(|host| host.moves.len()).sum();
    let of_hosts = rollout.work.is_of_hosts();
    let stopped = rollout.stays.iter().filter(|stay| stay.handling == InstanceHandling::StopInPlace).count();
    let (when, times) = match kind {
        StepKind::Move => ("each instance that leaves", moves),
        StepKind::Stop | StepKind::Start => ("each instance that is stopped in place", stopped),
        StepKind::Unfence | StepKind::Quarantine => ("only when the host failed", 0),
        StepKind::Probe if rollout.policy.probe_instance.is_none() => ("never: the policy has none", 0),
        StepKind::Command | StepKind::Ansible => (
            "each host, where remedy or policy add one",
            hosts * rollout.extra_steps().filter(|step| step.kind() == kind).count(),
        ),
        StepKind::Hook | StepKind::Unhook => {
            ("each host, where the policy has one", hosts * rollout.policy.hooks.len())
        }
        StepKind::ColdBoot => ("each instance of a campaign of cold boots", if of_hosts { 0 } else { hosts }),
        StepKind::Configure if rollout.policy.nova_conf == NovaConfHandling::Leave => ("never: the policy says so", 0),
        StepKind::Identify
        | StepKind::Disable
        | StepKind::Stage
        | StepKind::Resolve
        | StepKind::Fence
        | StepKind::Update
        | StepKind::Configure
        | StepKind::VerifyConfig
        | StepKind::Reboot
        | StepKind::Return
        | StepKind::Evidence
        | StepKind::Enable
        | StepKind::Settle
        | StepKind::Probe => ("each host", if of_hosts { hosts } else { 0 }),
    };
    let texts = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    Calls { step: kind_words(kind), when, times, changes: changes(rollout, kind), looks: texts(looks(kind)) }
}

/// What a step changes, request by request and command by command.
fn changes(rollout: &Rollout, kind: StepKind) -> Vec<String> {
    let packages: Vec<&str> =
        rollout.remedy.packages.iter().flat_map(|package| &package.any_of).map(String::as_str).collect();
    let packages = packages.join(" ");
    let unit = |what: &str| format!("on {{host}}: systemd-run --unit fleetmend-{{run}}-{{host}}-{what}");
    let put = |body: &str| format!("PUT /os-services/{{service}} {body}");
    match kind {
        StepKind::Disable => vec![put(r#"{"status":"disabled","disabled_reason":"fleetmend {run}"}"#)],
        StepKind::Stage => vec![
            unit("stage"),
            format!("  rpm: dnf -y update --downloadonly {packages}"),
            format!("  deb: apt-get -y --download-only --only-upgrade install {packages}"),
        ],
        StepKind::Move => {
            let live =
                r#"POST /servers/{instance}/action {"os-migrateLive":{"host":"{target}","block_migration":"auto"}}"#;
            let cold =
                r#"POST /servers/{instance}/action {"migrate":{"host":"{target}"}}, then {"confirmResize":null}"#;
            let abort = "DELETE /servers/{instance}/migrations/{number} (only when it takes too long)";
            let rules = &rollout.policy.instances;
            let has_cold = [rules.stopped, rules.suspended, rules.locked, rules.cannot_move]
                .contains(&InstanceHandling::ColdMigrate);
            let cold = has_cold.then(|| format!("{cold} (where the policy says `cold-migrate`)"));
            let force = "POST /servers/{instance}/migrations/{number}/action {\"force_complete\":null} (only when it takes too long)";
            let force = rules.slow.force_complete.then(|| force.to_owned());
            let reset = r#"POST /servers/{instance}/action {"os-resetState":{"state":"active"}} (only behind an abort or a refusal)"#;
            let reset = rules.reset_error.then(|| reset.to_owned());
            let rare = force.into_iter().chain([abort.to_owned()]).chain(reset);
            std::iter::once(live.to_owned()).chain(cold).chain(rare).collect()
        }
        StepKind::Stop => vec![r#"POST /servers/{instance}/action {"os-stop":null}"#.to_owned()],
        StepKind::Start => vec![r#"POST /servers/{instance}/action {"os-start":null}"#.to_owned()],
        StepKind::Fence => vec!["on {host}: systemctl stop openstack-nova-compute or nova-compute".to_owned()],
        StepKind::Update => vec![
            unit("update"),
            format!("  rpm: dnf -y update {packages}"),
            format!("  deb: apt-get -y --only-upgrade install {packages}"),
        ],
        StepKind::Configure if rollout.policy.nova_conf == NovaConfHandling::AddFlags => {
            vec![unit("configure"), "  nova.conf: CPU flags of the remedy are added, a backup is kept".to_owned()]
        }
        StepKind::Reboot => {
            vec!["on {host}: systemctl --no-block reboot (in the command that checks once more)".to_owned()]
        }
        StepKind::Enable => vec![put(r#"{"status":"enabled"}"#)],
        StepKind::Command | StepKind::Ansible => {
            let added = rollout.extra_steps().filter(|step| step.kind() == kind);
            added.map(|step| format!("on the runner: {}: {}", step.name, written(&step.work))).collect()
        }
        StepKind::Hook => {
            rollout.policy.hooks.iter().map(|hook| format!("{}: {}", hook.name, written(&hook.work))).collect()
        }
        StepKind::Unhook => rollout.policy.hooks.iter().map(|hook| format!("{}: taken back", hook.name)).collect(),
        StepKind::Probe => vec![
            "POST /servers (the policy's tiny instance, onto {host})".to_owned(),
            "DELETE /servers/{probe}".to_owned(),
        ],
        StepKind::ColdBoot => vec![
            r#"POST /servers/{instance}/action {"os-stop":null}"#.to_owned(),
            r#"POST /servers/{instance}/action {"os-start":null}"#.to_owned(),
        ],
        StepKind::Unfence => vec!["on {host}: systemctl start openstack-nova-compute or nova-compute".to_owned()],
        StepKind::Quarantine => {
            vec![put(r#"{"status":"disabled","disabled_reason":"fleetmend {run} and why it stays out of service"}"#)]
        }
        StepKind::Identify
        | StepKind::Resolve
        | StepKind::Configure
        | StepKind::VerifyConfig
        | StepKind::Return
        | StepKind::Evidence
        | StepKind::Settle => Vec::new(),
    }
}

/// As remedy and policy have it.
fn written(part: &impl serde::Serialize) -> String {
    serde_json::to_string(part).unwrap_or_default()
}

/// What a step looks at.
fn looks(kind: StepKind) -> &'static [&'static str] {
    match kind {
        StepKind::Identify => &[SERVICE, "on {host}: machine-id, hostname, packages, kernel, processor, nova.conf"],
        StepKind::Disable | StepKind::Enable | StepKind::Settle | StepKind::Quarantine => &[SERVICE],
        StepKind::Stage | StepKind::Update | StepKind::Configure => {
            &["on {host}: systemctl show of that unit", "on {host}: installed packages"]
        }
        StepKind::Resolve => &[SERVERS, "GET /os-migrations?host={host}"],
        StepKind::Move => &[
            "GET /servers/{instance}",
            "GET /os-migrations?instance_uuid={instance}",
            "GET /servers/{instance}/migrations/{number}",
            "GET /servers/{instance}/os-instance-actions (only when it failed)",
        ],
        StepKind::Stop | StepKind::Start => {
            &["GET /servers/{instance}", "GET /servers/{instance}/os-instance-actions (only when it failed)"]
        }
        StepKind::Fence | StepKind::Reboot => &[
            SERVICE,
            SERVERS,
            "GET /os-migrations?host={host}",
            "GET /resource_providers/{provider}/allocations",
            DOMAINS,
            "on {host}: boot id, systemctl show of nova-compute",
        ],
        StepKind::VerifyConfig => &["on {host}: packages, default kernel and its command line, nova.conf"],
        StepKind::Return => &[SERVICE, "on {host}: boot id, systemctl show of nova-compute"],
        StepKind::Evidence => &["on {host}: what the remedy asks for, read only"],
        StepKind::Hook | StepKind::Unhook | StepKind::Command | StepKind::Ansible => &[],
        StepKind::Probe => &["GET /servers/{probe}"],
        StepKind::ColdBoot => &["GET /servers/{instance}", "on {host}: the processor of the running guest"],
        StepKind::Unfence => &["on {host}: systemctl show of nova-compute"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::rollout;

    #[test]
    fn each_kind_of_step_is_told_and_counted() {
        let calls = calls(&rollout());
        assert_eq!(calls.len(), StepKind::ALL.len());
        let of = |kind| calls.iter().find(|one| one.step == kind_words(kind)).unwrap();
        assert_eq!((of(StepKind::Move).times, of(StepKind::Reboot).times), (1, 2));
        assert_eq!(of(StepKind::Quarantine).times, 0);
        assert!(of(StepKind::Identify).changes.is_empty(), "it only looks");
        assert!(of(StepKind::Disable).changes[0].starts_with("PUT /os-services/{service} "));
    }
}
