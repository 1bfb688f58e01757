//! A gateway before a simulated region: passes each request on and writes it down.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// No request or answer of a small region is larger.
const BODY_MAX: usize = 64 << 20;

/// Operations on hosts that only look; every one is a POST, because it carries what is asked.
const LOOKS_AT_HOSTS: [&str; 5] = ["collect", "identity", "boot", "domains", "job"];

/// What went through a gateway.
#[derive(Debug, Clone, Default)]
pub struct Log {
    requests: Arc<Mutex<Vec<String>>>,
    tokens: Arc<Mutex<Vec<String>>>,
}

impl Log {
    /// All requests so far: `GET /compute/v2.1/servers/detail`.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// All tokens that were given out.
    pub fn tokens(&self) -> Vec<String> {
        self.tokens.lock().unwrap().clone()
    }

    /// Requests that are more than a look or a login.
    pub fn changes(&self) -> Vec<String> {
        self.requests().into_iter().filter(|request| !only_looks(request)).collect()
    }
}

fn only_looks(request: &str) -> bool {
    let (method, path) = request.split_once(' ').unwrap();
    let host_operation = path.strip_prefix("/fleetmend-sim/v1/hosts/").and_then(|rest| rest.split('/').nth(1));
    method == "GET"
        || path == "/identity/v3/auth/tokens"
        || host_operation.is_some_and(|operation| LOOKS_AT_HOSTS.contains(&operation))
}

/// How a gateway reaches the region, and under which address it is known itself.
#[derive(Clone)]
struct Way {
    client: reqwest::Client,
    region: String,
    own: String,
    log: Log,
}

/// A router that passes everything on to the region at `region`; clients know it as `own`.
pub fn router(region: &str, own: &str, log: Log) -> Router {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let way = Way { client, region: region.to_owned(), own: own.to_owned(), log };
    Router::new().fallback(pass).with_state(way)
}

/// Serves a gateway on a port of the kernel's choice and tells its address.
pub async fn serve(region: &str, log: Log) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("http://{}", listener.local_addr().unwrap());
    let router = router(region, &own, log);
    tokio::spawn(async move { axum::serve(listener, router).await });
    own
}

/// Serves a gateway behind TLS with the certificates of `tests/fixtures/tls`; tells its address.
pub async fn serve_tls(region: &str, log: Log, demands_certificate: bool) -> String {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = format!("https://{}", tcp.local_addr().unwrap());
    let router = router(region, &own, log);
    let tls = TlsAcceptor::from(Arc::new(server(demands_certificate)));
    tokio::spawn(async move { axum::serve(Tls { tcp, tls }, router).await });
    own
}

/// A file of the certificates for tests.
pub fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

fn server(demands_certificate: bool) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = |name: &str| CertificateDer::pem_file_iter(certificate(name)).unwrap().map(Result::unwrap);
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = if demands_certificate {
        let mut roots = RootCertStore::empty();
        chain("authority.pem").for_each(|certificate| roots.add(certificate).unwrap());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
    builder.with_single_cert(chain("server.pem").collect(), key).unwrap()
}

/// Connections with their handshake done; those that fail it are none.
struct Tls {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, from)) = self.tcp.accept().await else { continue };
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

async fn pass(State(way): State<Way>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    way.log.requests.lock().unwrap().push(format!("{} {}", parts.method, parts.uri.path()));
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut asked = way.client.request(parts.method.clone(), format!("{}{target}", way.region));
    for (name, value) in parts.headers.iter().filter(|(name, _)| **name != header::HOST) {
        asked = asked.header(name, value);
    }
    let Ok(answer) = asked.body(to_bytes(body, BODY_MAX).await.unwrap()).send().await else {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Body::empty()).unwrap();
    };
    let mut passed = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| **name != header::CONTENT_LENGTH) {
        if name == "x-subject-token" {
            way.log.tokens.lock().unwrap().push(value.to_str().unwrap().to_owned());
        }
        passed = passed.header(name, value);
    }
    // The catalog and links lead back through the gateway.
    let text = answer.text().await.unwrap().replace(&way.region, &way.own);
    passed.body(Body::from(text)).unwrap()
}
