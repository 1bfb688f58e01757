//! A small cloud that plays scripted answers and remembers what it was asked.

#![expect(clippy::unwrap_used, reason = "a test's stage: what fails here fails the test")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use fleetmend::cloud::openstack::{OpenStack, Pace};
use fleetmend::cloud::{CloudError, CloudResult};
use fleetmend::config::clouds::{CloudConfig, Environment, Wanted, load};
use serde_json::{Value, json};

/// The password that must show nowhere.
pub const PASSWORD: &str = "marked-password";

/// The token that must show nowhere; each login gives it with a number behind.
pub const TOKEN: &str = "marked-token-";

/// What the script does with a request.
#[derive(Clone)]
pub enum Reply {
    /// Answers.
    Say { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// Never answers.
    Hang,
    /// Breaks the connection in the middle of its answer.
    Break,
}

/// 200 with JSON.
pub fn ok(body: &Value) -> Reply {
    say(200, body)
}

/// A status with JSON.
pub fn say(status: u16, body: &Value) -> Reply {
    Reply::Say { status, headers: Vec::new(), body: body.to_string() }
}

impl Reply {
    /// Adds a header.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Say { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

/// A request that was seen.
#[derive(Clone)]
pub struct Seen {
    pub line: String,
    pub version: Option<String>,
    pub token: Option<String>,
    pub body: Value,
}

struct Stage {
    replies: BTreeMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    url: String,
    logins: u32,
}

/// The cloud.
pub struct Script {
    stage: Arc<Mutex<Stage>>,
    url: String,
}

impl Script {
    /// A cloud that lets everybody in and whose services offer `nova` and `placement` at most.
    pub async fn offering(nova: &str, placement: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stage = Stage { replies: BTreeMap::new(), seen: Vec::new(), url: url.clone(), logins: 0 };
        let stage = Arc::new(Mutex::new(stage));
        let app = Router::new().fallback(answer).with_state(stage.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let script = Self { stage, url };
        script.on("GET /v2.1/", [ok(&json!({"version": {"id": "v2.1", "version": nova}}))]);
        let version = json!({"id": "v1.0", "max_version": placement, "links": [{"rel": "self", "href": ""}]});
        script.on("GET /placement/", [ok(&json!({"versions": [version]}))]);
        script
    }

    /// A cloud of today.
    pub async fn new() -> Self {
        Self::offering("2.104", "1.39").await
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// What is answered to a request line; the last reply is repeated.
    pub fn on(&self, line: &str, replies: impl IntoIterator<Item = Reply>) {
        self.stage.lock().unwrap().replies.insert(line.to_owned(), replies.into_iter().collect());
    }

    /// The configuration that leads here, with `more` lines beside `auth`.
    pub fn config(&self, more: &str) -> CloudConfig {
        let text = format!(
            "clouds:\n  c:\n    region_name: R1\n    auth:\n      auth_url: {}/identity\n      username: ada\n      \
             password: {PASSWORD}\n      user_domain_name: Default\n      project_id: p1\n{more}",
            self.url
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("clouds.yaml"), text).unwrap();
        let environment = Environment { working_directory: folder.path().to_owned(), ..Environment::default() };
        load(&environment, &Wanted::default()).unwrap()
    }

    /// A session with short pauses.
    pub async fn connect(&self) -> CloudResult<OpenStack> {
        OpenStack::connect(&self.config(""), quick()).await
    }

    /// Requests seen whose line contains `part`, in order.
    pub fn seen(&self, part: &str) -> Vec<Seen> {
        self.stage.lock().unwrap().seen.iter().filter(|seen| seen.line.contains(part)).cloned().collect()
    }

    /// Their lines.
    pub fn lines(&self, part: &str) -> Vec<String> {
        self.seen(part).into_iter().map(|seen| seen.line).collect()
    }
}

/// Pauses that a test can wait for; a timeout that a hanging answer meets soon.
pub fn quick() -> Pace {
    let millis = Duration::from_millis;
    Pace { timeout: millis(300), first_pause: millis(1), longest_pause: millis(2), ..Pace::default() }
}

/// An error with all its causes, in every form in which it can be shown.
pub fn shown(error: &CloudError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text} {inner} {inner:?}");
        cause = inner.source();
    }
    text
}

async fn answer(
    State(stage): State<Arc<Mutex<Stage>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let line = format!("{method} {uri}");
    let reply = {
        let mut stage = stage.lock().unwrap();
        stage.seen.push(Seen {
            line: line.clone(),
            version: text("openstack-api-version"),
            token: text("x-auth-token"),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        });
        next_reply(&mut stage, &line)
    };
    match reply {
        Reply::Hang => std::future::pending().await,
        Reply::Break => {
            let pieces = [Ok(Bytes::from("{")), Err(std::io::Error::other("cut"))];
            Response::new(Body::from_stream(futures_util::stream::iter(pieces)))
        }
        Reply::Say { status, headers, body } => {
            let mut response = Response::builder().status(status).header("content-type", "application/json");
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
    }
}

fn next_reply(stage: &mut Stage, line: &str) -> Reply {
    if let Some(queue) = stage.replies.get_mut(line) {
        let reply = queue.pop_front().expect("a line has at least one reply");
        if queue.is_empty() {
            queue.push_back(reply.clone());
        }
        return reply;
    }
    if line == "POST /identity/v3/auth/tokens" {
        stage.logins += 1;
        return ok(&token(&stage.url)).with("x-subject-token", &format!("{TOKEN}{}", stage.logins));
    }
    say(404, &json!({"itemNotFound": {"code": 404, "message": format!("not scripted: {line}")}}))
}

/// A token with the catalog of this cloud.
pub fn token(url: &str) -> Value {
    let service = |kind: &str, path: &str| {
        let endpoint = |interface: &str, region: &str| json!({"interface": interface, "region": region, "region_id": region, "url": format!("{url}{path}")});
        json!({"type": kind, "name": kind, "endpoints": [endpoint("public", "R1"), endpoint("internal", "R1")]})
    };
    json!({"token": {"catalog": [service("compute", "/v2.1"), service("placement", "/placement")],
                     "issued_at": "2026-11-22T12:00:00.000000Z", "expires_at": "2026-11-22T13:00:00.000000Z"}})
}
