//! `postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE[?sslmode=…&sslrootcert=…]`.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::Url;

/// Where a shared journal is. Shown without its password, `Debug` included.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    url: Url,
    trust: Trust,
}

/// How the server proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// It does not, and nothing is encrypted: a socket of this machine.
    None,
    /// By a certificate for the name in the address, of an authority that this machine trusts, or of one in that file.
    Certificate(Option<PathBuf>),
}

impl PostgresUrl {
    /// Reads an address. What is wrong with it is said without repeating it, because it may hold a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let form = "write `postgres://USER@HOST/DATABASE`";
        let mut url = Url::parse(text).map_err(|why| format!("no address of a database ({why}); {form}"))?;
        let (mut mode, mut root, mut rest) = (None, None, Vec::new());
        for (name, value) in url.query_pairs().into_owned() {
            match name.as_str() {
                "sslmode" => mode = Some(value),
                // Where a connection goes is what its certificate is held against, and nothing else.
                "hostaddr" => return Err("`hostaddr` is not understood: name the host".to_owned()),
                "sslrootcert" => root = Some(PathBuf::from(value)),
                _ => rest.push((name, value)),
            }
        }
        url.set_query(None);
        if !rest.is_empty() {
            url.query_pairs_mut().extend_pairs(rest);
        }
        let mut found = Self { url, trust: Trust::None };
        let config = found.config(None).map_err(|why| format!("{why}; {form}"))?;
        let needs_none = config.get_hosts().iter().all(is_here) && root.is_none();
        found.trust = match mode.as_deref() {
            None if needs_none => Trust::None,
            Some("disable") => Trust::None,
            None | Some("verify-full") => Trust::Certificate(root),
            Some(_) => return Err("`sslmode` is `verify-full`, which is the default, or `disable`".to_owned()),
        };
        Ok(found)
    }

    /// Name and port of the server.
    pub fn endpoint(&self) -> (String, u16) {
        let name = self.url.host_str().unwrap_or("localhost").trim_start_matches('[').trim_end_matches(']');
        (name.to_owned(), self.url.port().unwrap_or(5432))
    }

    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Settings of a connection; `password` counts where the address has none.
    pub(super) fn config(&self, password: Option<&str>) -> Result<Config, String> {
        let told = |error: tokio_postgres::Error| {
            std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string)
        };
        let mut config: Config = self.url.as_str().parse().map_err(told)?;
        if config.get_hosts().is_empty() {
            return Err("it names no host".to_owned());
        }
        if config.get_dbname().is_none() {
            return Err("it names no database".to_owned());
        }
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        let encrypted = self.trust != Trust::None;
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable }).application_name("fleetmend");
        Ok(config)
    }
}

/// Whether what goes there stays on this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.url.clone();
        // An address without a host can have no password: it was refused.
        let _ = shown.set_password(None);
        let secret = |name: &str| name.to_ascii_lowercase().contains("password");
        let kept: Vec<(String, String)> = shown.query_pairs().into_owned().filter(|(name, _)| !secret(name)).collect();
        shown.set_query(None);
        if !kept.is_empty() {
            shown.query_pairs_mut().extend_pairs(kept);
        }
        f.write_str(shown.as_str())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PostgresUrl {
        PostgresUrl::parse(text).unwrap()
    }

    #[test]
    fn no_face_of_an_address_shows_its_password() {
        for text in ["postgres://me:SECRET@db/fm", "postgresql://me@db/fm?password=SECRET&sslmode=disable"] {
            let url = parse(text);
            assert!(!format!("{url} {url:?}").contains("SECRET"), "{url}");
            assert_eq!(url.config(None).unwrap().get_password(), Some(b"SECRET".as_slice()));
        }
        for wrong in ["postgres://me:SECRET@db", "postgres://me:SECRET@db/fm?sslmode=prefer", "postgres://:SECRET@[/fm"]
        {
            assert!(!PostgresUrl::parse(wrong).unwrap_err().contains("SECRET"), "{wrong}");
        }
    }

    #[test]
    fn what_leaves_this_machine_is_encrypted_and_the_server_has_to_prove_itself() {
        for (text, trust) in [
            ("postgres://me@db/fm", Trust::Certificate(None)),
            ("postgres://me@db/fm?sslmode=verify-full&sslrootcert=/ca.pem", Trust::Certificate(Some("/ca.pem".into()))),
            ("postgres://me@localhost/fm?sslrootcert=/ca.pem", Trust::Certificate(Some("/ca.pem".into()))),
            ("postgres://me@db/fm?sslmode=disable", Trust::None),
            ("postgres://me@127.0.0.1:5433/fm", Trust::None),
            ("postgres://me@%2Frun%2Fpostgresql/fm", Trust::None),
        ] {
            let url = parse(text);
            assert_eq!(*url.trust(), trust, "{text}");
            let mode = if trust == Trust::None { SslMode::Disable } else { SslMode::Require };
            assert_eq!(url.config(None).unwrap().get_ssl_mode(), mode);
        }
    }

    #[test]
    fn an_address_that_lacks_something_says_what() {
        for (text, why) in [
            ("postgres://me@db", "no database"),
            ("postgres:///fm", "no host"),
            ("postgres://me@db/fm?sslmode=require", "verify-full"),
            ("postgres://me@db/fm?colour=red", "colour"),
            ("postgres://me@localhost/fm?hostaddr=10.0.0.5", "hostaddr"),
        ] {
            assert!(PostgresUrl::parse(text).unwrap_err().contains(why), "{text}: {:?}", PostgresUrl::parse(text));
        }
    }

    #[test]
    fn a_password_of_the_environment_counts_where_the_address_has_none() {
        let password = |text: &str| parse(text).config(Some("env")).unwrap().get_password().map(<[u8]>::to_vec);
        assert_eq!(password("postgres://me@db/fm"), Some(b"env".to_vec()));
        assert_eq!(password("postgres://me:own@db/fm"), Some(b"own".to_vec()));
    }
}
