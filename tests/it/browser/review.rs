//! The document for review, at the sizes that people have.

use std::path::PathBuf;

use fleetmend::model::Policy;
use fleetmend::plan::synthetic::{self, Recipe};
use fleetmend::plan::{Rollout, digest};
use fleetmend::remedy::{Evidence, Outcome};
use fleetmend::report::html;
use tempfile::TempDir;

use super::driver::{Browser, Scheme};

/// WebDriver's code points of keys without a letter.
const ENTER: &str = "\u{e007}";
const DOWN: &str = "\u{e015}";

/// A rollout of so many hosts with evidence, as `plan` makes it.
fn rollout(hosts: usize) -> Rollout {
    let small = hosts < 20;
    let recipe = Recipe {
        hosts,
        zones: if small { 1 } else { 3 },
        utilisation: if small { 0.5 } else { 0.79 },
        grouped: if small { 0.0 } else { 0.2 },
        ..Recipe::default()
    };
    let region = synthetic::with_machines(synthetic::region(&recipe, 7));
    let mut rollout = synthetic::planned(&region, &Policy::default(), 7).unwrap();
    for (number, planned) in rollout.hosts.iter_mut().enumerate() {
        planned.verdict.evidence.push(Evidence {
            requirement: "mds starts with `Mitigation: Clear CPU buffers`".to_owned(),
            source: "/sys/devices/system/cpu/vulnerabilities/mds".to_owned(),
            found: Some(if number % 2 == 0 { "Vulnerable" } else { "Vulnerable: no microcode" }.to_owned()),
            outcome: Outcome::Fail,
        });
    }
    rollout.digest = digest(&rollout);
    rollout
}

struct Page {
    rollout: Rollout,
    path: PathBuf,
    bytes: usize,
    _folder: TempDir,
}

fn page(hosts: usize) -> Page {
    let rollout = rollout(hosts);
    let text = html::review(&rollout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("review.html");
    std::fs::write(&path, &text).unwrap();
    Page { rollout, path, bytes: text.len(), _folder: folder }
}

fn looks_right(browser: &Browser, page: &Page, size: usize) {
    for (scheme, name) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
        browser.looks(1280, 900, scheme);
        browser.go_file(&page.path);
        browser.shot(&format!("review-{size}-{name}"));
        // Thousands of rows are alike, and the checker takes minutes for them.
        browser.eval(
            "document.querySelectorAll('details.host:nth-of-type(n+30), .plot li:nth-child(n+30), .lanes g:nth-of-type(n+30)')\
             .forEach(row => row.remove())",
        );
        browser.is_accessible(&format!("{size} hosts, {name}"));
    }
    browser.looks(1280, 900, Scheme::Light);
    browser.go_file(&page.path);
    let hosts = format!("{} hosts to remedy", page.rollout.hosts.len());
    assert!(browser.text("return document.body.innerText").contains(&hosts));
    // What hangs over the right edge makes people scroll sideways.
    assert_eq!(browser.eval("return document.documentElement.scrollWidth <= innerWidth"), true);
    let pdf = browser.print(&format!("review-{size}"));
    assert!(pdf.starts_with(b"%PDF") && pdf.len() > 20_000, "{} bytes", pdf.len());
    browser.was_quiet("file://");
}

#[test]
fn a_small_rollout_is_reviewed_with_the_keyboard_alone() {
    let page = page(6);
    let Some(browser) = Browser::open() else { return };
    looks_right(&browser, &page, 6);
    let host = page.rollout.hosts[2].host.to_string();
    browser.press(&format!("/{host}"));
    browser.until("return !document.querySelector('#found').hidden");
    browser.press(DOWN);
    assert_eq!(browser.text("return document.activeElement.tagName"), "A");
    browser.press(ENTER);
    browser.until("return !!document.querySelector('details.host.hit[open]')");
    let said = browser.text("return document.querySelector('details.host.hit').innerText");
    let planned = &page.rollout.hosts[2];
    for needed in [host.as_str(), "Vulnerable", planned.moves[0].to.as_str(), planned.moves[0].project.as_str()] {
        assert!(said.contains(needed), "{needed} is not in {said}");
    }
    browser.was_quiet("file://");
}

#[test]
fn a_hundred_hosts_fit_on_a_page() {
    let page = page(100);
    let Some(browser) = Browser::open() else { return };
    looks_right(&browser, &page, 100);
    browser.looks(420, 800, Scheme::Light);
    browser.go_file(&page.path);
    browser.shot("review-100-narrow");
    assert_eq!(browser.eval("return document.documentElement.scrollWidth <= innerWidth"), true);
}

#[test]
fn of_a_thousand_hosts_one_is_found_in_two_clicks_and_the_page_opens_at_once() {
    let page = page(1000);
    assert!(page.bytes < 10_000_000, "{} bytes", page.bytes);
    let Some(browser) = Browser::open() else { return };
    browser.looks(1280, 900, Scheme::Light);
    browser.counts_cost();
    browser.go_file(&page.path);
    let cost = browser.cost();
    let opened = browser.eval(
        "const [entry] = performance.getEntriesByType('navigation'); return Math.round(entry.loadEventEnd - entry.startTime)",
    );
    eprintln!("1,000 hosts: {} bytes, {cost:.2} CPU s, opened in {opened} ms", page.bytes);
    assert!(cost < 2.0, "{cost} s");
    // One click into the search, what is asked, one click on what is found.
    browser.eval("document.querySelector('#q').focus()");
    browser.press("compute-00417");
    browser.until("return document.querySelectorAll('#found a').length > 0");
    browser.eval("document.querySelector('#found a').click()");
    let said = browser.text("return document.querySelector('details.host.hit').innerText");
    let planned = page.rollout.hosts.iter().find(|one| one.host.as_str() == "compute-00417").unwrap();
    assert!(said.contains("Out of service from +"), "when: {said}");
    assert!(said.contains("Vulnerable"), "why: {said}");
    for moved in &planned.moves {
        assert!(said.contains(moved.project.as_str()) && said.contains(&moved.instance.to_string()), "who: {said}");
    }
    looks_right(&browser, &page, 1000);
}
