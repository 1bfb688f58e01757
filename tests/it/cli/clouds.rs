//! Which cloud is meant, and what is wrong with what says so.

use super::Stand;

const INVENTORY: [&str; 3] = ["inventory", "-o", "region.json"];

#[test]
fn a_clouds_yaml_with_broken_syntax_is_refused_at_its_place() {
    let stand = Stand::new();
    stand.write("clouds.yaml", "clouds:\n  sim:\n    auth: {auth_url: \"http://127.0.0.1\"\n    region_name: x\n");
    stand.run(&INVENTORY).said(2, &["error: DIR/clouds.yaml:4:5: this is not valid YAML", "hint: check indentation"]);
    stand.is_untouched();
}

#[test]
fn a_cloud_that_is_not_there_is_named_with_the_place_that_asks_for_it() {
    let stand = Stand::new();
    let near = "hint: did you mean `sim`?";
    let asked = [&["--os-cloud", "simm"][..], &INVENTORY].concat();
    stand.run(&asked).ended(2, &format!("error: --os-cloud: there is no cloud `simm`\n\n{near}"));
    let by_variable = stand.run_with(&INVENTORY, &[("OS_CLOUD", "simm")]);
    by_variable.ended(2, &format!("error: OS_CLOUD: there is no cloud `simm`\n\n{near}"));
    stand.edit("fleetmend.yaml", "cloud: sim", "cloud: simm");
    let configured = stand.run(&INVENTORY);
    configured.ended(2, &format!("error: `cloud` of the configuration file: there is no cloud `simm`\n\n{near}"));
    stand.is_untouched();
}

#[test]
fn a_region_that_the_cloud_does_not_have_is_named_with_the_place_that_asks_for_it() {
    let stand = Stand::new();
    let has = "hint: it has `SimOne` (names are case sensitive)";
    let asked = [&["--os-region-name", "simone"][..], &INVENTORY].concat();
    stand.run(&asked).ended(2, &format!("error: --os-region-name: cloud `sim` has no region `simone`\n\n{has}"));
    let by_variable = stand.run_with(&INVENTORY, &[("OS_REGION_NAME", "simone")]);
    by_variable.ended(2, &format!("error: OS_REGION_NAME: cloud `sim` has no region `simone`\n\n{has}"));
}

#[test]
fn an_empty_variable_chooses_nothing() {
    let stand = Stand::new();
    stand.run_with(&INVENTORY, &[("OS_CLOUD", ""), ("OS_REGION_NAME", "")]).said(0, &["SimOne: 4 hosts"]);
}

#[test]
fn without_any_cloud_it_is_said_where_one_is_looked_for() {
    let stand = Stand::new();
    std::fs::remove_file(stand.path("clouds.yaml")).unwrap();
    stand.edit("fleetmend.yaml", "cloud: sim\n", "");
    stand.run(&INVENTORY).ended(
        2,
        "error: no cloud is configured: there is no `clouds.yaml`, and no OS_* variable defines one\n\n\
         hint: `clouds.yaml` is looked for in `DIR`, `DIR/home/.config/openstack`, `DIR/none/openstack`, \
         `/etc/openstack`; OS_CLIENT_CONFIG_FILE can name it",
    );
}

#[test]
fn a_wrong_password_is_refused_and_not_repeated() {
    let stand = Stand::new();
    stand.edit("clouds.yaml", super::stand::PASSWORD, "wrong-horse");
    let told = stand.run(&INVENTORY);
    told.said(7, &["error: log in at URL/identity/v3/auth/tokens", "401", "hint: check the user"]);
    assert!(!told.err.contains("wrong-horse"), "{}", told.err);
    assert!(!stand.path("region.json").exists());
    assert_eq!(stand.log.requests(), ["POST /identity/v3/auth/tokens"]);
}

#[test]
fn an_endpoint_that_nobody_answers_at_is_unreachable() {
    let stand = Stand::new();
    // Port 1 is tcpmux's, which no machine of these tests runs.
    for (address, why) in [("http://127.0.0.1:1", "refused"), ("http://no-such-host.invalid", "dns error")] {
        let clouds = stand.read("clouds.yaml").replace(&stand.base, address);
        stand.write("elsewhere.yaml", &clouds);
        let told = stand.run_with(&INVENTORY, &[("OS_CLIENT_CONFIG_FILE", "elsewhere.yaml")]);
        told.said(7, &[&format!("error: log in at {address}/identity/v3/auth/tokens"), why, "hint: check `auth_url`"]);
    }
    assert_eq!(stand.log.requests(), [""; 0]);
}

/// A clouds.yaml that logs in by application credential.
pub fn application_credential(stand: &Stand) -> String {
    format!(
        "clouds:\n  sim:\n    auth_type: v3applicationcredential\n    auth:\n      auth_url: {}/identity/v3\n      \
         application_credential_id: 5b3c8f6d0d7b4a9f8e21a7c4d2f60e11\n      \
         application_credential_secret: {}-credential\n    region_name: SimOne\n",
        stand.base,
        super::stand::PASSWORD
    )
}

#[test]
fn an_application_credential_logs_in() {
    let stand = Stand::new();
    stand.write("clouds.yaml", &application_credential(&stand));
    stand.run(&INVENTORY).said(0, &["SimOne: 4 hosts"]);
    stand.edit("clouds.yaml", "-credential\n", "-wrong\n");
    stand.run(&INVENTORY).said(7, &["401", "hint: check "]);
}
