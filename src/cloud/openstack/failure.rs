//! Answers and broken connections as [`CloudError`]s: the service's own words, its request id, and no secret.

use std::error::Error;
use std::time::Duration;

use jiff::fmt::rfc2822;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

use super::retry::Failed;
use crate::cloud::{CloudError, CloudErrorKind};
use crate::config::clouds::Secret;
use crate::model::RequestId;

/// Longest text of a service that is shown.
const WORDS_MAX: usize = 500;

/// Headers that carry the id of a request; Placement's has no `x-`.
const REQUEST_ID_HEADERS: [&str; 3] = ["x-openstack-request-id", "openstack-request-id", "x-compute-request-id"];

/// The id under which the service's logs know the request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<RequestId> {
    let text = REQUEST_ID_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok())?;
    Some(RequestId::new(printable(text)))
}

/// What kind of failure a status is.
pub(super) fn kind_of(status: StatusCode) -> CloudErrorKind {
    match status.as_u16() {
        401 => CloudErrorKind::Unauthorized,
        403 => CloudErrorKind::Forbidden,
        404 => CloudErrorKind::NotFound,
        409 => CloudErrorKind::Conflict,
        429 => CloudErrorKind::TooManyRequests,
        400..=499 => CloudErrorKind::Refused,
        500..=599 => CloudErrorKind::Server,
        _ => CloudErrorKind::Protocol,
    }
}

/// What the service says of a failure: Nova, Keystone and Placement each wrap it in their own way.
pub(super) fn words(status: StatusCode, body: &[u8]) -> String {
    let reason = status.canonical_reason().unwrap_or("an unknown status");
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return format!("{reason}, without an answer in JSON");
    };
    let placement = answer.pointer("/errors/0/detail").or_else(|| answer.pointer("/errors/0/title"));
    let wrapped = || answer.as_object().into_iter().flat_map(|map| map.values()).find_map(|inner| inner.get("message"));
    let said = placement.or_else(wrapped).or_else(|| answer.get("message")).and_then(Value::as_str);
    said.filter(|said| !said.trim().is_empty()).map_or_else(|| reason.to_owned(), printable)
}

/// One line of at most [`WORDS_MAX`] characters without control characters.
pub(super) fn printable(text: &str) -> String {
    let line = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let mut shown = line.collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = shown.char_indices().nth(WORDS_MAX) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// Takes known secrets out of text: Keystone repeats a refused token in its answer.
pub(super) fn scrub<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> String {
    // A one-letter password would tear every message apart, and is not hidden by tearing.
    let worth_hiding = secrets.into_iter().map(Secret::expose).filter(|secret| secret.len() > 3);
    worth_hiding.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

/// How a request failed that got no answer.
pub(super) fn without_answer(error: &reqwest::Error) -> Failed {
    if refused_certificate(error).is_some() {
        Failed::Untrusted
    } else if error.is_connect() {
        Failed::NotSent
    } else if error.is_timeout() {
        Failed::TimedOut
    } else {
        Failed::Broken
    }
}

/// Whose certificate stands in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certificate {
    /// The service's: we refused it.
    Theirs,
    /// Ours, or that we have none: the service refused it.
    Ours,
}

/// Whether a certificate stands in the way, told from the type of what lies at the bottom.
fn refused_certificate(error: &reqwest::Error) -> Option<Certificate> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        // `source` of an `io::Error` leads past what it wraps.
        let wrapped = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = wrapped.and_then(|wrapped| wrapped.downcast_ref::<rustls::Error>()).or(cause.downcast_ref());
        if let Some(found) = tls.and_then(whose) {
            return Some(found);
        }
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    None
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the errors and alerts of TLS are not ours to list")]
fn whose(error: &rustls::Error) -> Option<Certificate> {
    use rustls::AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(_) => Some(Certificate::Theirs),
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA,
        ) => Some(Certificate::Ours),
        _ => None,
    }
}

/// The error for a request that got no answer.
pub(super) fn unanswered(operation: &str, error: reqwest::Error) -> CloudError {
    let timed_out = error.is_timeout();
    if let Some(whose) = refused_certificate(&error) {
        let message = match whose {
            Certificate::Theirs => "the service's certificate is not trusted",
            Certificate::Ours => "the service wants another certificate of ours",
        };
        let source: Option<Box<dyn Error + Send + Sync>> = Some(Box::new(error.without_url()));
        return CloudError { source, ..CloudError::new(CloudErrorKind::Untrusted, operation, message) };
    }
    let (kind, message) = match (timed_out, error.is_connect()) {
        (true, true) => (CloudErrorKind::Unreachable, "no connection in time"),
        (true, false) => (CloudErrorKind::TimedOut, "no answer in time"),
        (false, true) => (CloudErrorKind::Unreachable, "no connection"),
        (false, false) => (CloudErrorKind::Unreachable, "the connection broke before the answer was complete"),
    };
    // The URL may hold ids only, but what it holds is not ours to judge here.
    CloudError { source: Some(Box::new(error.without_url())), ..CloudError::new(kind, operation, message) }
}

/// How long the service asks to be left alone.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // A date is compared with the answer's own date: the two clocks are one.
    let moment = |text: &str| Some(rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?.as_second());
    let until = moment(text)?;
    let at = moment(headers.get(DATE)?.to_str().ok()?)?;
    u64::try_from(until.saturating_sub(at)).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_services_own_words_are_found() {
        let conflict = StatusCode::CONFLICT;
        for (body, shown) in [
            (r#"{"conflictingRequest": {"code": 409, "message": "Cannot 'stop'"}}"#, "Cannot 'stop'"),
            (r#"{"error": {"code": 401, "message": "The request", "title": "Unauthorized"}}"#, "The request"),
            (r#"{"errors": [{"status": 404, "title": "Not Found", "detail": "No provider\n\n   "}]}"#, "No provider"),
            (r#"{"message": "plain"}"#, "plain"),
            (r#"{"error": {}}"#, "Conflict"),
            ("<html>bad gateway</html>", "Conflict, without an answer in JSON"),
            ("", "Conflict, without an answer in JSON"),
        ] {
            assert_eq!(words(conflict, body.as_bytes()), shown, "{body}");
        }
    }

    #[test]
    fn text_of_a_service_cannot_reach_the_terminal_raw_nor_endless() {
        assert_eq!(printable("a\u{1b}[31m\r\nb\u{7}"), "a [31m b");
        assert_eq!(printable(&"ä".repeat(2000)).chars().count(), WORDS_MAX + 1);
    }

    #[test]
    fn secrets_are_taken_out() {
        let secrets = [Secret::new("gAAAAABmarked"), Secret::new("e")];
        assert_eq!(scrub("Could not find token: gAAAAABmarked.", &secrets), "Could not find token: ***.");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let headers = |pairs: &[(reqwest::header::HeaderName, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in pairs {
                map.insert(name, value.parse().unwrap());
            }
            map
        };
        assert_eq!(retry_after(&headers(&[(RETRY_AFTER, "12")])), Some(Duration::from_secs(12)));
        let dated = headers(&[(RETRY_AFTER, "Sun, 22 Nov 2026 12:00:30 GMT"), (DATE, "Sun, 22 Nov 2026 12:00:00 GMT")]);
        assert_eq!(retry_after(&dated), Some(Duration::from_secs(30)));
        assert_eq!(retry_after(&headers(&[(RETRY_AFTER, "soon")])), None);
    }
}
