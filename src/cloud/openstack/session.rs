//! Requests with a token: login again when it is refused, repeats where they are safe, errors with their request id.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use url::Url;

use super::budget::Budget;
use super::catalog::CatalogEntry;
use super::identity::{self, Token};
use super::retry::{self, Failed, Pace, Repeat};
use super::version::Microversion;
use super::{client, failure};
use crate::cloud::{ApiCost, CloudError, CloudErrorKind, CloudResult};
use crate::config::clouds::{CloudConfig, Secret};
use crate::model::RequestId;

/// A request to one service.
pub(super) struct Call {
    /// What it does, in words: `stop instance 6d1f…`.
    pub(super) operation: String,
    pub(super) method: Method,
    pub(super) url: Url,
    /// Service and microversion of `OpenStack-API-Version`.
    pub(super) version: Option<(&'static str, Microversion)>,
    pub(super) body: Option<Value>,
    pub(super) repeat: Repeat,
}

impl Call {
    /// A request that only reads.
    pub(super) fn get(operation: impl Into<String>, url: Url) -> Self {
        Self {
            operation: operation.into(),
            method: Method::GET,
            url,
            version: None,
            body: None,
            repeat: Repeat::Always,
        }
    }
}

/// An answer that says yes.
pub(super) struct Answer {
    operation: String,
    headers: HeaderMap,
    body: Vec<u8>,
    /// The service's id of the request, else the one that we sent.
    pub(super) request: RequestId,
}

impl Answer {
    /// Its body as `T`.
    pub(super) fn json<T: DeserializeOwned>(&self) -> CloudResult<T> {
        serde_json::from_slice(&self.body).map_err(|error| CloudError {
            request: Some(self.request.clone()),
            source: Some(Box::new(error)),
            ..CloudError::new(CloudErrorKind::Protocol, &self.operation, "the answer is not what the API promises")
        })
    }
}

/// A way to all services of one cloud.
pub(super) struct Session {
    client: Client,
    pace: Pace,
    budget: Budget,
    login: Login,
    /// The token in use; held only to be read or replaced.
    token: Mutex<Option<Arc<Token>>>,
    /// Lets one login happen at a time, however many requests find the token refused.
    turn: Semaphore,
    requests: AtomicU64,
    retries: AtomicU64,
}

/// What a login sends. Not `Debug`: the body holds the password.
struct Login {
    url: Url,
    body: Value,
    secrets: Vec<Secret>,
}

impl Session {
    /// Prepares the connection and logs in.
    pub(super) async fn open(config: &CloudConfig, pace: Pace) -> CloudResult<Self> {
        let login = Login {
            url: identity::tokens_url(config),
            body: identity::body(config),
            secrets: identity::secrets(config),
        };
        let session = Self {
            client: client::build(config, &pace)?,
            budget: Budget::of(pace.per_second),
            pace,
            login,
            token: Mutex::new(None),
            turn: Semaphore::new(1),
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        };
        session.token().await?;
        Ok(session)
    }

    /// What was sent so far.
    pub(super) fn cost(&self) -> ApiCost {
        ApiCost { requests: self.requests.load(Ordering::Relaxed), retries: self.retries.load(Ordering::Relaxed) }
    }

    /// Reads the catalog of the token in use.
    pub(super) async fn with_catalog<T>(&self, read: impl FnOnce(&[CatalogEntry]) -> T) -> CloudResult<T> {
        Ok(read(&self.token().await?.catalog))
    }

    /// Roles that the token in use names.
    pub(super) async fn roles(&self) -> CloudResult<Vec<String>> {
        Ok(self.token().await?.roles.clone())
    }

    /// Sends a request until it is answered for good.
    ///
    /// A refused token is renewed once: a service that answers 401 has not carried the request out.
    pub(super) async fn send(&self, call: Call) -> CloudResult<Answer> {
        let token = self.token().await?;
        match self.attempts(&call, Some(&token.secret)).await {
            Err(error) if error.kind == CloudErrorKind::Unauthorized => {
                let renewed = self.renewed(&token).await?;
                self.attempts(&call, Some(&renewed.secret)).await
            }
            answered => answered,
        }
    }

    /// A token that is not about to end.
    async fn token(&self) -> CloudResult<Arc<Token>> {
        match self.current() {
            Some(token) if !token.is_due() => Ok(token),
            Some(stale) => self.renewed(&stale).await,
            None => self.log_in(None).await,
        }
    }

