//! Names that strangers chose, in every output that can be had without a run: they display safely and start nothing.

use serde_json::Value;

use super::Stand;

/// Quotes, blanks, a command, a line break, escape sequences, an override of direction, markup.
const HOSTILE: &str = "x'\"`$(touch pwned); \n\r\u{1b}[2J\u{9b}31m\u{202e}<script>alert(1)</script>|a](http://b)";

/// A region in which a host, its zone, an aggregate, every instance, every project, a reason and a gap have such names.
fn hostile_region(stand: &Stand) -> String {
    stand.run(&["inventory", "-o", "region.json"]).said(0, &[]);
    let mut region: Value = serde_json::from_str(&stand.read("region.json")).unwrap();
    for instance in region["instances"].as_array_mut().unwrap() {
        instance["name"] = HOSTILE.into();
        instance["project"] = HOSTILE.into();
    }
    region["hosts"][0]["service"]["status"] = "disabled".into();
    region["hosts"][0]["service"]["disabled_reason"] = HOSTILE.into();
    region["hosts"][0]["facts"]["roles"] = serde_json::json!({"galera": [format!("container {HOSTILE}")]});
    region["hosts"][1]["aggregates"] = serde_json::json!([HOSTILE]);
    region["gaps"] = serde_json::json!([{"kind": "provider", "where": HOSTILE, "detail": HOSTILE}]);
    let name = region["hosts"][3]["host"].as_str().unwrap().to_owned();
    let mut hostile = serde_json::to_string(HOSTILE).unwrap();
    hostile.retain(|c| c != '\u{0}');
    region.to_string().replace(&format!("\"{name}\""), &hostile)
}

/// What a terminal would act on.
fn acts(text: &str) -> Option<char> {
    text.chars().find(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || ('\u{202a}'..='\u{202e}').contains(c))
}

#[test]
fn names_of_strangers_display_safely_in_every_output() {
    let stand = Stand::new();
    stand.write("hostile.json", &hostile_region(&stand));
    let from = ["--region", "hostile.json"];
    let plan = ["plan", "--remedy", "mds", "--policy", "policy.yaml", "-o", "hostile.yaml", "--leave-out-stuck"];
    let planned = stand.run(&[&plan[..], &from].concat());
    planned.said(0, &[]);
    let mut told = vec![("plan".to_owned(), planned)];
    let commands: [&[&str]; 12] = [
        &["show", "hostile.yaml"],
        &["show", "hostile.yaml", "-f", "json"],
        &["show", "hostile.yaml", "-f", "markdown"],
        &["show", "hostile.yaml", "-f", "html"],
        &["show", "hostile.yaml", "-f", "dot"],
        &["show", "hostile.yaml", "-f", "mermaid"],
        &["assess", "--remedy", "mds", "--region", "hostile.json"],
        &["assess", "--remedy", "mds", "--region", "hostile.json", "-f", "json"],
        &["preflight", "--region", "hostile.json"],
        &["preflight", "--region", "hostile.json", "-f", "json"],
        &["diff", "hostile.yaml", "--region", "hostile.json"],
        &["rehearse", "hostile.yaml", "--region", "hostile.json", "--runs", "1", "--faults", "none"],
    ];
    for command in commands {
        told.push((command.join(" "), stand.run(command)));
    }
    for (command, told) in &told {
        for text in [&told.out, &told.err] {
            assert_eq!(acts(text), None, "{command}: {text:?}");
            assert!(!text.contains("\nx'") || !command.contains("show"), "{command}: a name begins a line of its own");
        }
        if command.contains("-f json") {
            serde_json::from_str::<Value>(&told.out).unwrap_or_else(|why| panic!("{command}: {why}"));
        }
        if command.contains("html") || command.contains("markdown") {
            assert!(!told.out.contains("<script>alert"), "{command}");
        }
    }
    let shown = told.iter().find(|(command, _)| command == "show hostile.yaml").unwrap();
    assert!(shown.1.out.contains("touch pwned"), "the name is shown at all: {}", shown.1.out);
    assert!(!stand.path("pwned").exists());
}
