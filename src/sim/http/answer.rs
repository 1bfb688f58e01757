//! Requests as the simulated services see them, and answers in the services' own forms.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::Role;
use crate::model::{InstanceId, RequestId};
use crate::sim::world::{Caller, Refusal, RefusalKind};

/// A microversion: major, minor.
pub(super) type Version = (u16, u16);

/// A request to one of the services.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// Below the service's root, without its version.
    pub(super) path: Vec<String>,
    /// The service's own URL, for links.
    pub(super) root: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) version: Version,
    pub(super) role: Role,
    pub(super) body: Value,
}

impl Ask {
    /// The value of a query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The instance whose id is the path's second part.
    pub(super) fn instance(&self) -> Result<InstanceId, Refusal> {
        let text = self.path.get(1).map_or("", String::as_str);
        text.parse().map_err(|_| Refusal::not_found(format!("Instance {text} could not be found.")))
    }

    /// The migration whose number is the path's fourth part.
    pub(super) fn migration(&self) -> Result<u64, Refusal> {
        let text = self.path.get(3).map_or("", String::as_str);
        text.parse().map_err(|_| Refusal::not_found(format!("Migration {text} could not be found.")))
    }

    /// In whose name it is.
    pub(super) fn caller(&self) -> Caller {
        match self.role {
            Role::Admin => Caller::Operator,
            Role::Member(_) => Caller::Owner,
        }
    }
}

/// A service's answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Option<Value>,
    /// The request's id where the world has given one; a change is found by it in the instance's actions.
    pub(super) request: Option<RequestId>,
}

impl Answer {
    /// 200 with a body.
    pub(super) fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body: Some(body), request: None }
    }

    /// A change that was accepted, without a body.
    pub(super) fn accepted(status: StatusCode, request: RequestId) -> Self {
        Self { status, body: None, request: Some(request) }
    }
}

/// What answers a request: a body, or Nova's words against it.
pub(super) type Answered = Result<Answer, Refusal>;

/// The form in which a service tells an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorForm {
    Keystone,
    Nova,
    Placement,
}

impl ErrorForm {
    /// The body of an error.
    pub(super) fn body(self, status: StatusCode, message: &str, request: &RequestId) -> Value {
        let code = status.as_u16();
        let title = status.canonical_reason().unwrap_or_default();
        match self {
            // Nova's and Placement's 401 come from Keystone's middleware, in its form.
            Self::Keystone => json!({"error": {"code": code, "title": title, "message": message}}),
            Self::Nova | Self::Placement if code == 401 => {
                json!({"error": {"code": code, "title": title, "message": message}})
            }
            Self::Nova => {
                let name = match code {
                    400 => "badRequest",
                    403 => "forbidden",
                    404 => "itemNotFound",
                    409 => "conflictingRequest",
                    413 | 429 => "overLimit",
                    503 => "serviceUnavailable",
                    _ => "computeFault",
                };
                json!({name: {"code": code, "message": message}})
            }
            Self::Placement => json!({"errors": [{"status": code, "title": title, "detail": message,
                                                  "code": "placement.undefined_code", "request_id": request}]}),
        }
    }
}

/// The status of a refusal.
pub(super) fn status_of(kind: RefusalKind) -> StatusCode {
    StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// An HTTP response with a JSON body, or none.
pub(super) fn response(status: StatusCode, body: Option<&Value>, headers: &[(&'static str, String)]) -> Response<Body> {
    let mut response = Response::new(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
    *response.status_mut() = status;
    if body.is_some() {
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    }
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

/// A time as OpenStack writes it: whole seconds, `zone` behind them.
pub(super) fn stamp(at: Timestamp, zone: &str) -> String {
    format!("{}.000000{zone}", at.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// A time as Nova writes it in a few places: whole seconds and `Z`.
pub(super) fn short_stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
