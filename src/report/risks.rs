//! What a reviewer weighs: the rules that a run keeps to, and what it does when something goes wrong. Both are read out of
//! the rollout and the engine's own numbers.

use super::text::{count, duration};
use crate::model::{
    InstanceHandling, Limit, NewInstances, NovaConfHandling, Percent, Question, Span, Window, WindowsEnd,
};
use crate::plan::Rollout;
use crate::run::{HOST_ATTEMPTS, INSTANCE_ATTEMPTS, MAX_DISTURBANCES, TARGET_ATTEMPTS};

/// A rule of the policy, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it is about.
    pub about: &'static str,
    /// What it says.
    pub says: String,
}

/// Something that can go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    /// What.
    pub what: &'static str,
    /// What happens then.
    pub then: String,
}

/// The rules that matter to somebody who approves.
pub fn rules(rollout: &Rollout) -> Vec<Rule> {
    let policy = &rollout.policy;
    let limits = &policy.limits;
    let rule = |about, says| Rule { about, says };
    let mut rules = vec![
        rule("Hosts out at once", format!("{}; in one zone {}", limit(limits.hosts), limit(limits.hosts_per_zone))),
        rule(
            "Kept in service",
            format!(
                "at least {} in each zone and {} in each aggregate",
                limits.keep_up.per_zone, limits.keep_up.per_aggregate
            ),
        ),
        rule(
            "Migrations at once",
            format!(
                "{} in the region, {} away from one host, {} onto one host",
                limits.migrations, limits.migrations_per_source, limits.migrations_per_target
            ),
        ),
    ];
    if let Some(rack) = limits.hosts_per_rack {
        rules.push(rule("Hosts out in one rack", limit(rack)));
    }
    rules.push(rule("Canary", canary(rollout)));
    rules.push(rule("When hosts may be begun", windows(&policy.windows)));
    rules.push(rule(
        "The run pauses",
        format!(
            "when more than {} failed, or more than {} of one zone{}",
            count(policy.failure_budget.hosts, "host"),
            policy.failure_budget.per_zone,
            policy
                .failure_budget
                .per_cause
                .iter()
                .map(|(cause, most)| format!(", or more than {most} in {cause}"))
                .collect::<Vec<_>>()
                .concat()
        ),
    ));
    for gate in &policy.gates {
        let asks = match &gate.ask {
            Question::Command(words) => format!("`{}` ends with status 0", words.join(" ")),
            Question::Prometheus(asked) => format!("`{}` answers at {}", asked.query, asked.url),
        };
        rules.push(rule(
            "Another host is begun",
            format!("only while {asks} ({}, asked every {})", gate.name, gate.every),
        ));
    }
    if policy.windows_end == WindowsEnd::Park {
        rules.push(rule(
            "When a window closes",
            "what is still being emptied waits, disabled, for the next one; hosts behind their fence go on".to_owned(),
        ));
    }
    let fresh = match policy.drift.new_instances {
        NewInstances::Any => "instances that the plan does not know are moved as well",
        NewInstances::Pause => "an instance that the plan does not know pauses the run",
    };
    rules.push(rule(
        "The region moves on",
        format!("{fresh}; more than {} of the planned hosts lost make the rollout stale", policy.drift.lost_hosts),
    ));
    rules.push(rule("Instances at rest", at_rest(rollout)));
    rules.push(rule(
        "nova.conf",
        match policy.nova_conf {
            NovaConfHandling::Leave => "is not edited".to_owned(),
            NovaConfHandling::AddFlags => {
                "gets the CPU flags that the remedy finds missing; a backup is kept".to_owned()
            }
        },
    ));
    rules
}

fn limit(limit: Limit) -> String {
    let share = |percent: Percent| format!("{percent} of them");
    match (limit.max, limit.percent) {
        (Some(max), Some(percent)) => format!("at most {max}, and at most {}", share(percent)),
        (Some(max), None) => format!("at most {max}"),
        (None, Some(percent)) => format!("at most {}", share(percent)),
        (None, None) => "no limit".to_owned(),
    }
}

fn canary(rollout: &Rollout) -> String {
    let canary = &rollout.policy.canary;
    let hosts = rollout.hosts.iter().filter(|host| host.canary).count();
    match (hosts, canary.approve) {
        (0, _) => "none: all hosts are begun as limits allow".to_owned(),
        (_, true) => format!("{} first; then somebody must `fleetmend approve`", count(hosts, "host")),
        (_, false) => format!("{} first, watched for {}", count(hosts, "host"), words(canary.soak)),
    }
}

