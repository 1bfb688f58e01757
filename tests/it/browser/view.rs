//! The live page: of a run that goes on, with everything that it lets people ask; and of a journal that nobody writes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fleetmend::journal::sqlite::SqliteJournal;
use fleetmend::journal::{Journal as _, RegionHold, RunRecord};
use fleetmend::model::{HostName, Policy, RunId, StepId};
use fleetmend::plan::Rollout;
use fleetmend::plan::synthetic::{self, Recipe};
use fleetmend::run::event::{Event, EventKind, Runner};
use fleetmend::sim::Scenario;
use fleetmend::sim::world::Timing;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt as _;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::driver::{Browser, Scheme};
use crate::cli::stand::{Live, POLICY, Stand};

/// A name that tries to become markup, an attribute and a script at once.
const HOSTILE: &str = "\"><img src=x onerror=document.title='owned'><script>document.title='owned'</script>'`&lt;";

/// The address that a command printed, when it has.
fn address(live: &Live) -> Option<String> {
    let said = live.err();
    let line = said.lines().find(|line| line.contains("live page: "))?;
    let url = line.split("live page: ").nth(1)?.split(';').next()?;
    Some(url.trim().to_owned())
}

/// Clicks a button twice: the second click is the answer to its question.
fn click(browser: &Browser, button: &str) {
    browser.until(&format!(
        "const b = document.querySelector(\"{button}\"); return !!b && !b.hidden && !b.closest('[hidden]')"
    ));
    browser.eval(&format!("const b = document.querySelector(\"{button}\"); b.click(); b.click()"));
}

fn banner(browser: &Browser, words: &str) {
    browser.until(&format!("return document.querySelector('#banner').innerText.includes('{words}')"));
}

/// The status of a request that a stranger makes.
fn status(stand: &Stand, url: &str, headers: &[(&str, &str)], body: Option<Value>) -> u16 {
    stand.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = if body.is_some() { client.post(url) } else { client.get(url) };
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        request.send().await.unwrap().status().as_u16()
    })
}

