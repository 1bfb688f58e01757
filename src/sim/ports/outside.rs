//! [`Outside`] of a simulated region: the operator's executables, as far as they have to do with its hosts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::SimRegion;
use crate::host::PowerOrder;
use crate::http::JsonAnswer;
use crate::outside::{Call, Ended, Exit, HttpCall, Kept, Outside, Rung, with_host};

/// How long a management controller takes to obey.
const CONTROLLER: Duration = Duration::from_secs(5);

/// How long any other executable takes.
const TAKES: Duration = Duration::from_secs(3);

/// How long a service takes to answer.
const ANSWERS: Duration = Duration::from_millis(200);

/// Executables of a machine beside a simulated region. What is called `false` fails; what an added
/// step runs is done once it was told to, by step or playbook.
#[derive(Debug, Clone)]
pub struct SimOutside {
    region: Arc<SimRegion>,
    rungs: Vec<Rung>,
}

impl SimOutside {
    /// With a ladder for hosts of `region`.
    pub fn new(region: Arc<SimRegion>, rungs: Vec<Rung>) -> Self {
        Self { region, rungs }
    }
}

#[async_trait]
impl Outside for SimOutside {
    fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    async fn climb(&self, order: &PowerOrder, rung: &Rung) -> Ended {
        let words = match with_host(&rung.command, order.host()) {
            Ok(words) => words,
            Err(why) => return Ended::not_started(why.to_string()),
        };
        self.region.pass(CONTROLLER.min(rung.timeout.get())).await;
        if words[0].ends_with("/false") {
            return Ended {
                exit: Exit::Status(1),
                stdout: String::new(),
                kept: Kept::of(b"Error: Unable to establish IPMI v2 / RMCP+ session"),
            };
        }
        self.region.with(|world| world.power_cycle(order.host()));
        said("Chassis Power Control: Cycle\n")
    }

    async fn run(&self, call: &Call) -> Ended {
        self.region.pass(TAKES.min(call.limit)).await;
        if call.words.first().is_some_and(|program| program.ends_with("/false")) {
            return Ended { exit: Exit::Status(1), ..said("it does not work\n") };
        }
        match serde_json::from_str::<Asked>(&call.input) {
            Ok(asked) => self.command(&asked),
            Err(_) => self.playbook(&call.words),
        }
    }

    async fn http(&self, call: &HttpCall) -> Result<JsonAnswer, String> {
        self.region.pass(ANSWERS).await;
        if call.url.starts_with("http://nowhere") {
            return Err("http://nowhere cannot be reached".to_owned());
        }
        Ok(self.alertmanager(call))
    }
}

/// The id of the only silence of a mark.
fn silence_of(comment: &str) -> String {
    format!("silence of {comment}")
}

impl SimOutside {
    /// Alertmanager beside the region: whatever address is asked, there is one of it.
    fn alertmanager(&self, call: &HttpCall) -> JsonAnswer {
        let body = self.region.with(|world| match (call.method, &call.body) {
            ("POST", Some(silence)) => {
                let id = silence_of(silence["comment"].as_str().unwrap_or_default());
                world.silence_alarms(&id, Some(silence.clone()));
                json!({"silenceID": id})
            }
            ("DELETE", _) => {
                let id = call.url.rsplit("/silence/").next().unwrap_or_default();
                world.silence_alarms(id, None);
                Value::Null
            }
            _ => {
                let list = world.alarm_silences().map(|(id, silence)| {
                    let mut silence = silence.clone();
                    silence["id"] = id.as_str().into();
                    silence["status"] = json!({"state": "active"});
                    silence
                });
                list.collect()
            }
        });
        JsonAnswer { status: 200, body }
    }
}

/// What an executable of an added step reads.
#[derive(Deserialize)]
struct Asked {
    phase: String,
    step: String,
}

impl SimOutside {
    fn command(&self, asked: &Asked) -> Ended {
        let done = self.region.with(|world| {
            if asked.phase == "apply" {
                world.run_command(&asked.step);
            }
            world.commands_run(&asked.step) > 0
        });
        said(&format!("{}\n", serde_json::json!({"done": done, "note": if done { "as it should be" } else { "" }})))
    }

    fn playbook(&self, words: &[String]) -> Ended {
        let host = words.iter().skip_while(|word| *word != "--limit").nth(1).cloned().unwrap_or_default();
        if words.iter().any(|word| word == "--list-hosts") {
            return said(&format!("\nplaybook: x\n\n  play #1 (all): all\tTAGS: []\n    hosts (1):\n      {host}\n"));
        }
        let work = format!("{host}/{}", words.last().map_or("", String::as_str));
        let checks = words.iter().any(|word| word == "--check");
        let changed = self.region.with(|world| {
            let changed = u32::from(world.commands_run(&work) == 0);
            if !checks && changed > 0 {
                world.run_command(&work);
            }
            changed
        });
        said(&format!("PLAY RECAP ****\n{host} : ok=2 changed={changed} unreachable=0 failed=0\n"))
    }
}

fn said(output: &str) -> Ended {
    Ended { exit: Exit::Status(0), stdout: output.to_owned(), kept: Kept::of(output.as_bytes()) }
}
