//! A playbook against one host, with the operator's own inventory.
//!
//! The host is never a pattern: its name must be plain, and the inventory must know exactly one host by it, which is
//! looked at before anything is done. A group of that name would have the playbook run on all of the group.

use async_trait::async_trait;
use tokio::time::Instant;

use super::extra::{self, failure};
use super::poll::doing;
use super::{Action, ErrorClass, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::model::{AnsibleWork, ExtraStep, ExtraWork};
use crate::outside::{Call, Ended, Exit, with_host};
use crate::run::event::{FaultScope, Intent, StepOutput};

/// Exit status of `ansible-playbook` when hosts could not be reached.
const UNREACHABLE: i32 = 4;

/// Runs a playbook.
pub(super) struct Ansible;

/// How `ansible-playbook` is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Only says which hosts it would run on.
    List,
    /// Says what it would change.
    Check,
    /// Changes it.
    Play,
}

fn work<'a>(cx: &StepContext<'a>) -> Result<(&'a ExtraStep, &'a AnsibleWork), StepError> {
    let extra = extra::step(cx)?;
    match &extra.work {
        ExtraWork::Ansible(work) => Ok((extra, work)),
        ExtraWork::Command(_) => {
            Err(StepError::permanent(FaultScope::Host, format!("step {} is no playbook", extra.name)))
        }
    }
}

/// The host's name in the inventory.
fn inventory_name(cx: &StepContext<'_>, work: &AnsibleWork) -> Result<String, StepError> {
    let words = with_host(&[work.program.clone(), work.host.clone()], &cx.host.host);
    let mut words = words.map_err(|why| StepError::permanent(FaultScope::Host, why.to_string()))?;
    Ok(words.pop().unwrap_or_default())
}

fn call(cx: &StepContext<'_>, work: &AnsibleWork, mode: Mode, began: Instant) -> Result<Call, StepError> {
    let mut words = vec![work.program.clone()];
    for inventory in &work.inventory {
        words.extend(["--inventory".to_owned(), inventory.clone()]);
    }
    words.extend(["--limit".to_owned(), inventory_name(cx, work)?]);
    words.extend(work.arguments.iter().cloned());
    words.extend(match mode {
        Mode::List => vec!["--list-hosts".to_owned()],
        Mode::Check => vec!["--check".to_owned()],
        Mode::Play => vec![],
    });
    words.push(work.playbook.clone());
    let environment = [
        ("ANSIBLE_NOCOLOR", "1"),
        ("ANSIBLE_FORCE_COLOR", "0"),
        // What is read below is what this one prints.
        ("ANSIBLE_STDOUT_CALLBACK", "default"),
        ("ANSIBLE_RETRY_FILES_ENABLED", "0"),
        ("ANSIBLE_HOST_PATTERN_MISMATCH", "error"),
    ];
    let environment = environment.map(|(name, value)| (name, value.to_owned())).into();
    Ok(Call { words, input: String::new(), environment, limit: extra::left(cx, work.timeout.get(), began) })
}

async fn play(cx: &StepContext<'_>, mode: Mode, began: Instant) -> Result<Ended, StepError> {
    let (extra, work) = work(cx)?;
    let call = call(cx, work, mode, began)?;
    doing(cx, format!("runs `{}`", call.words.join(" ")));
    let ended = extra::call(cx, &call).await;
    if ended.exit == Exit::Status(UNREACHABLE) {
        let what = format!("ansible does not reach {}", cx.host.host);
        return Err(StepError::new(ErrorClass::Transient, FaultScope::Host, what).because(ended.words()));
    }
    if !ended.exit.is_success() {
        return Err(failure(extra, if mode == Mode::Play { "play" } else { "look" }, &ended));
    }
    Ok(ended)
}

/// The hosts that `--list-hosts` names: indented under `hosts (N):` of each play.
fn listed(output: &str) -> Vec<&str> {
    let mut hosts = Vec::new();
    let mut within = false;
    for line in output.lines() {
        let word = line.trim();
        if word.starts_with("hosts (") && word.ends_with(':') {
            within = true;
        } else if word.is_empty() || word.ends_with(':') || word.starts_with("play #") {
            within = false;
        } else if within && !hosts.contains(&word) {
            hosts.push(word);
        }
    }
    hosts
}

/// What a line of the recap counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Recap {
    ok: u32,
    changed: u32,
    bad: u32,
}

