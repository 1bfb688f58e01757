//! What the guests themselves say (DRIVER=libvirt): each prints its id and a counter once a second. A guest that was
//! restarted has another id; one that was set back repeats a count; one that lost time on the way has a gap.

#![expect(clippy::print_stdout, reason = "what the guests said is part of the test's report")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use fleetmend::model::{InstanceId, InstanceStatus, Region};

use super::variable;

/// The file of a guest that left stays for a second or more: nothing of it is missed. A host without guests says
/// something, too.
const FOLLOW: &str = "while sleep 0.3; do echo; tail -n 3 /var/lib/nova/instances/*/console.log 2>/dev/null; done";

/// How old a guest's last word may be at the end.
const SILENCE: Duration = Duration::from_secs(20);

/// What one guest said.
#[derive(Default)]
struct Said {
    ids: BTreeSet<String>,
    counts: BTreeSet<u64>,
    last: Option<Instant>,
}

/// Follows the consoles of all guests that run.
pub struct Consoles {
    running: Vec<InstanceId>,
    said: Arc<Mutex<BTreeMap<InstanceId, Said>>>,
    over: Arc<AtomicBool>,
    listeners: Vec<JoinHandle<()>>,
}

impl Consoles {
    /// Begins to listen; to nobody where the guests are not real.
    pub fn watch(region: &Region) -> Self {
        let (said, over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        if variable("LAB_DRIVER") != "libvirt" {
            return Self { running: Vec::new(), said, over, listeners: Vec::new() };
        }
        let active = region.instances.iter().filter(|instance| instance.status == InstanceStatus::Active);
        let running = active.map(|instance| instance.id).collect();
        let listen = |host: &fleetmend::model::Host| {
            let (host, said, over) = (host.host.to_string(), Arc::clone(&said), Arc::clone(&over));
            spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    listen(&host, &said, &over);
                    sleep(Duration::from_millis(500));
                }
            })
        };
        let listeners = region.hosts.iter().map(listen).collect();
        Self { running, said, over, listeners }
    }

    /// Each guest is the one it was, has counted on without leaving out more than the one line that its switch from
    /// host to host may tear, and still counts.
    pub fn assert_unbroken(self) {
        self.over.store(true, Ordering::Relaxed);
        let end = Instant::now();
        for listener in self.listeners {
            listener.join().unwrap();
        }
        let said = self.said.lock().unwrap();
        for id in &self.running {
            let Some(guest) = said.get(id) else { panic!("{id} never said a word") };
            assert_eq!(guest.ids.len(), 1, "{id} was restarted: {:?}", guest.ids);
            let (Some(first), Some(last)) = (guest.counts.first(), guest.counts.last()) else {
                panic!("{id}: no count")
            };
            let heard = guest.counts.len() as u64;
            let missing: Vec<u64> = (*first..=*last).filter(|count| !guest.counts.contains(count)).collect();
            println!("{id} counted from {first} to {last}, {heard} heard, missing {missing:?}");
            assert!(missing.len() <= 1, "{id} counted from {first} to {last} without {missing:?}");
            assert!(heard > 30, "{id} was heard only {heard} times");
            assert!(guest.last.is_some_and(|last| end.duration_since(last) < SILENCE), "{id} went silent");
        }
    }
}

/// Listens to the guests on `host` until the connection ends or all is over.
fn listen(host: &str, said: &Mutex<BTreeMap<InstanceId, Said>>, over: &AtomicBool) {
    let options = ["-o", "ConnectTimeout=5", "-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=2"];
    let mut ssh = Command::new("ssh");
    ssh.args(options).args([host, FOLLOW]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = ssh.spawn().unwrap();
    let mut guest = None;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let Ok(line) = line else { continue };
        if let Some(path) = line.strip_prefix("==> ") {
            guest = path.split('/').find_map(|part| part.parse::<InstanceId>().ok());
        } else if let (Some(guest), Some((id, count))) = (guest, counted(&line)) {
            let mut said = said.lock().unwrap();
            let said = said.entry(guest).or_default();
            if said.counts.insert(count) {
                said.last = Some(Instant::now());
            }
            said.ids.insert(id.to_owned());
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// `GUEST id=00c0ffee count=17 uptime=...`, whole.
fn counted(line: &str) -> Option<(&str, u64)> {
    let (id, rest) = line.trim_end().strip_prefix("GUEST id=")?.split_once(" count=")?;
    let (count, rest) = rest.split_once(" uptime=")?;
    (id.len() == 8 && rest.ends_with("MB")).then_some((id, count.parse().ok()?))
}