#[test]
fn a_run_is_approved_paused_continued_and_a_host_skipped_and_retried_from_the_page() {
    let stand = Stand::of(&Scenario { timing: Timing::quick(), groups: 0, ..Scenario::sized(6, 10, 11) });
    stand.write(
        "policy.yaml",
        &POLICY.replace("canary: {hosts: 1, soak: 0s}", "canary: {hosts: 1, soak: 0s, approve: true}"),
    );
    stand.plan();
    let Some(browser) = Browser::open() else { return };
    let live =
        stand.begin(&["run", "rollout.yaml", "--yes", "--poll", "100ms", "--listen", "127.0.0.1:0", "--allow-control"]);
    stand.until(|| address(&live).is_some());
    let url = address(&live).unwrap();
    let (base, key) = url.split_once("#key=").unwrap();
    browser.looks(1280, 900, Scheme::Light);
    browser.go(&url);
    banner(&browser, "Waits for approval");
    assert_eq!(browser.eval("return document.querySelectorAll('.cell').length"), 6);
    assert_eq!(browser.eval("return location.hash"), "", "the key is not left in the address");

    // Strangers: without a token, with a used key, under another name, from another site.
    let ask = format!("{base}api/ask");
    let pause = || Some(json!({"ask": "pause"}));
    assert_eq!(status(&stand, &ask, &[], pause()), 401);
    assert_eq!(status(&stand, &ask, &[("authorization", "Bearer guess")], pause()), 401);
    assert_eq!(status(&stand, &format!("{base}api/key"), &[], Some(json!({"key": key}))), 403);
    let token = browser.text("return sessionStorage.getItem('fleetmend-token')");
    let bearer = format!("Bearer {token}");
    let known = ("authorization", bearer.as_str());
    assert_eq!(status(&stand, &ask, &[known, ("host", "evil.example")], pause()), 421);
    assert_eq!(status(&stand, &ask, &[known, ("origin", "http://evil.example")], pause()), 421);
    assert_eq!(status(&stand, base, &[("host", "evil.example")], None), 421);
    assert_eq!(status(&stand, &ask, &[known], Some(json!({"ask": "abandon"}))), 400);
    assert_eq!(status(&stand, &ask, &[known], Some(json!({"ask": "skip", "host": "no-such"}))), 404);
    let as_json = ["status", "-f", "json"];
    assert!(stand.run(&as_json).out.contains("\"outcome\": \"running\""), "nobody paused it");

    browser.is_accessible("the live page");
    browser.shot("live-6-light");
    click(&browser, "[data-ask=pause]");
    banner(&browser, "Paused");
    click(&browser, "[data-ask=approve]");
    let last = "[...document.querySelectorAll('.cell.waiting')].pop()";
    let host = browser.text(&format!("const cell = {last}; cell.click(); return cell.dataset.host"));
    browser.until("return /Skip this host/.test(document.querySelector('#detail').innerText)");
    browser.is_accessible("the live page with a host open");
    browser.shot("live-6-host");
    let button = "[...document.querySelectorAll('#detail button')].find(one => /this host/.test(one.textContent))";
    browser.eval(&format!("const b = {button}; b.click(); b.click()"));
    let is = |state: &str| format!("return document.querySelector('[data-host={host}]').classList.contains('{state}')");
    browser.until(&is("skipped"));
    browser.until("return /Retry this host/.test(document.querySelector('#detail').innerText)");
    browser.eval(&format!("const b = {button}; b.click(); b.click()"));
    browser.until(&is("waiting"));
    click(&browser, "[data-ask=continue]");
    banner(&browser, "Running");
    banner(&browser, "Done");
    browser.until("return document.querySelectorAll('.cell.done').length === 6");
    stand.end(live).said(0, &[]);
    stand.is_remedied();
    let report = stand.run(&["report", "-f", "json"]).out;
    assert!(report.contains(", from the page"), "the trail says who asked, and where");
}

#[test]
fn a_page_that_only_shows_lets_nobody_ask_and_its_metrics_are_well_formed() {
    let stand = Stand::new();
    stand.plan();
    stand.run(&["run", "rollout.yaml", "--yes", "--poll", "100ms"]).said(0, &[]);
    let live = stand.begin(&["view"]);
    stand.until(|| address(&live).is_some());
    let base = address(&live).unwrap();
    assert!(!base.contains("key"), "{base}");
    assert_eq!(status(&stand, &format!("{base}api/ask"), &[], Some(json!({"ask": "retry", "host": "compute-1"}))), 403);
    assert_eq!(status(&stand, &format!("{base}api/key"), &[], Some(json!({"key": ""}))), 403);
    let metrics = stand.block_on(async { reqwest::get(format!("{base}metrics")).await.unwrap().text().await.unwrap() });
    assert!(metrics.contains("fleetmend_run_outcome{") && metrics.contains("state=\"done\"} 4\n"), "{metrics}");
    live.signal("INT");
    stand.end(live).said(0, &[]);
    for refused in [&["view", "--listen", "0.0.0.0:0"][..], &["run", "rollout.yaml", "--yes", "--allow-control"]] {
        stand.run(refused).said(2, &["hint: "]);
    }
}

