//! Notices against a real HTTP server that fails, hangs and recovers, a mail relay and a program.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use fleetmend::model::{HostName, RunId};
use fleetmend::notify::{Courier, Form, Mail, MailWay, Notice, Occasion, Pace, Target, WebhookUrl};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use uuid::Uuid;

/// How the server answers, first to last; well when nothing is left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Fail,
    Hang,
}

#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<Vec<Answer>>>,
    heard: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<u32>>,
}

async fn hook(State(server): State<Server>, body: Bytes) -> StatusCode {
    *server.asked.lock().unwrap() += 1;
    let next = {
        let mut answers = server.answers.lock().unwrap();
        if answers.is_empty() { None } else { Some(answers.remove(0)) }
    };
    match next {
        Some(Answer::Fail) => return StatusCode::SERVICE_UNAVAILABLE,
        Some(Answer::Hang) => std::future::pending().await,
        None => {}
    }
    server.heard.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
    StatusCode::OK
}

async fn serve(answers: &[Answer]) -> (Server, WebhookUrl) {
    let server = Server { answers: Arc::new(Mutex::new(answers.to_vec())), ..Server::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap()).parse().unwrap();
    let router = Router::new().fallback(hook).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (server, WebhookUrl(url))
}

fn pace() -> Pace {
    Pace {
        between: Duration::from_millis(20),
        attempts: 4,
        again: Duration::from_millis(5),
        limit: Duration::from_millis(300),
    }
}

fn notice(number: usize) -> Notice {
    Notice {
        occasion: Occasion::Quarantined,
        at: jiff::Timestamp::UNIX_EPOCH,
        host: Some(HostName::new(format!("compute-{number}"))),
        text: "quarantined: <!channel> & it did not come back".to_owned(),
    }
}

async fn deliver(targets: Vec<Target>, notices: impl IntoIterator<Item = Notice>) {
    let (sender, receiver) = mpsc::channel(1024);
    for notice in notices {
        sender.try_send(notice).unwrap();
    }
    drop(sender);
    let courier = Courier { run: RunId::new(Uuid::nil()), about: "mds in RegionOne".to_owned(), targets, pace: pace() };
    tokio::time::timeout(Duration::from_secs(60), courier.deliver(receiver)).await.expect("it comes to an end");
}

fn webhook(url: WebhookUrl, form: Form, on: &[Occasion]) -> Target {
    Target::Webhook { url, form, on: on.to_vec() }
}

#[tokio::test]
async fn a_server_that_fails_and_hangs_is_told_once_it_recovers() {
    let (server, url) = serve(&[Answer::Fail, Answer::Hang, Answer::Fail]).await;
    deliver(vec![webhook(url, Form::Generic, &[])], [notice(1)]).await;
    assert_eq!(*server.asked.lock().unwrap(), 4);
    let heard = server.heard.lock().unwrap();
    assert_eq!(heard.len(), 1);
    assert_eq!((&heard[0]["kind"], &heard[0]["notices"][0]["host"]), (&"notices".into(), &"compute-1".into()));
}

#[tokio::test]
async fn a_server_that_never_recovers_is_given_up_and_keeps_no_other_waiting() {
    let (deaf, nowhere) = serve(&[Answer::Hang; 8]).await;
    let (server, url) = serve(&[]).await;
    deliver(vec![webhook(nowhere, Form::Slack, &[]), webhook(url, Form::Slack, &[])], [notice(1)]).await;
    assert_eq!(*deaf.asked.lock().unwrap(), 4);
    assert_eq!(server.heard.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_comes_together_goes_out_together_and_no_name_calls_everybody() {
    let (server, url) = serve(&[]).await;
    deliver(vec![webhook(url, Form::Slack, &[])], (1..=300).map(notice)).await;
    let heard = server.heard.lock().unwrap();
    assert!(heard.len() <= 2, "{} messages for 300 notices", heard.len());
    let text = heard.last().unwrap()["text"].as_str().unwrap();
    assert!(text.contains("&lt;!channel&gt; &amp; it") && !text.contains("<!channel>"), "{text}");
    assert!(text.contains("more: `fleetmend status"), "{text}");
}

#[tokio::test]
async fn each_place_hears_what_it_asked_for_in_its_own_form() {
    let (teams, url) = serve(&[]).await;
    let (quiet, other) = serve(&[]).await;
    let targets = vec![webhook(url, Form::Teams, &[]), webhook(other, Form::Generic, &[Occasion::Ended])];
    deliver(targets, [notice(1)]).await;
    let heard = teams.heard.lock().unwrap();
    assert_eq!(heard[0]["attachments"][0]["content"]["type"], "AdaptiveCard");
    assert!(quiet.heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn mail_is_handed_to_a_relay_and_a_program_reads_json() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap().to_string();
    let letter = tokio::spawn(async move {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        let mut said = Vec::new();
        let mut in_letter = false;
        stream.get_mut().write_all(b"220 relay\r\n").await.unwrap();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap() == 0 {
                return said;
            }
            let answer = match line.trim_end() {
                "." => {
                    in_letter = false;
                    "250 taken\r\n"
                }
                _ if in_letter => "",
                "DATA" => {
                    in_letter = true;
                    "354 go on\r\n"
                }
                hello if hello.starts_with("EHLO") => "250-relay\r\n250 8BITMIME\r\n",
                _ => "250 well\r\n",
            };
            said.push(line);
            stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told");
    let mail = |way| Mail { to: vec!["ops@example".to_owned()], from: "f@example".to_owned(), way, on: Vec::new() };
    let script = format!("cat > {}", file.display());
    let words = ["sh", "-c", script.as_str()].map(str::to_owned).to_vec();
    let targets = vec![Target::Mail(mail(MailWay::Smtp(relay))), Target::Command { words, on: Vec::new() }];
    deliver(targets, [notice(7)]).await;
    let said = letter.await.unwrap().concat();
    for part in [
        "MAIL FROM:<f@example>\r\n",
        "RCPT TO:<ops@example>\r\n",
        "Subject: fleetmend: mds in RegionOne: compute-7: quar",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let told: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(told["notices"][0]["occasion"], "quarantined");
}
