//! Who may log in to a simulated region, and the tokens of those who did.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::stamp;
use crate::model::ProjectId;
use crate::sim::world::{dice, uuid};

/// How long a token lasts, in seconds of the region's time; short enough that a long run must log in again.
const TOKEN_LIFETIME_S: i64 = 4 * 3600;

/// What a user may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// What an owner may do in this project.
    Member(ProjectId),
}

/// The credentials of a simulated region: an admin, and an owner of instances.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    password: String,
    credential_secret: String,
    owner: ProjectId,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// Id of the application credential that the admin has.
const CREDENTIAL: &str = "5b3c8f6d0d7b4a9f8e21a7c4d2f60e11";

/// Ids of the two users, of the admin's project and of the domain.
const ADMIN: &str = "c3f5ad1be52d4c3fa4b7dcd0ac90b3a1";
const OWNER: &str = "0d64f1b6e2a94a0f8d6c6c2f6f1f51e7";
const ADMIN_PROJECT: &str = "9a0f7f5d34b24d1b8b2e65f0c1f7d3ab";
const DOMAIN: &str = "default";

/// A token that was given out.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) role: Role,
    pub(super) expires: Timestamp,
    project: ProjectId,
    user: &'static str,
    name: &'static str,
    method: &'static str,
}

impl Access {
    /// Passwords and secrets made from `secret`, which nobody else may know; the second user owns `owner`'s instances.
    pub fn new(secret: &str, owner: ProjectId) -> Self {
        Self { password: secret.to_owned(), credential_secret: format!("{secret}-credential"), owner }
    }

    /// A `clouds.yaml` for the region at `base`: cloud `sim` is the admin, `owner` an owner of instances.
    pub fn clouds_yaml(&self, base: &str, region: &str) -> String {
        let cloud = |name: &str, user: &str, project: &str| {
            format!(
                "  {name}:\n    auth:\n      auth_url: {base}/identity/v3\n      username: {user}\n      \
                 password: {}\n      project_name: {project}\n      user_domain_name: Default\n      \
                 project_domain_name: Default\n    region_name: {region}\n",
                self.password
            )
        };
        format!("clouds:\n{}{}", cloud("sim", "admin", "admin"), cloud("owner", "owner", "owner"))
    }

    /// Who `body` of a login is; `None` when the credentials are refused.
    pub(super) fn log_in(&self, body: &Value, now: Timestamp, known: Option<Token>) -> Option<Token> {
        let identity = &body["auth"]["identity"];
        let methods: Vec<&str> = identity["methods"].as_array()?.iter().filter_map(Value::as_str).collect();
        let (role, method) = match methods[..] {
            ["password"] => {
                let user = &identity["password"]["user"];
                let named = |name: &str, id: &str| user["name"] == name || user["id"] == id;
                let role = match () {
                    () if named("admin", ADMIN) => Role::Admin,
                    () if named("owner", OWNER) => Role::Member(self.owner.clone()),
                    () => return None,
                };
                (user["password"] == self.password.as_str()).then_some((role, "password"))?
            }
            ["application_credential"] => {
                let credential = &identity["application_credential"];
                let known = credential["id"] == CREDENTIAL || credential["name"] == "sim";
                let proven = credential["secret"] == self.credential_secret.as_str();
                (known && proven).then_some((Role::Admin, "application_credential"))?
            }
            ["token"] => (known?.role, "token"),
            _ => return None,
        };
        let lifetime = std::time::Duration::from_secs(TOKEN_LIFETIME_S.unsigned_abs());
        let expires = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
        let (project, user, name) = match &role {
            Role::Admin => (ProjectId::new(ADMIN_PROJECT), ADMIN, "admin"),
            Role::Member(project) => (project.clone(), OWNER, "owner"),
        };
        Some(Token { role, expires, project, user, name, method })
    }
}

impl Token {
    /// Keystone's answer to a login.
    pub(super) fn shown(&self, base: &str, region: &str, now: Timestamp, seed: u64) -> Value {
        let domain = json!({"id": DOMAIN, "name": "Default"});
        let id = |what: &str| uuid(&mut dice(seed, "catalog", what, 0)).simple().to_string();
        let service = |kind: &str, name: &str, path: &str| {
            let endpoint = |interface: &str| {
                json!({"id": id(&format!("{kind}-{interface}")), "interface": interface, "region_id": region,
                       "region": region, "url": format!("{base}{path}")})
            };
            json!({"endpoints": [endpoint("internal"), endpoint("public")], "id": id(kind), "type": kind, "name": name})
        };
        let roles = match self.role {
            Role::Admin => vec!["admin", "member", "reader"],
            Role::Member(_) => vec!["member", "reader"],
        };
        let roles: Vec<Value> = roles.into_iter().map(|role| json!({"id": id(role), "name": role})).collect();
        json!({"token": {
            "methods": [self.method],
            "user": {"domain": domain, "id": self.user, "name": self.name, "password_expires_at": null},
            "audit_ids": [id("audit")],
            "expires_at": stamp(self.expires, "Z"),
            "issued_at": stamp(now, "Z"),
            "project": {"domain": domain, "id": self.project, "name": self.name},
            "is_domain": false,
            "roles": roles,
            "catalog": [
                service("identity", "keystone", "/identity/v3"),
                service("compute", "nova", "/compute/v2.1"),
                service("placement", "placement", "/placement"),
            ],
        }})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_checked_and_never_shown() {
        let access = Access::new("marked-secret", ProjectId::new("p1"));
        assert!(!format!("{access:?}").contains("marked-secret"));
        let now = Timestamp::UNIX_EPOCH;
        let password = |user: &str, password: &str| {
            json!({"auth": {"identity": {"methods": ["password"],
                "password": {"user": {"name": user, "domain": {"name": "Default"}, "password": password}}}}})
        };
        let role = |body: &Value| access.log_in(body, now, None).map(|token| token.role);
        assert_eq!(role(&password("admin", "marked-secret")), Some(Role::Admin));
        assert_eq!(role(&password("owner", "marked-secret")), Some(Role::Member(ProjectId::new("p1"))));
        assert_eq!(role(&password("admin", "wrong")), None);
        assert_eq!(role(&password("nobody", "marked-secret")), None);
        let credential = |secret: &str| {
            json!({"auth": {"identity": {"methods": ["application_credential"],
                "application_credential": {"id": CREDENTIAL, "secret": secret}}}})
        };
        assert_eq!(role(&credential("marked-secret-credential")), Some(Role::Admin));
        assert_eq!(role(&credential("x")), None);
        assert_eq!(role(&json!({"auth": {}})), None);
    }
}
