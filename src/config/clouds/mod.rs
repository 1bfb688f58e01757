//! Which cloud is spoken to, and as whom: `clouds.yaml`, `secure.yaml`, `clouds-public.yaml` and `OS_*`, read as
//! openstacksdk reads them.
//!
//! Where openstacksdk warns and goes on although what it read cannot be right (a file that is no YAML, a URL that is
//! none, a password that YAML took for a number), this loader stops and says where. `OS_REGION_NAME` chooses the region
//! of any cloud, not only of the environment's own. Called by `cli`, which hands in the environment; no network.

mod auth;
mod environment;
mod error;
mod files;
mod layers;
mod node;
mod secret;
mod settings;
#[cfg(test)]
mod tests;
mod types;

pub use environment::Environment;
pub use error::{CloudsError, Place};
pub use secret::Secret;
pub use types::{
    ApplicationCredentialRef, ClientCertificate, CloudConfig, Credentials, DomainRef, Interface, ProjectRef, Proxies,
    Scope, ServiceChoice, Tls, UserRef,
};

use settings::{Flag, Settings};

/// What the command line and the configuration file ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// `--os-cloud`.
    pub cloud: Option<String>,
    /// `--os-region-name`.
    pub region: Option<String>,
    /// The cloud of the configuration file; command line and `OS_CLOUD` win over it.
    pub configured: Option<String>,
}

/// Reads files and variables and resolves one cloud.
///
/// # Errors
/// Says in which file, line and column, or in which variable, the fault lies.
pub fn load(environment: &Environment, wanted: &Wanted) -> Result<CloudConfig, CloudsError> {
    let mut known = files::collect(environment)?;
    let layered = layers::layer(&mut known, environment, wanted)?;
    let settings = Settings::new(layered.at, layered.settings)?;
    let mut notes = known.notes;

    let credentials = auth::credentials(&settings)?;
    let scope = auth::scope(&settings, &credentials)?;
    Ok(CloudConfig {
        name: layered.name,
        region: layered.region,
        auth_url: auth::url(&settings)?,
        scope,
        credentials,
        compute: service(&settings, "compute")?,
        placement: service(&settings, "placement")?,
        tls: tls(&settings, environment, &mut notes)?,
        timeout: settings.seconds("api_timeout")?,
        proxies: proxies(environment),
        notes,
    })
}

/// How a service is found: its own settings, else those of all services.
fn service(settings: &Settings, service: &str) -> Result<ServiceChoice, CloudsError> {
    let own = |key: &str| settings.text(&format!("{service}_{key}"));
    let interfaces = match settings.texts(&format!("{service}_interface"))? {
        Some(own) => own,
        None => settings.texts("interface")?.unwrap_or_default(),
    };
    let interfaces: Vec<Interface> = interfaces
        .iter()
        .map(|(word, at)| {
            interface(word).ok_or_else(|| {
                CloudsError::at(at, format!("`{word}` is not an interface"))
                    .hinting("it can be `public`, `internal` or `admin`")
            })
        })
        .collect::<Result<_, _>>()?;
    let endpoint = match own("endpoint_override")? {
        Some(found) => Some(found),
        None => own("endpoint")?,
    };
    let endpoint = endpoint
        .map(|(text, at)| {
            auth::parse_url(&text, &format!("{service}_endpoint_override")).map_err(|why| CloudsError::at(at, why))
        })
        .transpose()?;
    let text = |found: Option<(String, &Place)>| found.map(|(text, _)| text);
    Ok(ServiceChoice {
        service_type: text(own("service_type")?).unwrap_or_else(|| service.to_owned()),
        service_name: text(own("service_name")?),
        interfaces: if interfaces.is_empty() { vec![Interface::Public] } else { interfaces },
        region: text(own("region_name")?),
        endpoint,
    })
}

/// An interface by its word; Keystone's version 2 wrote `publicURL`.
fn interface(word: &str) -> Option<Interface> {
    [Interface::Public, Interface::Internal, Interface::Admin]
        .into_iter()
        .find(|interface| interface.as_str() == word.trim_end_matches("URL"))
}

/// `insecure` wins over `verify`; `cacert` replaces the system's authorities, and so does a path in `verify`.
fn tls(settings: &Settings, environment: &Environment, notes: &mut Vec<String>) -> Result<Tls, CloudsError> {
    let insecure = match settings.flag("insecure")? {
        Some((Flag::Is(flag), _)) => flag,
        Some((Flag::Other(_), at)) => return Err(CloudsError::at(at, "`insecure` must be `true` or `false`")),
        None => false,
    };
    let (verify, bundle) = match settings.flag("verify")? {
        Some((Flag::Is(flag), _)) => (flag, None),
        Some((Flag::Other(path), _)) if path.contains(['/', '.']) => (true, Some(environment.expand(&path))),
        Some((Flag::Other(_), at)) => {
            return Err(CloudsError::at(at, "`verify` must be `true`, `false` or the path of a certificate file"));
        }
        None => (true, None),
    };
    let path =
        |key: &str| -> Result<_, CloudsError> { Ok(settings.text(key)?.map(|(path, _)| environment.expand(&path))) };
    let cacert = path("cacert")?;
    let verify = verify && !insecure;
    if !verify {
        notes.push(
            "certificates are not checked: whoever is between here and the cloud can read the password".to_owned(),
        );
    }
    if cacert.is_some() && !verify {
        notes.push("`cacert` has no effect then".to_owned());
    }
    let key = path("key")?;
    let client = path("cert")?.map(|certificate| ClientCertificate { certificate, key });
    Ok(Tls { verify, authorities: cacert.or(bundle), client })
}

/// Proxies as curl and Python read them: lower case wins.
fn proxies(environment: &Environment) -> Proxies {
    let either = |name: &str| environment.get(name).or_else(|| environment.get(&name.to_uppercase()));
    let secret = |name: &str| either(name).or_else(|| either("all_proxy")).map(Secret::new);
    Proxies { http: secret("http_proxy"), https: secret("https_proxy"), except: either("no_proxy").map(str::to_owned) }
}
