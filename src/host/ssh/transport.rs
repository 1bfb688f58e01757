//! One call of the system's `ssh`: a fixed script through standard input, quoted arguments, limits, an answer.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use uuid::Uuid;

use super::failure;
use super::script::Script;
use super::settings::{Become, SshSettings};
use super::wire::Answer;
use crate::host::{HostError, HostErrorKind};
use crate::model::{FencingToken, HostName};

/// No answer is longer than this; a host that says more is broken or hostile.
const OUTPUT_MAX: usize = 8 << 20;

/// ssh's own words are a few lines; more is not kept.
const STDERR_MAX: usize = 64 << 10;

/// How long ssh's words are waited for after it ended. OpenSSH before 8.5 leaves them open in the process that keeps the
/// shared connection.
const STDERR_GRACE: Duration = Duration::from_secs(1);

/// For the local program that tells a shared connection to end.
const CONTROL_LIMIT: Duration = Duration::from_secs(5);

/// A socket's path has at most 107 bytes; `%C` is 40 and ssh appends 17 while it makes one, `/` is one.
const CONTROL_FOLDER_MAX: usize = 107 - 40 - 17 - 1;

/// fleetmend's own options for every call.
const OPTIONS: [&str; 9] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    // A host that loses its power is noticed after 9 s; without these a session to it never ends.
    "ServerAliveInterval=3",
    "ServerAliveCountMax=2",
    "ConnectTimeout=10",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "LogLevel=ERROR",
];

/// Whether calls share a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// One that is kept for a minute after its last call.
    Shared,
    /// One for this call alone: the answer cannot come through a connection to a boot that has ended.
    Fresh,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) host: &'a HostName,
    pub(super) script: Script,
    pub(super) arguments: Vec<String>,
    pub(super) connection: Connection,
    pub(super) limit: Duration,
}

/// How calls are made.
#[derive(Debug)]
pub(super) struct Transport {
    settings: SshSettings,
    control: PathBuf,
    /// What commands that change a host show.
    token: Mutex<Option<FencingToken>>,
}

impl Transport {
    /// `folder` is private to the user and takes the sockets of shared connections.
    pub(super) fn new(settings: SshSettings, folder: &Path) -> Result<Self, String> {
        let length = folder.as_os_str().len();
        if length > CONTROL_FOLDER_MAX {
            return Err(format!("`{}` is too long for sockets: at most {CONTROL_FOLDER_MAX} bytes", folder.display()));
        }
        Ok(Self { settings, control: folder.join("%C"), token: Mutex::default() })
    }

    /// Makes the call and returns the answer, whole or broken off; an error when nothing came at all.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, HostError> {
        let error = |kind, message: String| HostError::new(call.host, call.script.operation(), kind, message);
        let nonce = Uuid::new_v4().simple().to_string();
        let unfit = |why| error(HostErrorKind::Failed, why);
        let destination = self.destination(call.host).map_err(unfit)?;
        let remote = self.remote_command(&nonce, &call.arguments).map_err(unfit)?;
        let mut command = Command::new(&self.settings.program);
        command.args(self.options(call.host, call.connection)).args(destination).arg(remote);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let program = self.settings.program.display();
        let child =
            command.spawn().map_err(|why| error(HostErrorKind::Failed, format!("cannot run `{program}`: {why}")))?;
        let ended = timeout(call.limit, converse(child, call.script.text())).await;
        let ended = match ended {
            Ok(Ok(ended)) => ended,
            Ok(Err(why)) => return Err(error(HostErrorKind::Unreachable, format!("the call broke off: {why}"))),
            Err(_) => {
                let seconds = call.limit.as_secs();
                return Err(error(HostErrorKind::TimedOut, format!("no end after {seconds} s")));
            }
        };
        if ended.stdout.len() > OUTPUT_MAX {
            return Err(error(HostErrorKind::Protocol, format!("the answer is longer than {OUTPUT_MAX} bytes")));
        }
        let answer = Answer::read(&ended.stdout, &nonce);
        if answer.status.is_none() && answer.frames.is_empty() {
            let (kind, message) = failure::of_silence(ended.status, &ended.stderr);
            return Err(error(kind, message));
        }
        Ok(answer)
    }

    /// Ends the shared connection to `host`, if there is one. Nothing waits on a boot that is over.
    pub(super) async fn forget_connection(&self, host: &HostName) {
        let Ok(destination) = self.destination(host) else { return };
        let mut command = Command::new(&self.settings.program);
        command.args(self.options(host, Connection::Shared)).args(["-O", "exit"]).args(destination);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let Ok(mut child) = command.spawn() else { return };
        // Without a shared connection it ends with 255; either way none is left.
        let _ = timeout(CONTROL_LIMIT, child.wait()).await;
    }

    /// Options for ssh. Of an option that is given twice it takes the first: the operator's.
    fn options(&self, host: &HostName, connection: Connection) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["-T".into()];
        if let Some(config) = &self.settings.config {
            arguments.extend(["-F".into(), config.into()]);
        }
        if let Some(port) = self.settings.hosts.get(host).and_then(|place| place.port) {
            arguments.extend(["-p".into(), port.to_string().into()]);
        }
        let mut option = |text: OsString| arguments.extend(["-o".into(), text]);
        for given in &self.settings.options {
            option(given.into());
        }
        for own in OPTIONS {
            option(own.into());
        }
        match connection {
            Connection::Shared => {
                option("ControlMaster=auto".into());
                option("ControlPersist=60".into());
                let mut path = OsString::from("ControlPath=");
                path.push(&self.control);
                option(path);
            }
            Connection::Fresh => {
                option("ControlMaster=no".into());
                option("ControlPath=none".into());
            }
        }
        arguments
    }

    /// User and address, as ssh takes them.
    fn destination(&self, host: &HostName) -> Result<Vec<String>, String> {
        let place = self.settings.hosts.get(host);
        let mut arguments = Vec::new();
        if let Some(user) = place.and_then(|place| place.user.as_ref()).or(self.settings.user.as_ref()) {
            arguments.extend(["-l".to_owned(), safe(user)?.to_owned()]);
        }
        let address = place.and_then(|place| place.address.as_deref()).unwrap_or(host.as_str());
        arguments.extend(["--".to_owned(), safe(address)?.to_owned()]);
        Ok(arguments)
    }

    /// From now on each command shows this token.
    pub(super) fn carry(&self, token: FencingToken) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    fn token(&self) -> Option<FencingToken> {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command for the user's login shell on the host: `sh -s` with every argument quoted.
    fn remote_command(&self, nonce: &str, arguments: &[String]) -> Result<String, String> {
        let privilege: &[&str] = match self.settings.privilege {
            Become::None => &["exec"],
            Become::Sudo => &["exec", "sudo", "-n", "--"],
        };
        let exec = &self.settings.exec;
        let common = [
            nonce.to_owned(),
            list(&exec.virsh)?,
            list(&exec.nova_conf)?,
            exec.compute_unit.clone().unwrap_or_default().trim_end_matches(".service").to_owned(),
            self.token().map(|token| token.to_string()).unwrap_or_default(),
        ];
        // LC_ALL=C: lengths are in bytes, and programs speak the English that scripts look for.
        let words = privilege.iter().copied().chain(["env", "LC_ALL=C", "sh", "-s", "--"]);
        let arguments = common.iter().chain(arguments).map(String::as_str);
        shlex::try_join(words.chain(arguments)).map_err(|_| "an argument holds a zero byte".to_owned())
    }
}

