//! Delivers notices: together what comes together, again what failed, and never in the run's way.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::mpsc;

use super::mail::{letter, smtp};
use super::notice::Notice;
use super::target::{Form, MailWay, Target};
use crate::http::JsonClient;
use crate::model::RunId;
use crate::report::printable;

/// Notices that are named in one message; the others are counted.
const NAMED: usize = 20;

/// How patient a courier is.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// At least so long between two messages to one place; what comes meanwhile goes out together.
    pub between: Duration,
    /// Attempts for one message.
    pub attempts: u32,
    /// Before the second attempt; twice as long before each further one.
    pub again: Duration,
    /// An attempt that takes longer has failed.
    pub limit: Duration,
}

impl Default for Pace {
    /// Twelve messages a minute at most: Slack takes one a second, people fewer. Five attempts take about two minutes,
    /// which is what a restart of a chat server takes.
    fn default() -> Self {
        Self {
            between: Duration::from_secs(5),
            attempts: 5,
            again: Duration::from_secs(4),
            limit: Duration::from_secs(15),
        }
    }
}

/// Delivers the notices of one run.
pub struct Courier {
    /// Which run.
    pub run: RunId,
    /// Of what, in words: `mds in RegionOne`.
    pub about: String,
    /// Where notices go.
    pub targets: Vec<Target>,
    /// How patient it is.
    pub pace: Pace,
}

impl Courier {
    /// Delivers until the sender of notices is gone and all are delivered or given up.
    pub async fn deliver(self, mut notices: mpsc::Receiver<Notice>) {
        let Self { run, about, targets, pace } = self;
        let mut senders = Vec::with_capacity(targets.len());
        let mut routes = Vec::with_capacity(targets.len());
        for target in &targets {
            let (sender, waiting) = mpsc::unbounded_channel();
            senders.push(sender);
            routes.push(route((&run, &about, pace), target, waiting));
        }
        let named = &targets;
        let sort = async move {
            while let Some(notice) = notices.recv().await {
                for (sender, _) in senders.iter().zip(named).filter(|(_, target)| target.hears(notice.occasion)) {
                    // Its route ends after this loop only.
                    let _ = sender.send(notice.clone());
                }
            }
        };
        tokio::join!(sort, join_all(routes));
    }
}

/// One place: waits for no other.
async fn route(
    (run, about, pace): (&RunId, &str, Pace),
    target: &Target,
    mut waiting: mpsc::UnboundedReceiver<Notice>,
) {
    while let Some(first) = waiting.recv().await {
        let mut batch = vec![first];
        while let Ok(next) = waiting.try_recv() {
            batch.push(next);
        }
        let mut pause = pace.again;
        for attempt in 1..=pace.attempts {
            let sent = tokio::time::timeout(pace.limit, send(run, about, target, &batch)).await;
            let why = match sent {
                Ok(Ok(())) => break,
                Ok(Err(why)) => why,
                Err(_) => "no answer in time".to_owned(),
            };
            let last = attempt == pace.attempts;
            let then = if last { "given up" } else { "tried again" };
            tracing::warn!("{}: {why}; {then}", target.name());
            if !last {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        tokio::time::sleep(pace.between).await;
    }
}

async fn send(run: &RunId, about: &str, target: &Target, batch: &[Notice]) -> Result<(), String> {
    match target {
        Target::Webhook { url, form, .. } => {
            let client = JsonClient::outward(Duration::from_secs(60)).map_err(|error| error.to_string())?;
            match client.deliver(&url.0, &body(run, about, *form, batch)).await {
                Ok(status @ 200..=299) => {
                    tracing::debug!("{url} answered {status}");
                    Ok(())
                }
                Ok(status) => Err(format!("it answered {status}")),
                // The error names the address, which is a secret.
                Err(_) => Err("it cannot be reached".to_owned()),
            }
        }
        Target::Mail(mail) => {
            let letter = letter(mail, &subject(about, batch), &words(run, about, batch));
            match &mail.way {
                MailWay::Smtp(relay) => smtp(relay, mail, &letter).await,
                MailWay::Sendmail(program) => {
                    let letter = letter.replace("\r\n", "\n");
                    pipe(Command::new(program).args(["-t", "-i"]), letter.as_bytes()).await
                }
            }
        }
        Target::Command { words, .. } => {
            let Some((program, arguments)) = words.split_first() else { return Err("it has no word".to_owned()) };
            let text = body(run, about, Form::Generic, batch).to_string();
            pipe(Command::new(program).args(arguments), text.as_bytes()).await
        }
    }
}

/// Runs a program with that on its standard input; it is ended with us.
async fn pipe(command: &mut Command, input: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("it cannot be run: {error}");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program that does not read is judged by how it ends.
        let _ = pipe.write_all(input).await;
    }
    let status = child.wait().await.map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
}

fn subject(about: &str, batch: &[Notice]) -> String {
    match batch {
        [one] => format!("fleetmend: {about}: {}", line(one)),
        many => format!("fleetmend: {about}: {} notices", many.len()),
    }
}

fn line(notice: &Notice) -> String {
    let host = notice.host.as_ref().map(|host| format!("{host}: ")).unwrap_or_default();
    printable(&format!("{host}{}", notice.text)).into_owned()
}

fn words(run: &RunId, about: &str, batch: &[Notice]) -> String {
    let mut text = format!("{} (run {run})", printable(about));
    for notice in batch.iter().take(NAMED) {
        let _ = write!(text, "\n{}", line(notice));
    }
    if batch.len() > NAMED {
        let _ = write!(text, "\nand {} more: `fleetmend status {run}`", batch.len() - NAMED);
    }
    text
}

/// What a place is sent. Source of the forms: Slack, "Incoming webhooks"; Microsoft, "Post an Adaptive Card by webhook".
fn body(run: &RunId, about: &str, form: Form, batch: &[Notice]) -> Value {
    let text = words(run, about, batch);
    match form {
        Form::Generic => json!({
            "format": 1, "kind": "notices", "run": run, "about": about, "text": text, "notices": batch,
        }),
        // Angle brackets and ampersands are Slack's own marks for links and people.
        Form::Slack => json!({"text": text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")}),
        Form::Teams => json!({"type": "message", "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.4",
                "body": [{"type": "TextBlock", "text": text.replace('\n', "\n\n"), "wrap": true}],
            },
        }]}),
    }
}
