//! What it means when ssh ends without an answer, told from its words: ssh has one status, 255, for all of it.

use crate::host::{HostErrorKind, excerpt};

/// Words of OpenSSH's client and sudo, in lower case, and what they mean; the first that is found decides. A changed host
/// key also ends in "host key verification failed", a refused key also in "connection closed".
const WORDS: [(&str, HostErrorKind); 30] = [
    ("remote host identification has changed", HostErrorKind::HostKey),
    ("host key verification failed", HostErrorKind::HostKey),
    ("host key is known for", HostErrorKind::HostKey),
    ("host key has changed", HostErrorKind::HostKey),
    ("revoked host key", HostErrorKind::HostKey),
    ("permission denied", HostErrorKind::AccessDenied),
    ("too many authentication failures", HostErrorKind::AccessDenied),
    ("account is currently not available", HostErrorKind::AccessDenied),
    ("account has expired", HostErrorKind::AccessDenied),
    ("password has expired", HostErrorKind::AccessDenied),
    ("system is booting up", HostErrorKind::Unreachable),
    ("system is going down", HostErrorKind::Unreachable),
    ("could not resolve hostname", HostErrorKind::Unreachable),
    ("name or service not known", HostErrorKind::Unreachable),
    ("no route to host", HostErrorKind::Unreachable),
    ("network is unreachable", HostErrorKind::Unreachable),
    ("connection refused", HostErrorKind::Unreachable),
    ("connection timed out", HostErrorKind::Unreachable),
    ("operation timed out", HostErrorKind::Unreachable),
    ("not responding", HostErrorKind::Unreachable),
    ("connection reset", HostErrorKind::Unreachable),
    ("connection closed", HostErrorKind::Unreachable),
    ("connection to ", HostErrorKind::Unreachable),
    ("broken pipe", HostErrorKind::Unreachable),
    ("kex_exchange_identification", HostErrorKind::Unreachable),
    ("banner exchange", HostErrorKind::Unreachable),
    ("mux_client", HostErrorKind::Unreachable),
    ("bad configuration option", HostErrorKind::Failed),
    ("can't open user config file", HostErrorKind::Failed),
    ("unable to negotiate", HostErrorKind::Failed),
];

/// ssh's own exit status.
const SSH_FAILED: i32 = 255;

/// The kind and the words for people, of a call that ended with `status` and `stderr` and no answer.
pub(super) fn of_silence(status: Option<i32>, stderr: &str) -> (HostErrorKind, String) {
    let lower = stderr.to_lowercase();
    // sudo's own complaints begin with its name; checked first, because "permission denied" may be among its words.
    let by_sudo = status != Some(SSH_FAILED) && lower.lines().any(|line| line.trim_start().starts_with("sudo:"));
    let kind = if by_sudo {
        HostErrorKind::BecomeDenied
    } else {
        let known = WORDS.iter().find(|(words, _)| lower.contains(words)).map(|(_, kind)| *kind);
        match (known, status) {
            // A remote shell may say "permission denied" too; only ssh's own status makes it ssh's word.
            (Some(kind), Some(SSH_FAILED)) => kind,
            (Some(kind @ HostErrorKind::AccessDenied), _) if lower.contains("account") => kind,
            (None, Some(SSH_FAILED) | None) => HostErrorKind::Unreachable,
            (Some(_) | None, _) => HostErrorKind::Protocol,
        }
    };
    let through = if is_of_the_jump_host(&lower) { "through the jump host: " } else { "" };
    (kind, format!("{through}{}", words(kind, status, stderr)))
}

/// Whether the connection broke on its way: the ssh that connects to a jump host says why, and then the one behind it
/// that its own connection closed.
fn is_of_the_jump_host(lower: &str) -> bool {
    let closed = lower.contains("kex_exchange_identification") || lower.contains("unknown port 65535");
    let told = ["connect to host", "could not resolve", "permission denied", "host key verification failed"];
    lower.contains("stdio forwarding failed") || closed && told.iter().any(|words| lower.contains(words))
}