/// A list as one argument: an item a line.
pub(super) fn list<S: AsRef<str>>(items: &[S]) -> Result<String, String> {
    let mut joined = String::new();
    for item in items.iter().map(AsRef::as_ref) {
        if item.is_empty() || item.contains(['\n', '\r', '\0']) {
            return Err(format!("`{}` cannot be an item of a list for a script", item.escape_debug()));
        }
        if !joined.is_empty() {
            joined.push('\n');
        }
        joined.push_str(item);
    }
    Ok(joined)
}

/// A user or address that ssh may be given. ssh puts them into commands of its configuration (`ProxyCommand`,
/// `Match exec`), which a local shell runs: host names come from Nova and must not reach it with anything but names.
fn safe(text: &str) -> Result<&str, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-:%[]@+".contains(c);
    if text.is_empty() || text.starts_with('-') || !text.chars().all(good) {
        return Err(format!("`{}` is no user or address that ssh may be given", text.escape_debug()));
    }
    Ok(text)
}

/// What a call left.
struct Ended {
    status: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

/// Sends the script while reading what comes back, so that neither side waits for the other.
async fn converse(mut child: Child, script: &str) -> std::io::Result<Ended> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let send = async {
        if let Some(mut stdin) = stdin {
            // ssh that ends early closes its input; its words say why, not this error.
            let _ = stdin.write_all(script.as_bytes()).await;
            let _ = stdin.shutdown().await;
        }
    };
    let mut words = Vec::new();
    let outcome = {
        let listen = read_up_to(stderr, STDERR_MAX, &mut words);
        tokio::pin!(listen);
        let work = async {
            let mut out = Vec::new();
            let (read, ()) = tokio::join!(read_up_to(stdout, OUTPUT_MAX + 1, &mut out), send);
            read?;
            std::io::Result::Ok((child.wait().await?, out))
        };
        tokio::pin!(work);
        tokio::select! {
            biased;
            ended = &mut work => {
                let ended = ended?;
                let _ = timeout(STDERR_GRACE, listen).await;
                ended
            }
            heard = &mut listen => {
                heard?;
                work.await?
            }
        }
    };
    let (status, stdout) = outcome;
    Ok(Ended { status: status.code(), stdout, stderr: String::from_utf8_lossy(&words).into_owned() })
}

/// Reads to the end, or to `limit` bytes and no further.
async fn read_up_to(from: Option<impl AsyncRead + Unpin>, limit: usize, into: &mut Vec<u8>) -> std::io::Result<()> {
    if let Some(from) = from {
        from.take(limit as u64).read_to_end(into).await?;
    }
    Ok(())
}
