//! A cloud's configuration, resolved: what the adapter needs to open a session.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::secret::Secret;

/// One cloud and one of its regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudConfig {
    /// The entry's name in `clouds.yaml`, or `envvars`.
    pub name: String,
    /// The region; `None` where nothing names one and the catalog must have only one.
    pub region: Option<String>,
    /// Keystone's URL as configured, without credentials in it.
    pub auth_url: Url,
    /// Who logs in.
    pub credentials: Credentials,
    /// What the token is good for.
    pub scope: Scope,
    /// How Nova is found.
    pub compute: ServiceChoice,
    /// How Placement is found.
    pub placement: ServiceChoice,
    /// Certificates.
    pub tls: Tls,
    /// Time that one request may take; the adapter's default when `None`.
    pub timeout: Option<Duration>,
    /// Proxies, from the same variables that other tools read.
    pub proxies: Proxies,
    /// What openstacksdk would warn of: for people, no reason to stop.
    pub notes: Vec<String>,
}

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// `password`, `v3password`.
    Password {
        /// Who.
        user: UserRef,
        /// Their password.
        password: Secret,
    },
    /// `token`, `v3token`.
    Token(Secret),
    /// `v3applicationcredential`.
    ApplicationCredential {
        /// Which.
        credential: ApplicationCredentialRef,
        /// Its secret.
        secret: Secret,
    },
}

/// A user, as Keystone can find one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// By id.
    Id(String),
    /// By name within a domain.
    Name(String, DomainRef),
}

/// An application credential, as Keystone can find one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCredentialRef {
    /// By id.
    Id(String),
    /// By name, of a user.
    Name(String, UserRef),
}

/// A domain, as Keystone can find one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainRef {
    /// By id.
    Id(String),
    /// By name.
    Name(String),
}

/// A project, as Keystone can find one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectRef {
    /// By id.
    Id(String),
    /// By name within a domain.
    Name(String, DomainRef),
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Whatever Keystone gives: the user's default project, or the application credential's own.
    Default,
    /// A project.
    Project(ProjectRef),
    /// A domain.
    Domain(DomainRef),
    /// The whole deployment: `system_scope: all`.
    System,
    /// What a trust grants, by its id.
    Trust(String),
}

/// How one service is found in the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceChoice {
    /// Type in the catalog.
    pub service_type: String,
    /// Name in the catalog, where several services have that type.
    pub service_name: Option<String>,
    /// Interfaces, best first; at least one.
    pub interfaces: Vec<Interface>,
    /// A region for this service alone.
    pub region: Option<String>,
    /// An endpoint to be used in place of the catalog's.
    pub endpoint: Option<Url>,
}

/// One of the three faces of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    /// For everybody.
    Public,
    /// Within the deployment.
    Internal,
    /// For operators; rare since Keystone v3.
    Admin,
}

impl Interface {
    /// Its word in the catalog.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

/// How the cloud's certificates are judged, and which one we show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whether the cloud's certificates are checked at all.
    pub verify: bool,
    /// Authorities to trust in place of the system's.
    pub authorities: Option<PathBuf>,
    /// A certificate of our own.
    pub client: Option<ClientCertificate>,
}

/// A certificate that we show to the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// PEM file with the certificate.
    pub certificate: PathBuf,
    /// PEM file with its key; the same file when `None`.
    pub key: Option<PathBuf>,
}

/// Proxies; a URL may hold a password.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://`.
    pub http: Option<Secret>,
    /// For `https://`.
    pub https: Option<Secret>,
    /// Hosts that are reached without one, as `no_proxy` writes them.
    pub except: Option<String>,
}