fn windows(windows: &[Window]) -> String {
    if windows.is_empty() {
        return "at any time".to_owned();
    }
    let words = windows.iter().map(|window| {
        let days: Vec<String> = window.days.iter().map(|day| format!("{day:?}").to_lowercase()).collect();
        format!("{} from {} to {} {}", days.join(", "), window.from, window.to, String::from(window.zone.clone()))
    });
    words.collect::<Vec<_>>().join("; ")
}

fn at_rest(rollout: &Rollout) -> String {
    let rules = &rollout.policy.instances;
    let all = [
        ("shut off", rules.stopped),
        ("paused", rules.paused),
        ("suspended", rules.suspended),
        ("locked", rules.locked),
        ("cannot be moved", rules.cannot_move),
    ];
    all.map(|(what, handling)| format!("{what}: {}", super::review::handling_words(handling))).join("; ")
}

fn words(span: Span) -> String {
    duration(span.as_seconds())
}

/// What can go wrong, and what the engine does then.
pub fn risks(rollout: &Rollout) -> Vec<Risk> {
    let policy = &rollout.policy;
    let patience = &policy.patience;
    let risk = |what, then: String| Risk { what, then };
    let failed = "the host is quarantined: it stays out of service, `disabled_reason` says why, nothing half-updated is given back, \
                  and its nova-compute is started again if it was not rebooted";
    let budget = &policy.failure_budget;
    let mut risks = vec![
        risk(
            "A live migration fails or does not end",
            format!(
                "After {} per GiB of memory and disk it is aborted and the instance stays where it runs. It is asked for again: {INSTANCE_ATTEMPTS} \
                 attempts where the instance fails, {TARGET_ATTEMPTS} where a target does, each to a target with room. Then the host is quarantined \
                 with its instances running.",
                words(patience.migration_per_gib)
            ),
        ),
        risk(
            "A target is full after all",
            "It is looked at again and nobody is blamed: the instance goes elsewhere under the same rules of placement, or waits for room; \
             `status` says for what."
                .to_owned(),
        ),
        risk(
            "An owner starts, creates or deletes instances meanwhile",
            format!(
                "Each host is looked at afresh when its turn comes, and again before its reboot. If something still runs then, nova-compute is \
                 started again and the host is emptied again, {MAX_DISTURBANCES} times at most."
            ),
        ),
        risk(
            "Packages cannot be downloaded or installed",
            format!(
                "A download has {HOST_ATTEMPTS} attempts while instances still move. After an update that fails, or takes longer than {}, {failed}.",
                words(patience.packages)
            ),
        ),
        risk(
            "A host does not come back from its reboot",
            format!("After {} {failed}. No running instance was on it.", words(patience.reboot)),
        ),
        risk(
            "The evidence does not hold after the reboot",
            format!("The host is not enabled: {failed}."),
        ),
        risk(
            "Another machine answers at a host's address",
            "Nothing is done to it: machine-id, Nova's name and hostname are checked inside each command that changes a host.".to_owned(),
        ),
        risk(
            "Somebody disables a host meanwhile, or another run holds it",
            "It is left alone: only a service with this run's own mark is given back.".to_owned(),
        ),
        risk(
            "More hosts fail than the policy allows",
            format!(
                "The run pauses when more than {} failed, or more than {} of one zone: nothing more is begun, what is under way ends. \
                 `fleetmend continue` goes on when somebody has looked.",
                count(budget.hosts, "host"),
                budget.per_zone
            ),
        ),
        risk(
            "The cloud does not answer",
            "It counts against no host: each request is tried again, at most a minute apart, until it answers.".to_owned(),
        ),
        risk(
            "The runner is killed, or loses its network",
            "What runs on hosts goes on. `fleetmend resume` looks for what is in flight and adopts it; no step is done twice to harm.".to_owned(),
        ),
        risk(
            "It has to end at once",
            "`fleetmend stop` ends when what is under way has ended; `fleetmend abandon` gives untouched hosts back exactly as they were and \
             lists the half-done ones."
                .to_owned(),
        ),
    ];
    if policy.instances.stopped == InstanceHandling::Leave && !rollout.stays.is_empty() {
        risks.push(risk(
            "An owner starts an instance that stays while its host is rebooted",
            "nova-compute is stopped first: the start waits in Nova's queue, and is carried out when the host is back."
                .to_owned(),
        ));
    }
    risks
}
