//! A simulated region over real HTTP: Keystone v3, Nova 2.1 and Placement under one address, as DevStack lays them
//! out, and the simulated hosts beside them. For `demo` and `lab --listen`, and for tests of the real adapter.
//!
//! Loopback only: it is the caller who binds the listener. Prints nothing.

mod access;
mod answer;
pub(in crate::sim) mod hosts;
mod nova;
mod placement;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub use access::{Access, Role};

use super::faults::ApiFault;
use super::ports::SimRegion;
use super::world::{World, dice, uuid};
use crate::host::HostErrorKind;
use crate::model::{HostName, RequestId};
use access::Token;
use answer::{Answer, Ask, ErrorForm, response, status_of};

/// The largest request body that is read.
const BODY_MAX: usize = 1 << 20;

/// How long an answer that does not come is held back; clients give up earlier.
const SILENCE: Duration = Duration::from_secs(120);

/// How long the simulator's ssh tries before it says that nobody answers, in the region's time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What a refusal of credentials says.
const UNAUTHORIZED: &str = "The request you have made requires authentication.";

/// The face of one region.
struct Face {
    region: Arc<SimRegion>,
    access: Access,
    base: String,
    tokens: Mutex<BTreeMap<String, Token>>,
}

/// The base URL of a region served on `listener`.
pub fn base_url(listener: &TcpListener) -> std::io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Serves `region` on `listener` until `shutdown` is ready.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    region: Arc<SimRegion>,
    access: Access,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let base = base_url(&listener)?;
    let face = Arc::new(Face { region, access, base, tokens: Mutex::default() });
    let router = Router::new().fallback(handle).with_state(face);
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

/// One request as it came, its body read.
struct Raw {
    method: Method,
    path: Vec<String>,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
}

impl Raw {
    async fn read(request: Request) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let decoded =
            |text: &str| url::form_urlencoded::parse(format!("={text}").as_bytes()).next().map(|(_, v)| v.into());
        let segments = parts.uri.path().split('/').filter(|segment| !segment.is_empty());
        // A plus sign stands for itself in a path.
        let path = segments.filter_map(|segment| decoded(&segment.replace('+', "%2B"))).collect();
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let query = query.map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        let body = to_bytes(body, BODY_MAX).await.ok()?;
        Some(Self { method: parts.method, path, query, headers: parts.headers, body })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body; null when there is none, `None` when it is no JSON.
    fn json(&self) -> Option<Value> {
        if self.body.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&self.body).ok() }
    }
}

async fn handle(State(face): State<Arc<Face>>, request: Request) -> Response<Body> {
    let Some(raw) = Raw::read(request).await else {
        return response(StatusCode::PAYLOAD_TOO_LARGE, None, &[]);
    };
    let path: Vec<&str> = raw.path.iter().map(String::as_str).collect();
    match path[..] {
        ["identity", ..] => face.identity(&raw).await,
        ["compute"] => face.plain(&face.compute_versions(true)),
        ["compute", "v2.1"] => face.plain(&face.compute_versions(false)),
        ["compute", "v2.1", ..] => face.service(&raw, Service::Nova).await,
        ["placement"] => face.plain(&placement_versions()),
        ["placement", ..] => face.service(&raw, Service::Placement).await,
        ["fleetmend-sim", "v1", "hosts", host, operation] => face.host(&raw, host, operation).await,
        _ => response(StatusCode::NOT_FOUND, None, &[]),
    }
}

/// The two services behind tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Nova,
    Placement,
}

impl Service {
    fn form(self) -> ErrorForm {
        match self {
            Self::Nova => ErrorForm::Nova,
            Self::Placement => ErrorForm::Placement,
        }
    }

    fn header(self) -> &'static str {
        match self {
            Self::Nova => "compute",
            Self::Placement => "placement",
        }
    }

    fn offered(self) -> (answer::Version, answer::Version) {
        match self {
            Self::Nova => (nova::OLDEST, nova::NEWEST),
            Self::Placement => ((1, 0), (1, 39)),
        }
    }

    /// How many of the path's first parts lead to it.
    fn prefix(self) -> usize {
        match self {
            Self::Nova => 2,
            Self::Placement => 1,
        }
    }
}

/// The microversion that a request asks for; `None` when the service does not have it.
fn version(raw: &Raw, service: Service) -> Option<answer::Version> {
    let (oldest, newest) = service.offered();
    let asked = raw.header("openstack-api-version").and_then(|text| text.strip_prefix(service.header()));
    let Some(asked) = asked.map(str::trim) else { return Some(oldest) };
    if asked == "latest" {
        return Some(newest);
    }
    let (major, minor) = asked.split_once('.')?;
    let version = (major.parse().ok()?, minor.parse().ok()?);
    (oldest <= version && version <= newest).then_some(version)
}

