//! The report of a run and the comparison of rollouts, as the binary writes them.

use super::driver::{Browser, Scheme};
use crate::cli::stand::Stand;

#[test]
fn what_happened_and_what_changed_open_without_a_fault() {
    let stand = Stand::new();
    stand.plan();
    stand.run(&["run", "rollout.yaml", "--yes", "--poll", "100ms"]).said(0, &[]);
    stand.run(&["report", "-f", "html", "-o", "report.html"]).said(0, &[]);
    stand.run(&["diff", "rollout.yaml", "-f", "html", "-o", "diff.html"]);
    stand.run(&["report", "-f", "trace", "-o", "trace.json"]).said(0, &[]);
    let trace: serde_json::Value = serde_json::from_str(&stand.read("trace.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let bars = events.iter().filter(|event| event["ph"] == "X" && event["name"] == "reboot");
    assert_eq!(bars.count(), 4, "one reboot a host");
    assert!(events.iter().all(|event| event["ph"] == "M" || event["ts"].as_i64().is_some_and(|ts| ts > 0)));
    let Some(browser) = Browser::open() else { return };
    for (file, wanted) in [("report.html", "4 / 4"), ("diff.html", "What changed")] {
        for (scheme, name) in [(Scheme::Light, "light"), (Scheme::Dark, "dark")] {
            browser.looks(1280, 900, scheme);
            browser.go_file(&stand.path(file));
            browser.shot(&format!("{file}-{name}"));
            browser.is_accessible(&format!("{file}, {name}"));
        }
        assert!(browser.text("return document.body.innerText").contains(wanted), "{file}");
        assert_eq!(browser.eval("return document.documentElement.scrollWidth <= innerWidth"), true);
        assert!(browser.print(file).starts_with(b"%PDF"));
        browser.was_quiet("file://");
    }
}