fn words(kind: HostErrorKind, status: Option<i32>, stderr: &str) -> String {
    let said = excerpt(stderr);
    let changed = stderr.to_lowercase().contains("identification has changed");
    match kind {
        HostErrorKind::HostKey if changed => {
            "the host key has changed: another machine answers, or the host was installed anew".to_owned()
        }
        HostErrorKind::HostKey => format!("the host key is not known: {said}"),
        HostErrorKind::AccessDenied => format!("ssh was refused: {said}"),
        HostErrorKind::BecomeDenied => format!("sudo was refused: {said}"),
        HostErrorKind::Protocol => {
            let status = status.map_or_else(|| "a signal".to_owned(), |status| format!("status {status}"));
            format!("no answer, the remote shell ended with {status}: {said}")
        }
        HostErrorKind::Unreachable
        | HostErrorKind::TimedOut
        | HostErrorKind::WrongMachine
        | HostErrorKind::NotQuiet
        | HostErrorKind::Failed => {
            if said.is_empty() {
                "the connection ended without an answer".to_owned()
            } else {
                said
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_openssh_says_is_told_apart() {
        use HostErrorKind::{AccessDenied, BecomeDenied, Failed, HostKey, Protocol, Unreachable};
        let cases = [
            (255, "ssh: connect to host compute-1 port 22: Connection timed out\r\n", Unreachable),
            (255, "ssh: connect to host compute-1 port 22: No route to host\r\n", Unreachable),
            (255, "ssh: connect to host compute-1 port 22: Connection refused\r\n", Unreachable),
            (255, "ssh: Could not resolve hostname compute-1: Name or service not known\r\n", Unreachable),
            (255, "Connection timed out during banner exchange\r\n", Unreachable),
            (255, "Timeout, server compute-1 not responding.\r\n", Unreachable),
            (255, "kex_exchange_identification: Connection closed by remote host\r\n", Unreachable),
            (255, "client_loop: send disconnect: Broken pipe\r\n", Unreachable),
            (255, "mux_client_request_session: read from master failed: Broken pipe\r\n", Unreachable),
            (255, "\"System is booting up. Unprivileged users are not permitted to log in yet.\"", Unreachable),
            (255, "something never heard of", Unreachable),
            (255, "root@compute-1: Permission denied (publickey).\r\n", AccessDenied),
            (255, "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures\r\n", AccessDenied),
            (1, "This account is currently not available.\n", AccessDenied),
            (
                255,
                "No ED25519 host key is known for compute-1 and you have requested strict checking.\r\nHost key verification failed.\r\n",
                HostKey,
            ),
            (
                255,
                "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\nHost key verification failed.\r\n",
                HostKey,
            ),
            (255, "/etc/ssh/x: line 3: Bad configuration option: Foo\r\n", Failed),
            (1, "sudo: a password is required\n", BecomeDenied),
            (1, "sudo: sorry, you must have a tty to run sudo\n", BecomeDenied),
            (127, "bash: sh: command not found\n", Protocol),
            (126, "sh: /bin/sh: Permission denied\n", Protocol),
        ];
        for (status, stderr, kind) in cases {
            assert_eq!(of_silence(Some(status), stderr).0, kind, "{stderr}");
        }
        assert_eq!(of_silence(None, "").0, Unreachable);
    }

    #[test]
    fn a_failure_of_the_jump_host_is_told_as_such() {
        let closed = "kex_exchange_identification: Connection closed by remote host\r\n";
        for (stderr, kind) in [
            ("ssh: connect to host bastion port 22: Connection refused\r\n", HostErrorKind::Unreachable),
            ("ops@bastion: Permission denied (publickey).\r\n", HostErrorKind::AccessDenied),
            ("Host key verification failed.\r\n", HostErrorKind::HostKey),
        ] {
            let (found, words) = of_silence(Some(255), &format!("{stderr}{closed}"));
            assert_eq!(found, kind);
            assert!(words.starts_with("through the jump host: "), "{words}");
            let (_, direct) = of_silence(Some(255), stderr);
            assert!(!direct.contains("jump host"), "{direct}");
        }
        let behind = "channel 0: open failed: connect failed: No route to host\r\nstdio forwarding failed\r\n";
        assert!(of_silence(Some(255), behind).1.starts_with("through the jump host: "));
    }

    #[test]
    fn words_are_one_plain_line() {
        let (_, words) = of_silence(Some(255), "\u{1b}[31mConnection refused\u{1b}[0m\r\n\r\n");
        assert_eq!(words, "Connection refused");
        assert!(of_silence(Some(255), "").1.contains("without an answer"));
    }
}