fn placement_versions() -> Value {
    // Placement really links to itself with an empty address.
    json!({"versions": [{"id": "v1.0", "max_version": "1.39", "min_version": "1.0", "status": "CURRENT",
                         "links": [{"rel": "self", "href": ""}]}]})
}

impl Face {
    fn compute_versions(&self, all: bool) -> Value {
        let text = |(major, minor): answer::Version| format!("{major}.{minor}");
        let version = json!({"id": "v2.1", "status": "CURRENT", "version": text(nova::NEWEST),
            "min_version": text(nova::OLDEST), "updated": "2013-07-23T11:33:21Z",
            "links": [{"rel": "self", "href": format!("{}/compute/v2.1/", self.base)}]});
        if all { json!({"versions": [version]}) } else { json!({"version": version}) }
    }

    fn plain(&self, body: &Value) -> Response<Body> {
        reply(StatusCode::OK, Some(body), &self.next_request(), &[])
    }

    fn error(&self, form: ErrorForm, status: StatusCode, message: &str) -> Response<Body> {
        let request = self.next_request();
        let body = form.body(status, message, &request);
        let more = match status {
            StatusCode::UNAUTHORIZED => {
                vec![("www-authenticate", format!("Keystone uri=\"{}/identity/v3\"", self.base))]
            }
            StatusCode::TOO_MANY_REQUESTS => vec![("retry-after", "1".to_owned())],
            _ => Vec::new(),
        };
        reply(status, Some(&body), &request, &more)
    }

    fn next_request(&self) -> RequestId {
        self.region.with(World::next_request)
    }

    async fn identity(&self, raw: &Raw) -> Response<Body> {
        let path: Vec<&str> = raw.path.iter().skip(1).map(String::as_str).collect();
        let version = json!({"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
            "links": [{"rel": "self", "href": format!("{}/identity/v3/", self.base)}], "media-types": []});
        match (raw.method.as_str(), &path[..]) {
            ("GET", []) => {
                let body = json!({"versions": {"values": [version]}});
                reply(StatusCode::MULTIPLE_CHOICES, Some(&body), &self.next_request(), &[])
            }
            ("GET", ["v3"]) => self.plain(&json!({"version": version})),
            ("POST", ["v3", "auth", "tokens"]) => self.log_in(raw).await,
            _ => self.error(ErrorForm::Keystone, StatusCode::NOT_FOUND, "The resource could not be found."),
        }
    }

