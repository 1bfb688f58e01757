//! The HTTP face of the page.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::control::{Control, request_of};
use super::guard::{Names, sealed};
use super::hub::Hub;
use crate::clock::Clock;
use crate::journal::{Journal, PlacedRequest};
use crate::model::HostName;

const PAGE: &str = include_str!("assets/live.html");
const STYLE: &str = include_str!("assets/live.css");
const SCRIPT: &str = include_str!("assets/live.js");

/// Viewers at once; a change room has a few, and each holds a connection.
const VIEWERS: usize = 200;

/// Says that the line is open; shorter than what proxies wait for.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// A message without data is dropped by browsers. Source: HTML, "Server-sent events", interpreting an event stream.
const NOTHING: &str = "-";

/// What is asked of a run is a few words.
const BODY_MAX: usize = 4096;

/// A page and what it needs.
pub struct Site {
    /// The run.
    pub hub: Arc<Hub>,
    /// Where requests are placed.
    pub journal: Arc<dyn Journal>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who may ask something of the run; nobody when absent.
    pub control: Option<Control>,
    /// Whose requests those are.
    pub user: String,
    /// Further names under which it may be asked, besides its address.
    pub names: Vec<String>,
}

/// A site under an address.
struct Face {
    site: Site,
    names: Names,
    viewers: Arc<Semaphore>,
}

/// Serves the page on `listener` until `shutdown` is ready.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    site: Site,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let names = Names::of(listener.local_addr()?, &site.names);
    let face = Arc::new(Face { site, names, viewers: Arc::new(Semaphore::new(VIEWERS)) });
    let router = Router::new()
        .route("/", get(|| async { text("text/html; charset=utf-8", PAGE) }))
        .route("/live.css", get(|| async { text("text/css; charset=utf-8", STYLE) }))
        .route("/live.js", get(|| async { text("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/api/run", get(whole))
        .route("/api/changes", get(changes))
        .route("/api/host/{host}", get(host))
        .route("/api/key", post(key))
        .route("/api/ask", post(ask))
        .route("/metrics", get(metrics))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(from_fn_with_state(Arc::clone(&face), guarded))
        .with_state(face);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

/// What every request goes through.
async fn guarded(State(face): State<Arc<Face>>, request: Request, next: Next) -> Response<Body> {
    let mut answer = if face.names.admit(request.headers()) {
        next.run(request).await
    } else {
        let why = "this page is asked for under a name that is not its own; see `--allow-host`\n";
        (StatusCode::MISDIRECTED_REQUEST, why).into_response()
    };
    for (name, value) in sealed() {
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn text(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut answer = Response::new(Body::from(body.into()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn refused(status: StatusCode, why: &str) -> Response<Body> {
    (status, Json(json!({"error": why}))).into_response()
}

async fn whole(State(face): State<Arc<Face>>) -> Response<Body> {
    let whole = face.site.hub.board().whole();
    let mut answer = text("application/json", whole);
    let control = if face.site.control.is_some() { "key" } else { "none" };
    answer.headers_mut().insert("fleetmend-control", HeaderValue::from_static(control));
    answer
}

async fn host(State(face): State<Arc<Face>>, Path(host): Path<String>) -> Response<Body> {
    match face.site.hub.board().host(&HostName::new(host)) {
        Some(detail) => text("application/json", detail),
        None => refused(StatusCode::NOT_FOUND, "the run does not plan a host of that name"),
    }
}

async fn metrics(State(face): State<Arc<Face>>) -> Response<Body> {
    text("text/plain; version=0.0.4; charset=utf-8", face.site.hub.board().metrics())
}

/// Changes as they come. A viewer that is too far behind is told so, and begins anew.
async fn changes(State(face): State<Arc<Face>>) -> Response<Body> {
    let Ok(place) = Arc::clone(&face.viewers).try_acquire_owned() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "too many viewers");
    };
    let alive = KeepAlive::new().interval(ALIVE_EVERY);
    Sse::new(told(&face.site.hub, place)).keep_alive(alive).into_response()
}

fn told(hub: &Hub, place: OwnedSemaphorePermit) -> impl Stream<Item = Result<Message, Infallible>> + use<> {
    use futures_util::StreamExt as _;

    let hello = Message::default().event("hello").data(NOTHING);
    let changes = stream::unfold((hub.watch(), place), |(mut changes, place)| async move {
        let message = match changes.recv().await {
            Ok(change) => Message::default().data(&*change),
            Err(RecvError::Lagged(_)) => Message::default().event("behind").data(NOTHING),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(message), (changes, place)))
    });
    stream::once(async move { Ok(hello) }).chain(changes)
}

/// A key that is shown once for a token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    key: String,
}

/// What is asked of the run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    ask: String,
    host: Option<String>,
}

/// The body as JSON; only where it is called so, which no other site can do unasked.
fn body<'a, T: Deserialize<'a>>(headers: &HeaderMap, bytes: &'a Bytes) -> Option<T> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim() == "application/json");
    if is_json && bytes.len() <= BODY_MAX { serde_json::from_slice(bytes).ok() } else { None }
}

async fn key(State(face): State<Arc<Face>>, headers: HeaderMap, bytes: Bytes) -> Response<Body> {
    let Some(control) = &face.site.control else { return refused(StatusCode::FORBIDDEN, NO_CONTROL) };
    let Some(Key { key }) = body(&headers, &bytes) else { return refused(StatusCode::BAD_REQUEST, NOT_JSON) };
    match control.token_for(&key) {
        Some(token) => Json(json!({"token": token})).into_response(),
        None => refused(StatusCode::FORBIDDEN, "that key is wrong or was used; the terminal prints one a start"),
    }
}

const NO_CONTROL: &str = "this page only shows; `--allow-control` lets it ask";
const NOT_JSON: &str = "JSON is needed, with `ask` and for a host `host`";

async fn ask(State(face): State<Arc<Face>>, headers: HeaderMap, bytes: Bytes) -> Response<Body> {
    let Some(control) = &face.site.control else { return refused(StatusCode::FORBIDDEN, NO_CONTROL) };
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if !shown.and_then(|shown| shown.strip_prefix("Bearer ")).is_some_and(|token| control.admits(token)) {
        return refused(StatusCode::UNAUTHORIZED, "a token is needed");
    }
    let Some(asked) = body::<Asked>(&headers, &bytes) else { return refused(StatusCode::BAD_REQUEST, NOT_JSON) };
    let Some(request) = request_of(&asked.ask, asked.host.as_deref()) else {
        return refused(StatusCode::BAD_REQUEST, "nothing that a page may ask");
    };
    let known = |host: &String| face.site.hub.board().state().hosts().contains_key(&HostName::new(host));
    if !asked.host.as_ref().is_none_or(known) {
        return refused(StatusCode::NOT_FOUND, "the run does not plan a host of that name");
    }
    let placed = PlacedRequest { request, by: format!("{}, from the page", face.site.user), at: face.site.clock.now() };
    match face.site.journal.place_request(face.site.hub.run(), &placed).await {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({"placed": asked.ask}))).into_response(),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
