//! Which requests are answered: those that name this server, from its own pages.
//!
//! A page of a stranger can make a browser ask `127.0.0.1` under a name of the stranger's that leads here (DNS
//! rebinding): such a request names the stranger in `Host`. Source: RFC 9110, section 7.2; Fetch, "Sec-Fetch-Site".

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The names under which a server may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Of a server at `address`, also known as `others`.
    pub fn of(address: SocketAddr, others: &[String]) -> Self {
        let port = address.port();
        let mut names = vec![address.to_string()];
        if address.ip().is_loopback() {
            names.push(format!("localhost:{port}"));
        }
        for other in others {
            let other = other.to_ascii_lowercase();
            names.push(format!("{other}:{port}"));
            names.push(other);
        }
        Self(names)
    }

    /// Whether the request names this server, and comes from no other site.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let names_us = |host: &str| self.0.iter().any(|name| name.eq_ignore_ascii_case(host));
        let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
        let mut hosts = headers.get_all(header::HOST).iter();
        let one_host = hosts.next().is_some() && hosts.next().is_none();
        one_host
            && text(&header::HOST).is_some_and(names_us)
            && text(&header::ORIGIN)
                .is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| names_us(host)))
            && site.is_none_or(|site| matches!(site, "same-origin" | "none"))
    }
}

/// Headers of every answer: nothing from elsewhere, nothing in a frame, nothing kept.
pub fn sealed() -> [(HeaderName, HeaderValue); 6] {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
                  form-action 'none'; frame-ancestors 'none'";
    [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn only_who_names_this_server_and_comes_from_it_is_answered() {
        let names = Names::of("127.0.0.1:8080".parse().unwrap(), &["Ops.example".to_owned()]);
        for host in ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "ops.example", "ops.example:8080"] {
            assert!(names.admit(&asked(&[("host", host)])), "{host}");
            assert!(names.admit(&asked(&[("host", host), ("origin", &format!("http://{host}"))])), "{host}");
        }
        for host in ["evil.example", "127.0.0.1", "127.0.0.1:80", "127.0.0.1:8080.evil.example", "[::1]:8080", ""] {
            assert!(!names.admit(&asked(&[("host", host)])), "{host}");
        }
        let here = ("host", "127.0.0.1:8080");
        for (name, value) in [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert!(!names.admit(&asked(&[here, (name, value)])), "{name}: {value}");
        }
        assert!(names.admit(&asked(&[here, ("sec-fetch-site", "none")])));
        assert!(!names.admit(&HeaderMap::new()));
    }
}
