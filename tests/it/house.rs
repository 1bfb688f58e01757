//! The rules of the house, held against the source: which room may know what.
//!
//! R1 pure rooms know no runtime, network, database, file, environment or clock, and no map without an order. R2 only
//! `run::driver` spawns work (adapters may, for their own connection), only `cli` prints, reads the environment and
//! exits, only `journal` opens a database. R3 adapters know neither plan nor run. R4 libraries stay in their rooms.
//! R5 actions know only their context. Unit tests inside a file are exempt: they do not ship.

use std::fs;
use std::path::{Path, PathBuf};

/// Files whose path under `src` begins with one of `within` and with none of `except` must not contain `tokens`.
struct Rule {
    name: &'static str,
    within: &'static [&'static str],
    except: &'static [&'static str],
    tokens: &'static [&'static str],
}

/// Rooms that are functions of their arguments.
const PURE: &[&str] = &[
    "model/",
    "plan/",
    "preflight/",
    "workflow/",
    "remedy/",
    "ledger/",
    "host/facts",
    "run/event",
    "run/state",
    "run/schedule",
    "sim/world",
    "report/",
];

const EVERYWHERE: &[&str] = &[""];

const RULES: &[Rule] = &[
    Rule {
        name: "R1 pure rooms know no runtime, network, database, file or environment",
        within: PURE,
        except: &[],
        tokens: &[
            "tokio",
            "async fn",
            "async_trait",
            "reqwest",
            "axum",
            "rusqlite",
            "osauth",
            "std::fs",
            "std::env",
            "std::net",
            "std::process",
            "thread::sleep",
            "serde_yaml",
            "crate::cli",
            "crate::journal",
            "crate::config",
        ],
    },
    Rule {
        name: "R1 pure rooms have no clock: time comes in as a value",
        within: PURE,
        except: &[],
        tokens: &[
            "Timestamp::now",
            "Zoned::now",
            "SystemTime",
            "Instant::now",
            "now_v7",
            "new_v4",
            "SystemClock",
            "rand::rng",
            "thread_rng",
            "from_os_rng",
            "TimeZone::system",
        ],
    },
    Rule {
        name: "R1 pure rooms iterate in an order that is theirs",
        within: PURE,
        except: &[],
        tokens: &["HashMap", "HashSet", "RandomState"],
    },
    Rule {
        name: "R2 only the driver spawns work; adapters may for their own connection",
        within: EVERYWHERE,
        except: &["run/driver", "cloud/openstack", "host/ssh", "sim/", "journal/", "cli/"],
        tokens: &["tokio::spawn", "task::spawn", "JoinSet", "spawn_blocking", "thread::spawn", "thread::Builder"],
    },
    Rule {
        name: "R2 only cli prints and exits",
        within: EVERYWHERE,
        except: &["cli/"],
        tokens: &[
            "println!",
            "print!",
            "eprintln!",
            "eprint!",
            "io::stdout",
            "io::stderr",
            "process::exit",
            "std::io::stdin",
        ],
    },
    Rule { name: "R2 only cli reads the environment", within: EVERYWHERE, except: &["cli/"], tokens: &["std::env"] },
    Rule {
        name: "R2 only journal opens a database",
        within: EVERYWHERE,
        except: &["journal/"],
        tokens: &["rusqlite", "tokio_postgres"],
    },
    Rule {
        name: "R3 adapters know neither plan nor run",
        within: &["cloud/openstack", "host/ssh", "sim/ports"],
        except: &[],
        tokens: &["crate::plan", "crate::run", "crate::workflow", "crate::journal", "crate::actions"],
    },
    Rule {
        name: "R4 the OpenStack libraries stay in their adapter",
        within: EVERYWHERE,
        except: &["cloud/openstack"],
        tokens: &["osauth", "openstack_sdk"],
    },
    Rule {
        name: "R4 outgoing HTTP stays in the adapter and in `http`",
        within: EVERYWHERE,
        except: &["cloud/openstack", "http/"],
        tokens: &["reqwest"],
    },
    Rule {
        name: "R4 TLS stays in the adapters",
        within: EVERYWHERE,
        except: &["cloud/openstack", "journal/postgres"],
        tokens: &["rustls"],
    },
    Rule {
        name: "only cli knows the terminal",
        within: EVERYWHERE,
        // A process group is ended by its number, and no safe library does only that.
        except: &["cli/", "outside/process"],
        tokens: &["rustix", "indicatif"],
    },
    Rule {
        name: "R4 serving HTTP stays in the simulated region and the live page",
        within: EVERYWHERE,
        except: &["sim/http", "view/"],
        tokens: &["axum"],
    },
    Rule {
        name: "R4 the YAML crate stays in config",
        within: EVERYWHERE,
        except: &["config/"],
        tokens: &["serde_yaml"],
    },
    Rule {
        name: "R5 actions change the world through their context only",
        within: &["actions/"],
        except: &[],
        tokens: &["crate::cloud::openstack", "crate::host::ssh", "crate::sim", "std::fs", "std::net", "tokio::process"],
    },
    Rule {
        name: "nobody builds on the face",
        within: EVERYWHERE,
        except: &["cli/", "main.rs"],
        tokens: &["crate::cli"],
    },
];

/// Source with comments, text and unit tests taken out, line for line.
fn code_of(source: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut in_block = false;
    for line in source.lines() {
        if line.starts_with("#[cfg(test)]") && !source_declares_file_module(source, line) {
            break;
        }
        lines.push(strip(line, &mut in_block));
    }
    lines
}

/// `#[cfg(test)] mod tests;` (in a file of its own) does not end the code of this file.
fn source_declares_file_module(source: &str, attribute: &str) -> bool {
    let after = source.split_once(attribute).map_or("", |(_, after)| after);
    after.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.trim_end().ends_with(';'))
}