    async fn log_in(&self, raw: &Raw) -> Response<Body> {
        if let Some(response) = self.pass_or_fail("log_in", ErrorForm::Keystone).await {
            return response;
        }
        let Some(body) = raw.json() else {
            return self.error(ErrorForm::Keystone, StatusCode::BAD_REQUEST, "Expecting to find valid JSON.");
        };
        let known = body["auth"]["identity"]["token"]["id"].as_str().and_then(|id| self.token(id));
        let (now, seed, region) = self.region.with(|world| (world.now(), world.seed(), world.region().to_owned()));
        let Some(token) = self.access.log_in(&body, now, known) else {
            return self.error(ErrorForm::Keystone, StatusCode::UNAUTHORIZED, UNAUTHORIZED);
        };
        let request = self.next_request();
        let id = uuid(&mut dice(seed, "token", request.as_str(), 0)).simple().to_string();
        let shown = token.shown(&self.base, &region, now, seed);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), token);
        reply(StatusCode::CREATED, Some(&shown), &request, &[("x-subject-token", id)])
    }

    /// A token that was given out and still lasts.
    fn token(&self, id: &str) -> Option<Token> {
        let now = self.region.with(|world| world.now());
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, token| token.expires > now);
        tokens.get(id).cloned()
    }

    /// Waits as long as an answer takes; answers instead where the call is to fail.
    async fn pass_or_fail(&self, operation: &'static str, form: ErrorForm) -> Option<Response<Body>> {
        let (takes, fault) = self.region.with(|world| (world.answer_time(operation), world.api_fault(operation)));
        self.region.pass(takes).await;
        self.fail(fault?, form).await
    }

    /// The answer of a call that fails before it has an effect; `None` for one that fails after it.
    async fn fail(&self, fault: ApiFault, form: ErrorForm) -> Option<Response<Body>> {
        match fault {
            ApiFault::TooManyRequests => {
                Some(self.error(form, StatusCode::TOO_MANY_REQUESTS, "This request was rate-limited."))
            }
            ApiFault::Conflict => {
                Some(self.error(form, StatusCode::CONFLICT, "It is in the middle of something else."))
            }
            ApiFault::ServerError => Some(self.error(form, StatusCode::INTERNAL_SERVER_ERROR, "Unexpected API Error.")),
            // A proxy says this, in its own form.
            ApiFault::Unavailable => {
                let mut response =
                    Response::new(Body::from("<html><body><h1>503 Service Unavailable</h1></body></html>"));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                Some(response)
            }
            ApiFault::Timeout => {
                tokio::time::sleep(SILENCE).await;
                Some(broken())
            }
            ApiFault::Reset => Some(broken()),
            ApiFault::TimeoutAfterEffect | ApiFault::ResetAfterEffect => None,
        }
    }

    async fn service(&self, raw: &Raw, service: Service) -> Response<Body> {
        let form = service.form();
        let token = raw.header("x-auth-token").and_then(|id| self.token(id));
        let Some(token) = token else { return self.error(form, StatusCode::UNAUTHORIZED, UNAUTHORIZED) };
        let Some(version) = version(raw, service) else {
            return self.error(form, StatusCode::NOT_ACCEPTABLE, "The microversion is not supported by the API.");
        };
        let Some(body) = raw.json() else {
            return self.error(form, StatusCode::BAD_REQUEST, "Malformed request body");
        };
        let ask = Ask {
            method: raw.method.clone(),
            path: raw.path.iter().skip(service.prefix()).cloned().collect(),
            root: match service {
                Service::Nova => format!("{}/compute/v2.1", self.base),
                Service::Placement => format!("{}/placement", self.base),
            },
            query: raw.query.clone(),
            version,
            role: token.role,
            body,
        };
        let route = match service {
            Service::Nova => nova::route(&ask),
            Service::Placement => placement::route(&ask),
        };
        let Some(route) = route else {
            return self.error(form, StatusCode::NOT_FOUND, "The resource could not be found.");
        };
        let (takes, fault) =
            self.region.with(|world| (world.answer_time(route.operation), world.api_fault(route.operation)));
        self.region.pass(takes).await;
        if let Some(fault) = fault
            && let Some(response) = self.fail(fault, form).await
        {
            return response;
        }
        let answered = self.region.with(|world| (route.run)(world, &ask));
        if let Some(fault) = fault {
            // It had its effect; the answer is lost.
            if fault == ApiFault::TimeoutAfterEffect {
                tokio::time::sleep(SILENCE).await;
            }
            return broken();
        }
        self.answer(service, version, answered)
    }

    fn answer(&self, service: Service, version: answer::Version, answered: answer::Answered) -> Response<Body> {
        let Answer { status, body, request } = match answered {
            Ok(answer) => answer,
            Err(refusal) => return self.error(service.form(), status_of(refusal.kind), &refusal.message),
        };
        let request = request.unwrap_or_else(|| self.next_request());
        let shown = format!("{} {}.{}", service.header(), version.0, version.1);
        reply(status, body.as_ref(), &request, &[("openstack-api-version", shown)])
    }

    async fn host(&self, raw: &Raw, host: &str, word: &str) -> Response<Body> {
        let operation: Option<hosts::Operation> = serde_json::from_slice(&raw.body).ok();
        let Some(operation) = operation.filter(|operation| raw.method == "POST" && operation.word() == word) else {
            return response(StatusCode::BAD_REQUEST, None, &[]);
        };
        let host = HostName::new(host);
        let takes = self.region.with(|world| world.shell_time(&host));
        self.region.pass(takes).await;
        match self.region.with(|world| operation.run(world, &host)) {
            Ok(value) => response(StatusCode::OK, Some(&value), &[]),
            Err(error) => {
                if error.kind == HostErrorKind::Unreachable {
                    self.region.pass(CONNECT_TIMEOUT).await;
                }
                let body = json!({"error": hosts::kind_word(error.kind), "message": error.message});
                response(StatusCode::CONFLICT, Some(&body), &[])
            }
        }
    }
}

/// An answer that carries its request's id, as every answer of OpenStack does.
fn reply(
    status: StatusCode,
    body: Option<&Value>,
    request: &RequestId,
    more: &[(&'static str, String)],
) -> Response<Body> {
    let mut headers = vec![("x-openstack-request-id", request.to_string())];
    headers.extend_from_slice(more);
    response(status, body, &headers)
}

/// A response whose connection breaks before its body ends.
fn broken() -> Response<Body> {
    let cut = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("connection reset")) });
    Response::new(Body::from_stream(cut))
}
