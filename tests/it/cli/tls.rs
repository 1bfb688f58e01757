//! Certificates: a real handshake before the simulated region.

use super::Stand;
use super::gateway::{certificate, serve_tls};

const INVENTORY: [&str; 3] = ["inventory", "-o", "region.json"];

/// A stand whose clouds.yaml leads through TLS, with `more` settings of the cloud.
fn stand(demands_certificate: bool, more: &str) -> Stand {
    let stand = Stand::new();
    let base = stand.block_on(serve_tls(&stand.base, stand.log.clone(), demands_certificate));
    let more = more
        .replace("AUTHORITY", &certificate("authority.pem").display().to_string())
        .replace("CLIENT", &certificate("client").display().to_string());
    let clouds = stand.read("clouds.yaml").replace(&stand.base, &base);
    stand.write("clouds.yaml", &clouds.replacen("    auth:\n", &format!("    {more}\n    auth:\n"), 1));
    stand
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_with_what_to_do() {
    let stand = stand(false, "verify: true");
    let told = stand.run(&INVENTORY);
    told.said(
        7,
        &["the service's certificate is not trusted", "UnknownIssuer", "hint: in clouds.yaml, `cacert` names"],
    );
    assert_eq!(stand.log.requests(), [""; 0], "the password was not sent");
}

#[test]
fn an_authority_that_is_named_is_trusted() {
    let stand = stand(false, "cacert: AUTHORITY");
    stand.run(&INVENTORY).ended(0, "SimOne: 4 hosts, 8 instances, 0 gaps");
}

#[test]
fn without_verification_it_works_with_a_warning() {
    let stand = stand(false, "verify: false");
    stand.run(&INVENTORY).said(0, &["WARN", "certificates are not checked", "SimOne: 4 hosts"]);
}

#[test]
fn a_service_that_demands_a_certificate_gets_the_one_that_is_named() {
    let without = stand(true, "cacert: AUTHORITY");
    without.run(&INVENTORY).said(7, &["the service wants another certificate of ours", "`cert` and `key` name ours"]);
    let with = stand(true, "cacert: AUTHORITY\n    cert: CLIENT.pem\n    key: CLIENT.key");
    with.run(&INVENTORY).ended(0, "SimOne: 4 hosts, 8 instances, 0 gaps");
}

#[test]
fn a_certificate_file_that_cannot_be_used_is_named() {
    let stand = stand(false, "cacert: no-such.pem");
    stand.run(&INVENTORY).said(2, &["cannot read `DIR/no-such.pem`"]);
    stand.edit("clouds.yaml", "no-such.pem", "policy.yaml");
    stand.run(&INVENTORY).said(2, &["`DIR/policy.yaml` holds no certificates in PEM"]);
}