/// The recap of one host: `compute-1 : ok=3 changed=1 unreachable=0 failed=0 …`.
fn recap(output: &str, host: &str) -> Option<Recap> {
    let (_, recap) = output.rsplit_once("PLAY RECAP")?;
    let counts = recap.lines().find_map(|line| {
        let (name, counts) = line.split_once(" : ").or_else(|| line.split_once(':'))?;
        (name.trim() == host).then_some(counts)
    })?;
    let mut read = Recap::default();
    for (name, count) in counts.split_whitespace().filter_map(|word| word.split_once('=')) {
        let count: u32 = count.parse().ok()?;
        match name {
            "ok" => read.ok = count,
            "changed" => read.changed = count,
            "failed" | "unreachable" => read.bad += count,
            _ => {}
        }
    }
    Some(read)
}

/// That the inventory knows exactly this one host by its name.
async fn one_host(cx: &StepContext<'_>, began: Instant) -> Result<(), StepError> {
    let (extra, work) = work(cx)?;
    let name = inventory_name(cx, work)?;
    let ended = play(cx, Mode::List, began).await?;
    match listed(&ended.stdout).as_slice() {
        [only] if *only == name => Ok(()),
        [] => {
            let what = format!("step {}: the playbook runs on no host called {name}", extra.name);
            Err(StepError::permanent(FaultScope::Host, what).because(ended.kept.words()))
        }
        others => {
            let what = format!("step {}: the playbook would run on more than {name}", extra.name);
            Err(StepError::permanent(FaultScope::Host, what).because(others.join(", ")))
        }
    }
}

/// What was played on the host; an error when its recap is missing or bad, whatever the status says.
fn played(extra: &ExtraStep, name: &str, ended: &Ended) -> Result<Recap, StepError> {
    match recap(&ended.stdout, name) {
        Some(recap) if recap.bad == 0 => Ok(recap),
        Some(_) | None => {
            let what = format!("step {}: the playbook ended well and has no good recap of {name}", extra.name);
            Err(StepError::permanent(FaultScope::Host, what).because(ended.kept.words()))
        }
    }
}

#[async_trait]
impl Action for Ansible {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let (extra, work) = work(cx)?;
        let began = Instant::now();
        one_host(cx, began).await?;
        if work.check {
            let ended = play(cx, Mode::Check, began).await?;
            if played(extra, &inventory_name(cx, work)?, &ended)?.changed == 0 {
                return Ok(Probe::Done(extra::output(cx, "the playbook finds nothing to change")));
            }
        }
        Ok(Probe::Needed(extra::intent(extra)))
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let (extra, work) = work(cx)?;
        let ended = play(cx, Mode::Play, Instant::now()).await?;
        played(extra, &inventory_name(cx, work)?, &ended).map(|_| Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let (extra, work) = work(cx)?;
        if !work.check {
            return Ok(extra::output(cx, "the playbook ran to its end"));
        }
        let ended = play(cx, Mode::Check, Instant::now()).await?;
        let recap = played(extra, &inventory_name(cx, work)?, &ended)?;
        if recap.changed == 0 {
            return Ok(extra::output(cx, "the playbook ran, and finds nothing more to change"));
        }
        let what = format!("step {}: the playbook ran, and would change {} things again", extra.name, recap.changed);
        Err(StepError::permanent(FaultScope::Host, what).because(ended.kept.words()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ansible-core 2.16 prints them.
    const LIST: &str = "\nplaybook: /etc/mend/site.yml\n\n  play #1 (compute): compute\tTAGS: []\n    pattern: \
                        ['compute']\n    hosts (1):\n      compute-1\n\n  play #2 (compute): again\tTAGS: []\n    \
                        pattern: ['compute']\n    hosts (2):\n      compute-1\n      compute-2\n";
    const PLAY: &str = "\nPLAY [compute] ****\n\nTASK [debug] ****\nok: [compute-1] => {\n    \"msg\": \"compute-1 : \
                        ok=0 changed=0\"\n}\n\nPLAY RECAP ****\ncompute-1                  : ok=2    changed=1    \
                        unreachable=0    failed=0    skipped=0    rescued=0    ignored=0   \n";

    #[test]
    fn the_hosts_of_all_plays_are_read() {
        assert_eq!(listed(LIST), ["compute-1", "compute-2"]);
        assert_eq!(listed("playbook: x\n  play #1 (all)\n    hosts (0):\n"), Vec::<&str>::new());
    }

    #[test]
    fn the_recap_is_that_of_the_host_and_not_what_a_task_prints() {
        assert_eq!(recap(PLAY, "compute-1"), Some(Recap { ok: 2, changed: 1, bad: 0 }));
        assert_eq!(recap(PLAY, "compute-2"), None);
        let failed = PLAY.replace("failed=0", "failed=1");
        assert_eq!(recap(&failed, "compute-1").map(|recap| recap.bad), Some(1));
        assert_eq!(recap("compute-1 : ok=1 changed=0", "compute-1"), None);
    }
}
