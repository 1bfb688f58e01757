//! Who logs in, where, and for what: the settings of `auth`, judged.

use url::Url;

use super::error::CloudsError;
use super::secret::Secret;
use super::settings::Settings;
use super::types::{ApplicationCredentialRef, Credentials, DomainRef, ProjectRef, Scope, UserRef};

/// Ways to log in that are known here.
const AUTH_TYPES: &str = "`password`, `v3password`, `token`, `v3token`, `v3applicationcredential`";

/// Keystone's URL, without credentials in it.
pub(super) fn url(settings: &Settings) -> Result<Url, CloudsError> {
    let (text, at) = settings.needed("auth_url")?;
    let text = settings.format("auth_url", text, at)?;
    let url = parse_url(&text, "auth_url").map_err(|message| CloudsError::at(at, message))?;
    if url.path().trim_end_matches('/').ends_with("/v2.0") {
        return Err(CloudsError::at(at, "`auth_url` names Keystone's version 2, which is gone")
            .hinting("end it with `/v3`, or leave the version out"));
    }
    Ok(url)
}

/// A URL of `http` or `https` with a host and without credentials; the error never repeats it.
pub(super) fn parse_url(text: &str, what: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error: url::ParseError| format!("`{what}` is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("`{what}` must begin with `http://` or `https://` and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("`{what}` holds a user or password; those belong into `auth`"));
    }
    Ok(url)
}

/// Who logs in.
pub(super) fn credentials(settings: &Settings) -> Result<Credentials, CloudsError> {
    let auth_type = settings.text("auth_type")?;
    let (name, at) = auth_type.as_ref().map_or(("password", &settings.at), |(name, at)| (name.as_str(), *at));
    match name {
        "password" | "v3password" => {
            let user = user(settings)?;
            let (password, _) = settings.needed("password")?;
            Ok(Credentials::Password { user, password: Secret::new(password) })
        }
        "token" | "v3token" => Ok(Credentials::Token(Secret::new(settings.needed("token")?.0))),
        "v3applicationcredential" => application_credential(settings),
        _ => Err(CloudsError::at(at, format!("`auth_type` `{name}` is not known"))
            .hinting(format!("it can be one of {AUTH_TYPES}"))),
    }
}

fn application_credential(settings: &Settings) -> Result<Credentials, CloudsError> {
    let (secret, _) = settings.needed("application_credential_secret")?;
    let credential = if let Some((id, _)) = settings.auth("application_credential_id")? {
        ApplicationCredentialRef::Id(id.to_owned())
    } else if let Some((name, _)) = settings.auth("application_credential_name")? {
        ApplicationCredentialRef::Name(name.to_owned(), user(settings)?)
    } else {
        return Err(CloudsError::at(&settings.at, "`auth` names no application credential")
            .hinting("set `application_credential_id`, or `application_credential_name` with its user"));
    };
    Ok(Credentials::ApplicationCredential { credential, secret: Secret::new(secret) })
}

fn user(settings: &Settings) -> Result<UserRef, CloudsError> {
    if let Some((id, _)) = settings.auth("user_id")? {
        return Ok(UserRef::Id(id.to_owned()));
    }
    let (name, at) = settings.needed("username")?;
    let domain = domain(settings, "user")?.ok_or_else(|| {
        CloudsError::at(at, "`username` is known only within a domain, and none is given")
            .hinting("set `user_domain_name` (often `Default`) or `user_domain_id`")
    })?;
    Ok(UserRef::Name(name.to_owned(), domain))
}

/// What the token is to be good for.
pub(super) fn scope(settings: &Settings, credentials: &Credentials) -> Result<Scope, CloudsError> {
    let mut scopes = Vec::new();
    if let Some((id, at)) = settings.auth("domain_id")? {
        scopes.push(("domain", at, Scope::Domain(DomainRef::Id(id.to_owned()))));
    } else if let Some((name, at)) = settings.auth("domain_name")? {
        scopes.push(("domain", at, Scope::Domain(DomainRef::Name(name.to_owned()))));
    }
    if let Some((id, at)) = settings.auth("project_id")? {
        scopes.push(("project", at, Scope::Project(ProjectRef::Id(id.to_owned()))));
    } else if let Some((name, at)) = settings.auth("project_name")? {
        let domain = domain(settings, "project")?.ok_or_else(|| {
            CloudsError::at(at, "`project_name` is known only within a domain, and none is given")
                .hinting("set `project_domain_name` (often `Default`) or `project_domain_id`")
        })?;
        scopes.push(("project", at, Scope::Project(ProjectRef::Name(name.to_owned(), domain))));
    }
    if let Some((id, at)) = settings.auth("trust_id")? {
        scopes.push(("trust", at, Scope::Trust(id.to_owned())));
    }
    if let Some((value, at)) = settings.auth("system_scope")? {
        if value != "all" {
            return Err(CloudsError::at(at, "`system_scope` can only be `all`"));
        }
        scopes.push(("system", at, Scope::System));
    }
    if let [(first, _, _), (second, at, _), ..] = scopes.as_slice() {
        return Err(CloudsError::at(at, format!("a token has one scope, but both {first} and {second} are given"))
            .hinting("keep one of project, domain, system and trust"));
    }
    let Some((name, at, scope)) = scopes.pop() else { return Ok(Scope::Default) };
    if matches!(credentials, Credentials::ApplicationCredential { .. }) {
        return Err(CloudsError::at(
            at,
            format!("an application credential brings its own scope, but a {name} is given"),
        )
        .hinting(format!("remove the {name} from this cloud's settings")));
    }
    Ok(scope)
}

/// The domain of a user or project; `default_domain_*` stands in for either.
fn domain(settings: &Settings, of: &str) -> Result<Option<DomainRef>, CloudsError> {
    for prefix in [of, "default"] {
        if let Some((id, _)) = settings.auth(&format!("{prefix}_domain_id"))? {
            return Ok(Some(DomainRef::Id(id.to_owned())));
        }
        if let Some((name, _)) = settings.auth(&format!("{prefix}_domain_name"))? {
            return Ok(Some(DomainRef::Name(name.to_owned())));
        }
    }
    Ok(None)
}
