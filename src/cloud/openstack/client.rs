//! The HTTP client: certificates, proxies, timeouts as the cloud's configuration says.

use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, NoProxy, Proxy};

use super::retry::Pace;
use crate::cloud::{CloudError, CloudErrorKind, CloudResult};
use crate::config::clouds::{CloudConfig, Proxies, Tls};

/// Connections that were idle longer are not used again: Apache closes them after 5 s, and a request that meets the
/// closing cannot be told from one that arrived.
const IDLE: Duration = Duration::from_secs(4);

/// Makes a proxy for one scheme from its URL.
type MakeProxy = fn(&str) -> reqwest::Result<Proxy>;

/// Builds the client.
pub(super) fn build(config: &CloudConfig, pace: &Pace) -> CloudResult<Client> {
    let builder = Client::builder()
        .use_rustls_tls()
        .user_agent(concat!("fleetmend/", env!("CARGO_PKG_VERSION")))
        .timeout(config.timeout.unwrap_or(pace.timeout))
        .connect_timeout(pace.connect_timeout)
        .pool_idle_timeout(IDLE)
        // A redirected request would take the token to whoever the answer names.
        .redirect(Policy::none());
    let builder = proxied(certified(builder, &config.tls)?, &config.proxies)?;
    builder.build().map_err(|error| unusable("the certificates in the configuration cannot be used", error))
}

fn certified(builder: reqwest::ClientBuilder, tls: &Tls) -> CloudResult<reqwest::ClientBuilder> {
    let mut builder = builder.danger_accept_invalid_certs(!tls.verify);
    if let Some(path) = tls.authorities.as_ref().filter(|_| tls.verify) {
        let bundle = Certificate::from_pem_bundle(&read(path)?)
            .map_err(|error| unusable(format!("`{}` holds no certificates in PEM", path.display()), error))?;
        if bundle.is_empty() {
            return Err(configuration(format!("`{}` holds no certificates in PEM", path.display())));
        }
        builder = builder.tls_built_in_root_certs(false);
        for certificate in bundle {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if let Some(client) = &tls.client {
        let mut pem = read(&client.certificate)?;
        if let Some(key) = &client.key {
            pem.push(b'\n');
            pem.extend(read(key)?);
        }
        let shown = client.certificate.display();
        let identity = Identity::from_pem(&pem)
            .map_err(|error| unusable(format!("`{shown}` and its key cannot be used as a certificate"), error))?;
        builder = builder.identity(identity);
    }
    Ok(builder)
}

fn proxied(builder: reqwest::ClientBuilder, proxies: &Proxies) -> CloudResult<reqwest::ClientBuilder> {
    let mut builder = builder.no_proxy();
    let except = || proxies.except.as_deref().and_then(NoProxy::from_string);
    let known: [(_, _, MakeProxy); 2] = [
        ("http_proxy", &proxies.http, |url| Proxy::http(url)),
        ("https_proxy", &proxies.https, |url| Proxy::https(url)),
    ];
    for (name, url, make) in known {
        if let Some(url) = url {
            // The proxy's URL may hold a password: the error's text is left out.
            let proxy = make(url.expose()).map_err(|_| configuration(format!("{name} is not the URL of a proxy")))?;
            builder = builder.proxy(proxy.no_proxy(except()));
        }
    }
    Ok(builder)
}

fn read(path: &Path) -> CloudResult<Vec<u8>> {
    std::fs::read(path).map_err(|error| unusable(format!("cannot read `{}`", path.display()), error))
}

fn configuration(message: String) -> CloudError {
    CloudError::new(CloudErrorKind::Configuration, "prepare the connection", message)
}

fn unusable(message: impl Into<String>, source: impl std::error::Error + Send + Sync + 'static) -> CloudError {
    CloudError { source: Some(Box::new(source)), ..configuration(message.into()) }
}
