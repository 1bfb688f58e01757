//! The ledger for people.

use std::fmt::Write as _;

use crate::ledger::{Ledger, Renewal};
use crate::report::{Lean, Style, Table, count, printable};

/// Counts by project, then the instances with something left to do, or all of them.
pub fn text(ledger: &Ledger, all: bool, style: Style) -> String {
    let mut out = format!(
        "{} in {}, as seen at {:.0}: guests need {} in a boot of their own\n\n",
        style.bold(&printable(&ledger.remedy)),
        printable(&ledger.region),
        ledger.taken_at,
        printable(&ledger.flag)
    );
    out.push_str(&projects(ledger).render(0, |heading| style.dim(heading)));
    let mut table = Table::new(&[
        ("project", Lean::Left),
        ("instance", Lean::Left),
        ("name", Lean::Left),
        ("host", Lean::Left),
        ("verdict", Lean::Left),
        ("why", Lean::Left),
    ]);
    let open = |verdict| matches!(verdict, Renewal::Due | Renewal::Exposed | Renewal::Unknown);
    for entry in ledger.instances.iter().filter(|entry| all || open(entry.verdict)) {
        let host = entry.host.as_ref().map_or("-", |host| host.as_str());
        let id = entry.instance.to_string();
        table.row([entry.project.as_str(), &id, &entry.name, host, entry.verdict.words(), &entry.why]);
    }
    if !table.is_empty() {
        out.push('\n');
        out.push_str(&table.render(0, |heading| style.dim(heading)));
    }
    let counted: Vec<String> = Renewal::ALL
        .into_iter()
        .filter(|verdict| ledger.counts.of(*verdict) > 0)
        .map(|verdict| {
            let words = format!("{} {}", ledger.counts.of(verdict), verdict.words());
            match verdict {
                Renewal::Renewed => style.green(&words),
                Renewal::Due | Renewal::Exposed => style.red(&words),
                Renewal::Unknown => style.yellow(&words),
                Renewal::NotRunning => words,
            }
        })
        .collect();
    let _ = writeln!(out, "\n{}: {}", count(ledger.counts.instances, "instance"), counted.join(", "));
    out
}

fn projects(ledger: &Ledger) -> Table {
    let mut table = Table::new(&[
        ("project", Lean::Left),
        ("instances", Lean::Right),
        ("exposed", Lean::Right),
        ("due", Lean::Right),
        ("unknown", Lean::Right),
        ("not running", Lean::Right),
        ("renewed", Lean::Right),
    ]);
    for project in &ledger.projects {
        let counts = project.counts;
        let numbers = Renewal::ALL.map(|verdict| counts.of(verdict).to_string());
        let cells = [project.project.to_string(), counts.instances.to_string()].into_iter().chain(numbers);
        table.row(cells);
    }
    table
}