/// One line without its comments and without what stands between quotes.
fn strip(line: &str, in_block: &mut bool) -> String {
    let mut code = String::new();
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('*', Some('/')) if *in_block => {
                chars.next();
                *in_block = false;
            }
            _ if *in_block => {}
            ('\\', _) if quoted => {
                chars.next();
            }
            // A quote as a character literal opens nothing.
            ('\'', Some('"')) if !quoted => {
                chars.next();
            }
            ('"', _) => quoted = !quoted,
            _ if quoted => {}
            ('/', Some('/')) => break,
            ('/', Some('*')) => {
                chars.next();
                *in_block = true;
            }
            _ => code.push(c),
        }
    }
    code
}

/// Whether `token` stands in `code` as whole words.
fn has_token(code: &str, token: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(token).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_some_and(is_word);
        let after = code[at + token.len()..].chars().next().is_some_and(is_word);
        !before && (!after || token.ends_with('!'))
    })
}

fn violations(path: &str, source: &str) -> Vec<String> {
    let code = code_of(source);
    let mut found = Vec::new();
    for rule in RULES {
        let begins_with = |prefix: &&str| path.starts_with(*prefix);
        if !rule.within.iter().any(begins_with) || rule.except.iter().any(begins_with) {
            continue;
        }
        for (number, line) in code.iter().enumerate() {
            for token in rule.tokens.iter().filter(|token| has_token(line, token)) {
                found.push(format!("src/{path}:{}: `{token}`: {}", number + 1, rule.name));
            }
        }
    }
    found
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("an entry of the source").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Rooms of the library's own tests: none of them ships.
const TESTS: &[&str] = &["simulation/"];

fn all_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths.sort();
    let shown = |path: &Path| path.strip_prefix(&root).expect("found under the root").to_string_lossy().into_owned();
    let ships = |path: &&PathBuf| !TESTS.iter().any(|room| shown(path).starts_with(room));
    let read = |path: &PathBuf| (shown(path), fs::read_to_string(path).expect("readable source"));
    paths.iter().filter(ships).map(read).collect()
}

#[test]
fn the_simulation_and_its_mistakes_do_not_ship() {
    let (_, root) = all_sources().into_iter().find(|(path, _)| path == "lib.rs").unwrap();
    assert!(root.contains("#[cfg(test)]\nmod simulation;"));
    for (path, source) in all_sources() {
        let lines: Vec<&str> = source.lines().collect();
        for (number, _) in lines.iter().enumerate().filter(|(_, line)| line.contains("Mistake::")) {
            // Within the statement that an attribute keeps out of every other build.
            let near = &lines[number.saturating_sub(3)..=number];
            assert!(near.iter().any(|line| line.trim() == "#[cfg(test)]"), "src/{path}:{}", number + 1);
        }
    }
}

#[test]
fn every_room_keeps_to_the_rules_of_the_house() {
    let broken: Vec<String> = all_sources().iter().flat_map(|(path, source)| violations(path, source)).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let mut broken = Vec::new();
    for (path, source) in all_sources() {
        for (number, line) in code_of(&source).iter().enumerate() {
            if line.contains("#[allow(") || line.contains("#![allow(") {
                broken.push(format!("src/{path}:{}", number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn main_only_calls_the_face() {
    let main = all_sources().into_iter().find(|(path, _)| path == "main.rs").unwrap().1;
    assert!(main.lines().count() <= 30);
}

#[test]
fn each_dependency_has_its_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let records = fs::read_to_string(root.join("docs/design/dependencies.md")).unwrap();
    let mut in_dependencies = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        } else if let (true, Some((name, _))) = (in_dependencies, line.split_once(" = ")) {
            assert!(records.contains(&format!("| `{name}`")), "docs/design/dependencies.md lacks a line for {name}");
        }
    }
}

#[test]
fn a_breach_of_each_rule_is_seen() {
    for (path, source, rule) in [
        ("plan/order.rs", "use std::fs;", "R1"),
        ("model/a.rs", "let now = jiff::Timestamp::now();", "R1"),
        ("run/state.rs", "use std::collections::HashMap;", "R1"),
        ("sim/world.rs", "use tokio::time::sleep;", "R1"),
        ("inventory/mod.rs", "tokio::spawn(async {});", "R2"),
        ("journal/sqlite.rs", "eprintln!();", "R2"),
        ("config/mod.rs", "std::env::var(name)", "R2"),
        ("run/driver.rs", "use rusqlite::Connection;", "R2"),
        ("host/ssh.rs", "use crate::plan::Rollout;", "R3"),
        ("inventory/mod.rs", "use osauth::Session;", "R4"),
        ("inventory/mod.rs", "use reqwest::Client;", "R4"),
        ("run/driver.rs", "use axum::Router;", "R4"),
        ("plan/file.rs", "serde_yaml::from_str(text)", "R4"),
        ("actions/reboot.rs", "use crate::host::ssh::Ssh;", "R5"),
        ("run/driver.rs", "use crate::cli::Exit;", "nobody"),
    ] {
        let found = violations(path, source);
        assert!(found.iter().any(|found| found.contains(rule)), "{path}: {source}: {found:?}");
    }
}

#[test]
fn comments_text_and_unit_tests_are_no_breach() {
    let source = "// tokio\n//! std::fs\nlet s = \"tokio::spawn\"; let q = '\"'; /* axum\n reqwest */ let a = 1;\n\
                  #[cfg(test)]\nmod tests {\n use tokio::test;\n}\n";
    assert_eq!(violations("plan/a.rs", source), Vec::<String>::new());
    let both = "#[cfg(test)]\nmod tests;\nuse tokio::time;\n";
    assert_eq!(violations("plan/a.rs", both).len(), 1);
}