    async fn renewed(&self, stale: &Arc<Token>) -> CloudResult<Arc<Token>> {
        self.log_in(Some(stale)).await
    }

    /// Logs in, unless another request did so while this one waited for its turn.
    async fn log_in(&self, stale: Option<&Arc<Token>>) -> CloudResult<Arc<Token>> {
        let _turn = self.turn.acquire().await.map_err(|error| CloudError {
            source: Some(Box::new(error)),
            ..CloudError::new(CloudErrorKind::Unauthorized, "log in", "the session is closed")
        })?;
        let current = self.current();
        if let Some(token) = current.filter(|token| !stale.is_some_and(|stale| Arc::ptr_eq(stale, token))) {
            return Ok(token);
        }
        let call = Call {
            operation: format!("log in at {}", self.login.url),
            method: Method::POST,
            url: self.login.url.clone(),
            version: None,
            body: Some(self.login.body.clone()),
            // A login twice is two tokens, and one of them is forgotten.
            repeat: Repeat::Always,
        };
        let answer = self.attempts(&call, None).await?;
        let token = identity::token(&answer.headers, &answer.body).map_err(|message| CloudError {
            request: Some(answer.request.clone()),
            ..CloudError::new(CloudErrorKind::Protocol, &call.operation, message)
        })?;
        let token = Arc::new(token);
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a request, and again where that is safe and may help.
    async fn attempts(&self, call: &Call, token: Option<&Secret>) -> CloudResult<Answer> {
        let mut attempt = 1;
        loop {
            let (error, failed, retry_after) = match self.once(call, token).await {
                Ok(answer) => return Ok(answer),
                Err(Refusal { error, failed, retry_after }) => (error, failed, retry_after),
            };
            let Some(pause) = retry::next(&self.pace, call.repeat, failed, attempt, retry_after, jitter()) else {
                return Err(error);
            };
            tracing::debug!(operation = call.operation, attempt, ?failed, ?pause, "asking again");
            tokio::time::sleep(pause).await;
            self.retries.fetch_add(1, Ordering::Relaxed);
            attempt += 1;
        }
    }

    /// Sends a request once.
    async fn once(&self, call: &Call, token: Option<&Secret>) -> Result<Answer, Refusal> {
        self.budget.turn().await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        // The service logs this id beside its own: also a request without an answer can be looked up.
        let ours = RequestId::new(format!("req-{}", uuid::Uuid::new_v4()));
        let mut request = self.client.request(call.method.clone(), call.url.clone());
        request = request.header("X-OpenStack-Request-ID", ours.as_str()).header("Accept", "application/json");
        if let Some(token) = token {
            request = request.header("X-Auth-Token", token.expose());
        }
        if let Some((service, version)) = call.version {
            request = request.header("OpenStack-API-Version", format!("{service} {version}"));
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let unanswered = |error: reqwest::Error| {
            let failed = failure::without_answer(&error);
            let error = CloudError { request: Some(ours.clone()), ..failure::unanswered(&call.operation, error) };
            Refusal { error, failed, retry_after: None }
        };
        let response = request.send().await.map_err(unanswered)?;
        let status = response.status();
        let headers = response.headers().clone();
        let body = response.bytes().await.map_err(unanswered)?.to_vec();
        let request = failure::request_id(&headers).unwrap_or_else(|| ours.clone());
        tracing::debug!(method = %call.method, path = call.url.path(), status = status.as_u16(), %request);
        if status.is_success() {
            return Ok(Answer { operation: call.operation.clone(), headers, body, request });
        }
        Err(self.refusal(call, status, &headers, &body, request, token))
    }

    /// An answer that says no.
    fn refusal(
        &self,
        call: &Call,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        request: RequestId,
        token: Option<&Secret>,
    ) -> Refusal {
        let words = failure::words(status, body);
        let error = CloudError {
            operation: call.operation.clone(),
            kind: failure::kind_of(status),
            status: Some(status.as_u16()),
            message: failure::scrub(&words, self.login.secrets.iter().chain(token)),
            request: Some(request),
            source: None,
        };
        Refusal { error, failed: Failed::Status(status.as_u16()), retry_after: failure::retry_after(headers) }
    }
}

/// A number between 0 and 1 that no two runners share: the randomness of a UUID.
fn jitter() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

/// An attempt that failed.
struct Refusal {
    error: CloudError,
    failed: Failed,
    retry_after: Option<Duration>,
}
