//! Executables of this machine as processes.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use url::Url;

use super::{Call, Ended, Exit, HttpCall, Kept, Outside, Rung, with_host};
use crate::host::PowerOrder;
use crate::http::{JsonAnswer, JsonClient};

/// No output is longer than this; a program that says more is cut off in what is kept, not in what it does.
const OUTPUT_MAX: usize = 4 << 20;

/// How long a service may take to answer: one that needs longer is sick.
pub const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// How long a program that was told to end may take before it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// This machine.
#[derive(Debug, Clone)]
pub struct LocalOutside {
    rungs: Vec<Rung>,
    answers_within: Duration,
}

impl Default for LocalOutside {
    fn default() -> Self {
        Self::new(Vec::new(), ANSWERS_WITHIN)
    }
}

impl LocalOutside {
    /// This machine, with the operator's ladder; services may take `answers_within` to answer.
    pub fn new(rungs: Vec<Rung>, answers_within: Duration) -> Self {
        Self { rungs, answers_within }
    }
}

#[async_trait]
impl Outside for LocalOutside {
    fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    async fn climb(&self, order: &PowerOrder, rung: &Rung) -> Ended {
        let words = match with_host(&rung.command, order.host()) {
            Ok(words) => words,
            Err(why) => return Ended::not_started(why.to_string()),
        };
        let environment = vec![
            ("FLEETMEND_HOST", order.host().to_string()),
            ("FLEETMEND_RUN", order.run().to_string()),
            ("FLEETMEND_BOOT", order.boot().to_owned()),
        ];
        run(&Call { words, input: String::new(), environment, limit: rung.timeout.get() }).await
    }

    async fn run(&self, call: &Call) -> Ended {
        run(call).await
    }

    async fn http(&self, call: &HttpCall) -> Result<JsonAnswer, String> {
        let url: Url = call.url.parse().map_err(|why| format!("`{}` is no address: {why}", call.url.escape_debug()))?;
        let authorization = match &call.authorization_file {
            Some(path) => {
                let read = tokio::fs::read_to_string(path).await;
                Some(read.map_err(|why| format!("`{}` cannot be read: {why}", path.escape_debug()))?.trim().to_owned())
            }
            None => None,
        };
        let client = JsonClient::direct(self.answers_within).map_err(|why| why.to_string())?;
        let answer = client.send(call.method, &url, authorization.as_deref(), call.body.as_ref()).await;
        answer.map_err(|why| chain(&why))
    }
}

/// An error with what lies behind it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Runs a call to its end, or to its limit: then the program and all that it started are ended.
pub(super) async fn run(call: &Call) -> Ended {
    let Some((program, arguments)) = call.words.split_first() else {
        return Ended::not_started("no command was given");
    };
    let mut command = Command::new(program);
    command.args(arguments).envs(call.environment.iter().map(|(name, value)| (*name, value.as_str())));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: Ctrl-C at the terminal is for fleetmend, which waits for what is under way.
    command.process_group(0).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(why) => return Ended::not_started(format!("`{}`: {why}", program.escape_debug())),
    };
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let send = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input ends all the same.
            let _ = stdin.write_all(call.input.as_bytes()).await;
            let _ = stdin.shutdown().await;
        }
    };
    let exit = {
        let talk = async {
            let ((), (), ()) = tokio::join!(read(stdout, &mut out), read(stderr, &mut err), send);
            child.wait().await
        };
        match timeout(call.limit, talk).await {
            Ok(Ok(status)) => status.code().map_or(Exit::Killed, Exit::Status),
            Ok(Err(why)) => Exit::NotStarted(why.to_string()),
            Err(_) => Exit::TimedOut(call.limit),
        }
    };
    if matches!(exit, Exit::TimedOut(_)) {
        end(&mut child, group).await;
    }
    let stdout = String::from_utf8_lossy(&out).into_owned();
    out.extend(err);
    Ended { exit, stdout, kept: Kept::of(&out) }
}

/// Ends a program and all that it started: first by word, then by force.
async fn end(child: &mut Child, group: Option<Pid>) {
    let signal = |signal| group.map(|group| kill_process_group(group, signal));
    // A group that is gone already is what was wanted.
    let _ = signal(Signal::TERM);
    let _ = timeout(ENDS_WITHIN, child.wait()).await;
    let _ = signal(Signal::KILL);
    let _ = timeout(ENDS_WITHIN, child.wait()).await;
}

/// Reads to the end; what is beyond the limit is read and dropped, so that the program is not held up.
async fn read(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) {
    let Some(mut from) = from else { return };
    let mut piece = vec![0; 16 << 10];
    while let Ok(count) = from.read(&mut piece).await {
        if count == 0 {
            return;
        }
        let room = OUTPUT_MAX.saturating_sub(into.len());
        into.extend_from_slice(&piece[..count.min(room)]);
    }
}
