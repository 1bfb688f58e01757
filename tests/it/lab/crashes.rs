//! A series of runs on the real region whose runner is killed at random times, and in turn something else with it; each is
//! resumed to its right end. Only where `FLEETMEND_CRASHES` says which rounds: `0..12`; `tests/all crashes` does.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]
#![expect(clippy::print_stdout, reason = "seeds and what was done are said")]

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use fleetmend::model::{HostName, InstanceId, Region, ServiceStatus};
use fleetmend::run::{Event, EventKind, StepOutput};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::desk::{Desk, changes, moves, statuses};
use super::lab;
use super::postgres::Server;

const POLICY: &str = "
format: 1
kind: policy
limits: {hosts: 2, hosts_per_zone: 2, migrations: 4, migrations_per_source: 2, migrations_per_target: 2}
canary: {hosts: 0, soak: 0s}
settle: 12s
failure_budget: {hosts: 9, per_zone: 9}
nova_conf: add-flags
";

/// Exit codes of a run that can be resumed, and of one whose region or journal could not be reached.
const TO_BE_RESUMED: [i32; 4] = [1, 5, 6, 7];

/// What fails along with the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Along {
    Nothing,
    ControlPlane,
    Host,
    Postgres,
    Disk,
    Network,
}

/// In turn, twice each.
const ALONG: [Along; 6] =
    [Along::Nothing, Along::ControlPlane, Along::Host, Along::Postgres, Along::Disk, Along::Network];

