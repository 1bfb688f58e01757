//! Keystone's `POST /v3/auth/tokens`: what is sent, and what a token brings.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::catalog::CatalogEntry;
use super::wire::moment;
use crate::config::clouds::{
    ApplicationCredentialRef, CloudConfig, Credentials, DomainRef, ProjectRef, Scope, Secret, UserRef,
};

/// A token is renewed when it lasts for less than this.
const MARGIN: Duration = Duration::from_secs(60);

/// A token, and what it brings.
pub(super) struct Token {
    /// What is sent with each request.
    pub(super) secret: Secret,
    /// The services that it opens.
    pub(super) catalog: Vec<CatalogEntry>,
    /// Roles of the user in what the token is for, by name.
    pub(super) roles: Vec<String>,
    /// When a new one is better got.
    renew_at: Option<Instant>,
}

impl Token {
    /// Whether it is better to log in again before it is used.
    pub(super) fn is_due(&self) -> bool {
        self.renew_at.is_some_and(|at| at <= Instant::now())
    }
}

/// Where tokens are got: version 3, whatever the configured URL ends with.
pub(super) fn tokens_url(config: &CloudConfig) -> Url {
    let mut url = config.auth_url.clone();
    let is_versioned = url.path().trim_end_matches('/').ends_with("/v3");
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(["v3"].iter().filter(|_| !is_versioned)).extend(["auth", "tokens"]);
    }
    url
}

/// The body of a login.
pub(super) fn body(config: &CloudConfig) -> Value {
    let (method, identity) = match &config.credentials {
        Credentials::Password { user, password } => {
            let mut user = user_of(user);
            user["password"] = password.expose().into();
            ("password", json!({ "user": user }))
        }
        Credentials::Token(token) => ("token", json!({"id": token.expose()})),
        Credentials::ApplicationCredential { credential, secret } => {
            let mut identity = match credential {
                ApplicationCredentialRef::Id(id) => json!({ "id": id }),
                ApplicationCredentialRef::Name(name, user) => json!({"name": name, "user": user_of(user)}),
            };
            identity["secret"] = secret.expose().into();
            ("application_credential", identity)
        }
    };
    let mut auth = json!({"identity": {"methods": [method], method: identity}});
    match &config.scope {
        Scope::Default => {}
        Scope::Project(ProjectRef::Id(id)) => auth["scope"] = json!({"project": {"id": id}}),
        Scope::Project(ProjectRef::Name(name, domain)) => {
            auth["scope"] = json!({"project": {"name": name, "domain": domain_of(domain)}});
        }
        Scope::Domain(domain) => auth["scope"] = json!({"domain": domain_of(domain)}),
        Scope::System => auth["scope"] = json!({"system": {"all": true}}),
        Scope::Trust(id) => auth["scope"] = json!({"OS-TRUST:trust": {"id": id}}),
    }
    json!({ "auth": auth })
}

fn user_of(user: &UserRef) -> Value {
    match user {
        UserRef::Id(id) => json!({ "id": id }),
        UserRef::Name(name, domain) => json!({"name": name, "domain": domain_of(domain)}),
    }
}

fn domain_of(domain: &DomainRef) -> Value {
    match domain {
        DomainRef::Id(id) => json!({ "id": id }),
        DomainRef::Name(name) => json!({ "name": name }),
    }
}

/// All secrets of a configuration, to be kept out of messages.
pub(super) fn secrets(config: &CloudConfig) -> Vec<Secret> {
    let credential = match &config.credentials {
        Credentials::Password { password: secret, .. }
        | Credentials::Token(secret)
        | Credentials::ApplicationCredential { secret, .. } => secret.clone(),
    };
    let proxies = [&config.proxies.http, &config.proxies.https];
    std::iter::once(credential).chain(proxies.into_iter().flatten().cloned()).collect()
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: TokenBody,
}

#[derive(Deserialize)]
struct TokenBody {
    #[serde(default)]
    catalog: Vec<CatalogEntry>,
    #[serde(default)]
    roles: Vec<Named>,
    issued_at: Option<String>,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

/// Reads a token out of Keystone's answer; the error says what is missing.
pub(super) fn token(headers: &HeaderMap, body: &[u8]) -> Result<Token, String> {
    let secret = headers
        .get("x-subject-token")
        .and_then(|value| value.to_str().ok())
        .ok_or("the answer has no X-Subject-Token")?;
    let answer: TokenAnswer =
        serde_json::from_slice(body).map_err(|error| format!("the answer is not a token: {error}"))?;
    let TokenBody { catalog, roles, issued_at, expires_at } = answer.token;
    let renew_at = renewal(issued_at.as_deref(), expires_at.as_deref());
    let roles = roles.into_iter().map(|role| role.name).filter(|name| !name.is_empty()).collect();
    Ok(Token { secret: Secret::new(secret), catalog, roles, renew_at })
}

/// When to renew: both times are on Keystone's clock, so that ours only measures how long it has been.
fn renewal(issued_at: Option<&str>, expires_at: Option<&str>) -> Option<Instant> {
    let lifetime = moment(expires_at?)?.duration_since(moment(issued_at?)?);
    let lifetime = Duration::try_from(lifetime).ok()?;
    Instant::now().checked_add(lifetime.saturating_sub(MARGIN).max(lifetime / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_it_ends_and_not_at_once_when_it_is_short() {
        let at = |seconds| format!("2026-11-22T12:00:{seconds:02}.000000Z");
        let left = |expires: &str| renewal(Some(&at(0)), Some(expires)).unwrap().duration_since(Instant::now());
        assert!(left("2026-11-22T13:00:00.000000Z") > Duration::from_secs(3500));
        assert!(left("2026-11-22T13:00:00.000000Z") < Duration::from_secs(3541));
        assert!(left(&at(30)) > Duration::from_secs(10));
        assert!(renewal(None, Some(&at(30))).is_none());
    }
}
