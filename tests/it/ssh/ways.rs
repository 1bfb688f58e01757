//! The ways in which the real `ssh` fails before it reaches a shell, each provoked on this machine, and the word for each.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};

use fleetmend::host::ssh::{HostAddress, SshSettings, SshShell};
use fleetmend::host::{HostError, HostErrorKind, HostShell as _};

use super::fake::host;

/// Asks for the boot through the system's ssh, which reads no configuration of whoever runs the tests. Through a shared
/// connection a jump host's own words are lost: ssh sends them nowhere when the connection is to outlive the call.
async fn refused(address: &str, port: u16, options: &[&str]) -> HostError {
    let folder = tempfile::Builder::new().prefix("fm").tempdir().unwrap();
    let mut settings = SshSettings {
        config: Some("/dev/null".into()),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..SshSettings::default()
    };
    let place = HostAddress { address: Some(address.to_owned()), port: Some(port), user: Some("nobody".to_owned()) };
    settings.hosts.insert(host(), place);
    let shell = SshShell::new(settings, folder.path()).unwrap();
    shell.boot(&host()).await.unwrap_err()
}

/// A port on which nobody listens: it was given out a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A port whose listener does this with the first connection.
fn served(answer: impl FnOnce(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || answer(listener.accept().unwrap().0));
    port
}

#[track_caller]
fn says(error: &HostError, kind: HostErrorKind, words: &str) {
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(words), "{error}");
    assert!(!error.message.contains(['\n', '\r', '\u{1b}']), "{error:?}");
}

#[tokio::test]
async fn a_host_that_refuses_hangs_or_hangs_up_is_unreachable_and_says_how() {
    let error = refused("127.0.0.1", free_port(), &[]).await;
    says(&error, HostErrorKind::Unreachable, "Connection refused");

    let error = refused("no-such-host.invalid", 22, &[]).await;
    says(&error, HostErrorKind::Unreachable, "resolve hostname");

    let hangs = served(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let error = refused("127.0.0.1", hangs, &["ConnectTimeout=1"]).await;
    says(&error, HostErrorKind::Unreachable, "banner exchange");

    let hangs_up = served(|stream| drop(stream.shutdown(Shutdown::Both)));
    let error = refused("127.0.0.1", hangs_up, &[]).await;
    says(&error, HostErrorKind::Unreachable, "kex_exchange_identification");

    let other_protocol = served(|mut stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\x1b[2J\r\n")));
    let error = refused("127.0.0.1", other_protocol, &["ConnectTimeout=1"]).await;
    says(&error, HostErrorKind::Unreachable, "");
}

#[tokio::test]
async fn a_jump_host_that_fails_is_told_from_the_host() {
    let jump = format!("ProxyJump=nobody@127.0.0.1:{}", free_port());
    let error = refused("10.255.255.1", 22, &[&jump, "ConnectTimeout=5"]).await;
    says(&error, HostErrorKind::Unreachable, "through the jump host: ");
    assert!(error.message.contains("Connection refused"), "{error}");
}