fn rounds() -> Option<Range<u64>> {
    let text = std::env::var("FLEETMEND_CRASHES").ok()?;
    let (from, to) = text.split_once("..").expect("rounds are a range: 0..12");
    Some(from.parse().unwrap()..to.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_runner_dies_and_whatever_with_it_the_run_comes_to_its_right_end() {
    let Some(rounds) = rounds() else {
        println!("left out: the series of killed runs, about 3 minutes each: tests/all crashes");
        return;
    };
    for seed in rounds {
        let along = ALONG[usize::try_from(seed).unwrap() % ALONG.len()];
        println!("round {seed}: the runner is killed, and {along:?}");
        Round::begin(seed, along).play().await;
    }
}

/// One run on a region made anew.
struct Round {
    along: Along,
    dice: StdRng,
    desk: Desk,
    disk: Option<SmallDisk>,
    postgres: Option<Server>,
    before: Region,
    /// Hosts that lost their power by our doing, and with it what ran there.
    cut: BTreeSet<HostName>,
}

impl Round {
    fn begin(seed: u64, along: Along) -> Self {
        lab(&["reset"]);
        let disk = (along == Along::Disk).then(SmallDisk::mount);
        let postgres = (along == Along::Postgres).then(Server::up);
        let state = match (&disk, &postgres) {
            (Some(disk), _) => format!("sqlite:{}", disk.0.join("journal.db").display()),
            (None, Some(server)) => server.address().to_owned(),
            (None, None) => String::new(),
        };
        let desk = if state.is_empty() { Desk::new(POLICY) } else { Desk::with_state(POLICY, &state) };
        let hosts = desk.region("empty.json").hosts.len();
        lab(&["fill", &(hosts * 3).to_string()]);
        let before = desk.region("region.json");
        let dice = StdRng::seed_from_u64(seed);
        Self { along, dice, desk, disk, postgres, before, cut: BTreeSet::new() }
    }

    async fn play(mut self) {
        let rollout = self.desk.plan();
        let begin = ["run", "rollout.yaml", "--approve", rollout.digest.as_str()];
        let mut child = self.desk.start(&begin);
        for _ in 0..self.dice.random_range(1..=3) {
            let after = Duration::from_millis(self.dice.random_range(500..=40_000));
            tokio::time::sleep(after).await;
            if child.try_wait().unwrap().is_some() {
                break;
            }
            println!("  killed after {} ms", after.as_millis());
            let undo = self.strike();
            kill(&mut child);
            tokio::time::sleep(Duration::from_millis(self.dice.random_range(0..=15_000))).await;
            undo();
            // Killed before its first event it has begun nothing that could be resumed.
            let begun = !self.events().await.is_empty();
            child = if begun { self.desk.start(&["resume"]) } else { self.desk.start(&begin) };
        }
        let mut code = Desk::finish(child);
        for _ in 0..5 {
            if !code.is_some_and(|code| TO_BE_RESUMED.contains(&code)) {
                break;
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
            code = Desk::finish(self.desk.start(&["resume"]));
        }
        self.is_right(code).await;
    }

    /// Breaks what is to break along with the runner; gives the way to mend it.
    fn strike(&mut self) -> Box<dyn FnOnce()> {
        match self.along {
            Along::Nothing => Box::new(|| {}),
            Along::ControlPlane => {
                lab(&["control", "stop"]);
                Box::new(|| drop(lab(&["control", "start"])))
            }
            Along::Host => {
                let number = self.dice.random_range(0..self.before.hosts.len());
                let host = self.before.hosts[number].host.clone();
                println!("  {host} loses its power");
                lab(&["power", host.as_str().rsplit('-').next().unwrap(), "reset"]);
                self.cut.insert(host);
                Box::new(|| {})
            }
            Along::Postgres => {
                let server = self.postgres.as_ref().unwrap();
                server.crash_and_restart();
                Box::new(|| {})
            }
            Along::Disk => {
                let full = self.disk.as_ref().unwrap().fill();
                // The runner meets it before it is killed.
                std::thread::sleep(Duration::from_secs(3));
                Box::new(move || std::fs::remove_file(full).unwrap())
            }
            Along::Network => {
                network(true);
                std::thread::sleep(Duration::from_secs(3));
                Box::new(|| network(false))
            }
        }
    }

    /// Everything is as it should be; hosts that lost their power by our doing may have been given up, and what ran there is
    /// not as it was.
    async fn is_right(&self, code: Option<i32>) {
        let log = self.desk.log();
        let after = self.desk.region("after.json");
        let events = self.events().await;
        assert!(code == Some(0) || (code == Some(4) && !self.cut.is_empty()), "{code:?}: {log}");
        for host in after.hosts.iter().filter(|host| !self.cut.contains(&host.host)) {
            assert_eq!(host.service.status, ServiceStatus::Enabled, "{}: {log}", host.host);
            assert_eq!(host.service.disabled_reason, None, "{}", host.host);
            let reboots = reboots(&events, &host.host);
            assert_eq!(reboots.len(), 1, "{}: {log}", host.host);
            assert_eq!(before_and_after(&self.before, &after, &host.host), reboots[0], "{}", host.host);
        }
        let lived = |region: &Region| -> Vec<(InstanceId, String)> {
            let on_cut = |id: &InstanceId| {
                let home = self.before.instances.iter().find(|one| one.id == *id).and_then(|one| one.host.clone());
                home.is_some_and(|home| self.cut.contains(&home)) || !self.cut.is_empty()
            };
            statuses(region).into_iter().filter(|(id, _)| !on_cut(id)).collect()
        };
        assert_eq!(lived(&after), lived(&self.before), "{log}");
        if self.cut.is_empty() {
            assert_eq!(lab(&["lost"]).trim(), "", "guests that ran on a host when it went down");
            let asked = changes().into_iter().filter(|change| change.contains("os-migrateLive")).count();
            let meant = events.iter().filter(|event| is_intent_to_move(event)).count();
            assert!(asked <= meant, "asked for {asked} migrations, and meant {meant}");
            self.desk.run(&["assess", "--remedy", "mds", "--check"], 0);
        }
        println!("  ends with {code:?}, {} events, {} moves", events.len(), moves(&events).len());
    }

    async fn events(&self) -> Vec<Event> {
        match (&self.postgres, &self.disk) {
            (Some(server), _) => server.events().await,
            (None, Some(disk)) => Desk::events_in(&disk.0.join("journal.db")).await,
            (None, None) => self.desk.events().await,
        }
    }
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn is_intent_to_move(event: &Event) -> bool {
    matches!(&event.kind, EventKind::StepIntended { step, .. } if step.as_str().contains("/move/"))
}

/// The boots that a host's reboots ended and began.
fn reboots(events: &[Event], host: &HostName) -> Vec<(String, String)> {
    let wanted = format!("{host}/reboot");
    let of = |event: &Event| match &event.kind {
        EventKind::StepSucceeded { step, output: StepOutput::Rebooted { before, after, .. } }
            if step.as_str() == wanted =>
        {
            Some((before.clone(), after.clone()))
        }
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

fn before_and_after(before: &Region, after: &Region, host: &HostName) -> (String, String) {
    let boot = |region: &Region| region.host(host).unwrap().facts.boot_id.clone().unwrap();
    (boot(before), boot(after))
}

/// Whether requests to Nova get through.
fn network(cut: bool) {
    let verb = if cut { "-I" } else { "-D" };
    let rule = ["INPUT", "-p", "tcp", "--dport", "8774", "-j", "DROP"];
    let status = Command::new("iptables").arg(verb).args(rule).status().unwrap();
    assert!(status.success(), "iptables {verb}");
}

/// A file system of a few MiB.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount() -> Self {
        let path = tempfile::tempdir().unwrap().keep();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&path).status();
        assert!(mounted.unwrap().success(), "cannot mount a small disk");
        Self(path)
    }

    /// Fills it to the last byte; gives the file to remove.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("junk");
        // Until nothing more fits: that it fails is the point.
        let _ = Command::new("dd").args(["if=/dev/zero", "bs=4096"]).arg(format!("of={}", path.display())).output();
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What remains mounted goes with the lab's name space.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
