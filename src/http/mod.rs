//! Outgoing HTTP of the rooms that are not the OpenStack adapter: JSON is sent, JSON comes back.
//!
//! Knows nothing of what is said. Called by `sim::remote`, `outside`, `notify` and `health`.

use std::time::Duration;

use serde_json::Value;
use url::Url;

/// A client for JSON over HTTP.
#[derive(Debug, Clone)]
pub struct JsonClient {
    client: reqwest::Client,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body; null when there was none.
    pub body: Value,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The client could not be made.
    #[error("no HTTP client could be made")]
    Client(#[source] reqwest::Error),
    /// No connection, or it broke.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// Where.
        url: Url,
        /// Why.
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("{url} did not answer in time")]
    TimedOut {
        /// Where.
        url: Url,
    },
    /// The answer is not JSON.
    #[error("the answer of {url} is not JSON")]
    NotJson {
        /// Where.
        url: Url,
        /// Why.
        source: serde_json::Error,
    },
}

impl JsonClient {
    /// A client that goes through no proxy and gives up after `timeout`.
    pub fn direct(timeout: Duration) -> Result<Self, HttpError> {
        let client = reqwest::Client::builder().no_proxy().timeout(timeout).build().map_err(HttpError::Client)?;
        Ok(Self { client })
    }

    /// A client that goes where the machine's proxies lead, and gives up after `timeout`. Redirects are not followed.
    pub fn outward(timeout: Duration) -> Result<Self, HttpError> {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let client = builder.timeout(timeout).build().map_err(HttpError::Client)?;
        Ok(Self { client })
    }

    /// Sends `body` to `url`; its status is the whole answer.
    pub async fn deliver(&self, url: &Url, body: &Value) -> Result<u16, HttpError> {
        let failed = |source| HttpError::Unreachable { url: url.clone(), source };
        let response = self.client.post(url.clone()).json(body).send().await.map_err(failed)?;
        Ok(response.status().as_u16())
    }

    /// Sends `body` to `url`. Any status is an answer.
    pub async fn post(&self, url: &Url, body: &Value) -> Result<JsonAnswer, HttpError> {
        self.send("POST", url, None, Some(body)).await
    }

    /// Asks `url`, with `authorization` as that header. Any status is an answer; a method that is none is `GET`.
    pub async fn send(
        &self,
        method: &str,
        url: &Url,
        authorization: Option<&str>,
        body: Option<&Value>,
    ) -> Result<JsonAnswer, HttpError> {
        let failed = |source: reqwest::Error| {
            let url = url.clone();
            if source.is_timeout() { HttpError::TimedOut { url } } else { HttpError::Unreachable { url, source } }
        };
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let mut request = self.client.request(method, url.clone());
        if let Some(authorization) = authorization {
            request = request.header(reqwest::header::AUTHORIZATION, authorization);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let text = response.bytes().await.map_err(failed)?;
        let body = if text.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&text) };
        let body = body.map_err(|source| HttpError::NotJson { url: url.clone(), source })?;
        Ok(JsonAnswer { status, body })
    }
}