#[test]
fn twenty_viewers_at_once_see_the_end_of_a_run_as_if_alone() {
    let stand = Stand::new();
    stand.plan();
    let live = stand.begin(&["run", "rollout.yaml", "--yes", "--poll", "100ms", "--listen", "127.0.0.1:0"]);
    stand.until(|| address(&live).is_some());
    let url = format!("{}api/changes", address(&live).unwrap());
    let told = stand.block_on(async {
        let viewers = (0..20).map(|_| {
            let url = url.clone();
            tokio::spawn(async move {
                let mut answer = reqwest::get(url).await.unwrap();
                let mut text = Vec::new();
                while let Ok(Some(chunk)) = answer.chunk().await {
                    text.extend_from_slice(&chunk);
                }
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        let viewers: Vec<_> = viewers.collect();
        // One that never reads: it may not hold up anybody.
        let _deaf = reqwest::get(url.clone()).await.unwrap();
        let mut told = Vec::new();
        for viewer in viewers {
            told.push(viewer.await.unwrap());
        }
        told
    });
    stand.end(live).said(0, &[]);
    for text in told {
        assert!(text.starts_with("event: hello"), "{text}");
        assert!(text.contains("\"outcome\":\"done\""), "a viewer did not hear of the end");
    }
}

/// A journal that a test writes, and the page that follows it.
struct Written {
    runtime: Runtime,
    journal: SqliteJournal,
    _hold: Box<dyn RegionHold>,
    run: RunId,
    seq: u64,
    page: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = self.page.kill();
        let _ = self.page.wait();
    }
}

impl Written {
    fn of(hosts: usize, change: impl FnOnce(&mut Rollout)) -> Self {
        let small = hosts < 20;
        let recipe = Recipe {
            hosts,
            zones: if small { 1 } else { 3 },
            utilisation: if small { 0.4 } else { 0.79 },
            grouped: 0.0,
            ..Recipe::default()
        };
        let region = synthetic::with_machines(synthetic::region(&recipe, 5));
        let mut rollout = synthetic::planned(&region, &Policy::default(), 5).unwrap();
        change(&mut rollout);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let runtime = Runtime::new().unwrap();
        let run = RunId::new(Uuid::now_v7());
        let runner = Runner { host: "elsewhere".to_owned(), pid: 1, version: "0".to_owned() };
        let record = RunRecord {
            run,
            region: rollout.region.clone(),
            digest: rollout.digest.clone(),
            created: jiff::Timestamp::now(),
            rollout: serde_json::to_string(&rollout).unwrap(),
            snapshot: serde_json::to_string(&region).unwrap(),
        };
        let journal = SqliteJournal::open(&path).unwrap();
        let hold = runtime.block_on(async {
            let hold = journal.hold(&rollout.region, &runner).await.unwrap();
            journal.create(&record).await.unwrap();
            hold
        });
        let (page, url) = runtime.block_on(page_of(&path));
        let mut written = Self { runtime, journal, _hold: hold, run, seq: 0, page, url, _folder: folder };
        written.append([EventKind::RunStarted { run, rollout: record.digest, runner }]);
        written
    }

    fn append(&mut self, kinds: impl IntoIterator<Item = EventKind>) {
        let events: Vec<Event> = kinds
            .into_iter()
            .map(|kind| {
                self.seq += 1;
                Event { seq: self.seq, at: jiff::Timestamp::now(), kind }
            })
            .collect();
        self.runtime.block_on(self.journal.append(self.run, &events)).unwrap();
    }
}

async fn page_of(journal: &Path) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetmend"));
    command.args(["view", "--state", &format!("sqlite:{}", journal.display())]);
    let mut page = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = tokio::process::ChildStderr::from_std(page.stderr.take().unwrap()).unwrap();
    let mut lines = tokio::io::BufReader::new(said).lines();
    let limit = Duration::from_secs(60);
    let line = tokio::time::timeout(limit, lines.next_line()).await.expect("it tells its address").unwrap().unwrap();
    // Read on, or the page would stop at a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let url = line.split("live page: ").nth(1).expect("an address").split(';').next().unwrap().to_owned();
    (page, url)
}

fn begun(host: &HostName) -> EventKind {
    EventKind::StepStarted { step: StepId::of(host, "identify"), attempt: 1, target: None, because: None }
}

fn quarantined(host: &HostName, reason: &str) -> EventKind {
    EventKind::HostQuarantined { host: host.clone(), step: StepId::of(host, "identify"), reason: reason.to_owned() }
}

#[test]
fn what_strangers_called_their_things_stays_text_on_the_page() {
    let mut first = None;
    let mut written = Written::of(6, |rollout| {
        rollout.remedy.name = HOSTILE.to_owned();
        rollout.hosts[0].rack = Some(HOSTILE.to_owned());
        rollout.hosts.iter_mut().flat_map(|host| &mut host.moves).for_each(|one| one.name = HOSTILE.to_owned());
        first = rollout.hosts.iter().find(|host| host.canary).map(|host| host.host.clone());
    });
    let host = first.unwrap();
    let Some(browser) = Browser::open() else { return };
    written.append([begun(&host), quarantined(&host, HOSTILE)]);
    browser.go(&written.url);
    browser.until("return document.querySelectorAll('.cell.quarantined').length === 1");
    browser.eval("document.querySelector('.cell.waiting').click()");
    browser.until("return document.querySelector('#detail table') !== null");
    assert!(browser.text("return document.querySelector('#failures').innerText").contains("<img src=x"));
    assert!(browser.text("return document.querySelector('#detail').innerText").contains("<img src=x"));
    assert_eq!(browser.eval("return document.querySelectorAll('img, body script, iframe').length"), 0);
    assert_eq!(browser.eval("return document.title === 'owned'"), false);
    // What gets in all the same may run nothing: the policy forbids it.
    browser.eval("const s = document.createElement('script'); s.textContent = 'document.body.dataset.ran = 1'; document.body.append(s)");
    assert_eq!(browser.eval("return document.body.dataset.ran === undefined"), true);
}

#[test]
fn a_thousand_hosts_are_followed_without_a_stutter() {
    let mut hosts = Vec::new();
    let mut written = Written::of(1000, |rollout| {
        let canaries: Vec<_> = rollout.hosts.iter().filter(|host| host.canary).map(|host| host.host.clone()).collect();
        let others = rollout.hosts.iter().filter(|host| !host.canary).map(|host| host.host.clone());
        hosts = canaries.into_iter().chain(others).collect();
    });
    let Some(browser) = Browser::open() else { return };
    for (scheme, name) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
        browser.looks(1280, 900, scheme);
        browser.go(&written.url);
        browser.until("return document.querySelectorAll('.cell').length === 1000");
        browser.shot(&format!("live-1000-{name}-begin"));
    }
    browser.was_quiet(&written.url);
    browser.eval(
        "window.long = []; new PerformanceObserver(list => list.getEntries().forEach(one => window.long.push(one.duration)))\
         .observe({type: 'longtask'})",
    );
    browser.counts_cost();
    let before = browser.cost();
    let turns: Vec<&[HostName]> = hosts.chunks(40).collect();
    for (turn, hosts) in turns.iter().enumerate() {
        written.append(hosts.iter().flat_map(|host| [begun(host), quarantined(host, "it was another machine")]));
        let told = (turn + 1) * 40;
        browser.until(&format!("return document.querySelectorAll('.cell.quarantined').length >= {}", told.min(1000)));
    }
    let cost = (browser.cost() - before) / f64::from(u32::try_from(turns.len()).unwrap());
    let long = browser.eval("return window.long.length ? Math.round(Math.max(...window.long)) : 0");
    eprintln!("live page of 1,000 hosts: {:.0} ms of a processor for 80 events, longest task {long} ms", cost * 1000.0);
    assert!(cost < 0.15, "{cost} s for one change");
    // The detail of one host in two actions, with the keyboard alone.
    browser.press("/00417\u{e007}");
    browser.until("return /compute-00417/.test(document.querySelector('#detail').innerText)");
    browser.shot("live-1000-light");
    browser.is_accessible("the live page of 1,000 hosts");
    assert!(browser.print("live-1000").starts_with(b"%PDF"));
    browser.was_quiet(&written.url);
}
