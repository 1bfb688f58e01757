//! The ledger for spreadsheets.

use super::book::Ledger;
use super::judge::Who;

const COLUMNS: [&str; 11] =
    ["project", "instance", "name", "host", "status", "verdict", "by", "at", "on", "who", "why"];

/// A line an instance, with a head; RFC 4180.
pub fn csv(ledger: &Ledger) -> String {
    let mut text = line(COLUMNS.map(str::to_owned));
    for entry in &ledger.instances {
        let host = |host: &Option<crate::model::HostName>| host.as_ref().map(ToString::to_string).unwrap_or_default();
        text.push_str(&line([
            entry.project.to_string(),
            entry.instance.to_string(),
            entry.name.clone(),
            host(&entry.host),
            entry.status.to_string(),
            entry.verdict.words().to_owned(),
            entry.by.clone().unwrap_or_default(),
            entry.at.map(|at| at.to_string()).unwrap_or_default(),
            host(&entry.on),
            match &entry.who {
                Some(Who::Run(run)) => format!("fleetmend {run}"),
                Some(Who::User(user)) => user.clone(),
                None => String::new(),
            },
            entry.why.clone(),
        ]));
    }
    text
}

fn line<const N: usize>(cells: [String; N]) -> String {
    cells.map(|cell| quoted(&cell)).join(",") + "\r\n"
}

/// A cell in quotes where it needs them. Names are any text of their owners': what a spreadsheet would take for a formula
/// becomes text.
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_name_is_no_formula_and_ends_no_cell() {
        assert_eq!(quoted("web-1"), "web-1");
        assert_eq!(quoted("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(quoted("a,\"b\"\nc"), "\"a,\"\"b\"\"\nc\"");
        assert_eq!(quoted("@x,y"), "\"'@x,y\"");
    }
}
