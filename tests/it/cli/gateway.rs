//! A gateway before a simulated region: passes each request on and writes it down.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use tokio::net::TcpListener;

/// No request or answer of a small region is larger.
const BODY_MAX: usize = 64 << 20;

/// Operations on hosts that only look; every one is a POST, because it carries what is asked.
const LOOKS_AT_HOSTS: [&str; 5] = ["collect", "identity", "boot", "domains", "job"];

/// What was asked through a gateway: `GET /compute/v2.1/servers/detail`.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// All requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Requests that are more than a look or a login.
    pub fn changes(&self) -> Vec<String> {
        self.requests().into_iter().filter(|request| !only_looks(request)).collect()
    }
}

fn only_looks(request: &str) -> bool {
    let (method, path) = request.split_once(' ').unwrap();
    let host_operation = path.strip_prefix("/fleetmend-sim/v1/hosts/").and_then(|rest| rest.split('/').nth(1));
    method == "GET"
        || path == "/identity/v3/auth/tokens"
        || host_operation.is_some_and(|operation| LOOKS_AT_HOSTS.contains(&operation))
}

/// How a gateway reaches the region, and under which address it is known itself.
#[derive(Clone)]
struct Way {
    client: reqwest::Client,
    region: String,
    own: String,
    log: Log,
}

/// A router that passes everything on to the region at `region`; clients know it as `own`.
pub fn router(region: &str, own: &str, log: Log) -> Router {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let way = Way { client, region: region.to_owned(), own: own.to_owned(), log };
    Router::new().fallback(pass).with_state(way)
}

/// Serves a gateway on a port of the kernel's choice and tells its address.
pub async fn serve(region: &str, log: Log) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}", listener.local_addr().unwrap());
    let router = router(region, &own, log);
    tokio::spawn(async move { axum::serve(listener, router).await });
    own
}

async fn pass(State(way): State<Way>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    way.log.0.lock().unwrap().push(format!("{} {}", parts.method, parts.uri.path()));
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut asked = way.client.request(parts.method.clone(), format!("{}{target}", way.region));
    for (name, value) in parts.headers.iter().filter(|(name, _)| **name != header::HOST) {
        asked = asked.header(name, value);
    }
    let Ok(answer) = asked.body(to_bytes(body, BODY_MAX).await.unwrap()).send().await else {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap();
    };
    let mut passed = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| **name != header::CONTENT_LENGTH) {
        passed = passed.header(name, value);
    }
    // The catalog and links lead back through the gateway.
    let text = answer.text().await.unwrap().replace(&way.region, &way.own);
    passed.body(Body::from(text)).unwrap()
}
