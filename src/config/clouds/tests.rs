//! Tables: files and variables on one side, what is read or refused on the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// A home folder with files, and the environment that belongs to it.
struct Home {
    folder: tempfile::TempDir,
    environment: Environment,
}

/// Files are named by their path under the folder; `~` is `home`, the working directory is `work`.
fn place(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Home {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::create_dir_all(folder.path().join("work")).unwrap();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let mut environment = Environment { working_directory: folder.path().join("work"), ..Environment::default() };
    environment.variables.insert("HOME".to_owned(), text(&folder.path().join("home")));
    environment.variables.insert("XDG_CONFIG_DIRS".to_owned(), text(&folder.path().join("xdg")));
    for (name, value) in variables {
        environment.variables.insert((*name).to_owned(), value.replace('$', &text(folder.path())));
    }
    Home { folder, environment }
}

impl Home {
    fn load(&self) -> Result<CloudConfig, CloudsError> {
        load(&self.environment, &Wanted::default())
    }

    /// An error in one line, without the temporary folder's name.
    fn refused(&self, wanted: &Wanted) -> String {
        let error = load(&self.environment, wanted).unwrap_err();
        let hint = error.hint().map(|hint| format!(" [{hint}]")).unwrap_or_default();
        format!("{error}{hint}").replace(self.folder.path().to_str().unwrap(), "$")
    }
}

/// A complete entry named `prod`, with `more` in its `auth` and `beside` beside it.
fn prod(more: &str, beside: &str) -> String {
    format!(
        "clouds:\n  prod:\n    auth:\n      auth_url: https://keystone:5000\n      username: ada\n      password: marked-secret\n      \
         user_domain_name: Default\n{more}{beside}"
    )
}

fn one(text: &str) -> CloudConfig {
    place(&[("work/clouds.yaml", text)], &[]).load().unwrap()
}

fn project_name(config: &CloudConfig) -> Option<&str> {
    match &config.scope {
        Scope::Project(ProjectRef::Name(name, _) | ProjectRef::Id(name)) => Some(name),
        Scope::Default | Scope::Domain(_) | Scope::System | Scope::Trust(_) => None,
    }
}

#[test]
fn the_first_file_on_the_search_path_is_read_and_no_other() {
    let file = |region: &str| prod("", &format!("    region_name: {region}\n"));
    let all = [
        ("named.yaml", file("named")),
        ("work/clouds.yaml", file("work")),
        ("work/clouds.yml", file("yml")),
        ("work/clouds.json", r#"{"clouds": {"prod": {"auth": {"auth_url": "http://k", "token": "t"}, "auth_type": "token", "region_name": "json"}}}"#.to_owned()),
        ("home/.config/openstack/clouds.yaml", file("home")),
        ("xdg/openstack/clouds.yaml", file("site")),
    ];
    let files: Vec<(&str, &str)> = all.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let variables = [("OS_CLIENT_CONFIG_FILE", "$/named.yaml")];
    for (from, wanted) in ["named", "work", "yml", "json", "home", "site"].into_iter().enumerate() {
        let variables = if from == 0 { &variables[..] } else { &[] };
        let config = place(&files[from..], variables).load().unwrap();
        assert_eq!(config.region.as_deref(), Some(wanted));
    }
}

#[test]
fn a_named_file_that_is_missing_is_told_and_an_empty_one_hides_the_others() {
    let text = prod("", "");
    let there = place(&[("work/clouds.yaml", &text)], &[("OS_CLIENT_CONFIG_FILE", "$/gone.yaml")]);
    let config = there.load().unwrap();
    assert!(config.notes.iter().any(|note| note.contains("OS_CLIENT_CONFIG_FILE") && note.contains("gone.yaml")));

    let hidden = place(&[("work/clouds.yaml", &text)], &[("OS_CLIENT_CONFIG_FILE", "/dev/null")]);
    insta::assert_snapshot!(hidden.refused(&Wanted::default()), @"`/dev/null` defines no cloud [add one under `clouds:`]");
}

#[test]
fn secure_yaml_completes_clouds_yaml() {
    let clouds = "clouds:\n  prod:\n    auth: {auth_url: https://k:5000, username: ada, user_domain_id: default}\n    region_name: R1\n";
    let secure = "clouds:\n  prod:\n    auth: {password: marked-secret}\n    region_name: R2\n";
    for (path, variables) in
        [("work/secure.yaml", &[][..]), ("elsewhere.yaml", &[("OS_CLIENT_SECURE_FILE", "$/elsewhere.yaml")][..])]
    {
        let config = place(&[("work/clouds.yaml", clouds), (path, secure)], variables).load().unwrap();
        let user = UserRef::Name("ada".to_owned(), DomainRef::Id("default".to_owned()));
        assert_eq!(config.credentials, Credentials::Password { user, password: Secret::new("marked-secret") });
        assert_eq!(config.region.as_deref(), Some("R2"), "secure.yaml wins");
    }
}

#[test]
fn a_profile_lies_under_the_cloud() {
    let clouds =
        "clouds:\n  prod:\n    profile: ours\n    auth: {username: ada, password: p}\n    interface: internal\n";
    let public = "public-clouds:\n  ours:\n    auth: {auth_url: https://k:5000, user_domain_name: Default, username: eve}\n    \
                  interface: admin\n    region_name: R1\n";
    let config = place(&[("work/clouds.yaml", clouds), ("work/clouds-public.yaml", public)], &[]).load().unwrap();
    assert_eq!(config.auth_url.as_str(), "https://k:5000/");
    assert_eq!(config.region.as_deref(), Some("R1"));
    assert_eq!(config.compute.interfaces, [Interface::Internal]);
    let user = UserRef::Name("ada".to_owned(), DomainRef::Name("Default".to_owned()));
    assert_eq!(config.credentials, Credentials::Password { user, password: Secret::new("p") });

    let config = one(&prod("", "    profile: nobodys\n"));
    assert!(config.notes.iter().any(|note| note.contains("nobodys")), "{:?}", config.notes);
}

#[test]
fn the_environment_alone_makes_a_cloud() {
    let variables = [
        ("OS_AUTH_URL", "http://k:5000/v3"),
        ("OS_USERNAME", "ada"),
        ("OS_PASSWORD", "0123"),
        ("OS_PROJECT_NAME", "admin"),
        ("OS_USER_DOMAIN_NAME", "Default"),
        ("OS_PROJECT_DOMAIN_ID", "default"),
        ("OS_REGION_NAME", "R1"),
        ("OS_INTERFACE", "internal"),
        ("OS_IDENTITY_API_VERSION", "3"),
        ("OS_PLACEMENT_ENDPOINT_OVERRIDE", "http://p:8778"),
        ("OS_API_TIMEOUT", "7.5"),
        ("http_proxy", "http://proxy:3128"),
    ];
    let file = prod("", "");
    let config = place(&[("work/clouds.yaml", &file)], &variables).load().unwrap();
    assert_eq!(config.name, "envvars");
    assert_eq!(project_name(&config), Some("admin"));
    assert_eq!(config.region.as_deref(), Some("R1"));
    assert_eq!(config.placement.endpoint.as_ref().unwrap().as_str(), "http://p:8778/");
    assert_eq!(config.compute.interfaces, [Interface::Internal]);
    assert_eq!(config.timeout, Some(Duration::from_millis(7500)));
    assert_eq!(config.proxies.http, Some(Secret::new("http://proxy:3128")));
    let Credentials::Password { password, .. } = &config.credentials else { panic!("{config:?}") };
    assert_eq!(password.expose(), "0123", "variables are text");
}

#[test]
fn the_chosen_cloud_is_the_options_then_the_variables_then_the_only_one() {
    let two = format!("{}  test:\n    auth: {{auth_url: http://k, token: t}}\n    auth_type: token\n", prod("", ""));
    let name = |variables: &[(&str, &str)], wanted: Option<&str>| {
        let wanted = Wanted { cloud: wanted.map(str::to_owned), ..Wanted::default() };
        let there = place(&[("work/clouds.yaml", &two)], variables);
        load(&there.environment, &wanted).unwrap().name
    };
    let credentials = [("OS_CLOUD", "prod"), ("OS_USERNAME", "eve"), ("OS_PASSWORD", "other")];
    assert_eq!(name(&credentials, None), "prod");
    assert_eq!(name(&credentials, Some("test")), "test");
    assert_eq!(one(&prod("", "")).name, "prod");

    // A named cloud is not mixed with what the variables define.
    let config = place(&[("work/clouds.yaml", &two)], &credentials).load().unwrap();
    let Credentials::Password { password, .. } = config.credentials else { panic!() };
    assert_eq!(password.expose(), "marked-secret");
}

#[test]
fn every_way_to_log_in_is_read() {
    let cloud = |auth: &str, auth_type: &str| {
        one(&format!("clouds:\n  c:\n    auth_type: {auth_type}\n    auth: {{auth_url: http://k, {auth}}}\n"))
            .credentials
    };
    let named = UserRef::Name("ada".to_owned(), DomainRef::Name("Default".to_owned()));
    let password = |user| Credentials::Password { user, password: Secret::new("p") };
    let by_name = "username: ada, user_domain_name: Default";
    assert_eq!(cloud(&format!("{by_name}, password: p"), "password"), password(named.clone()));
    assert_eq!(cloud("user_name: ada, user-domain-name: Default, password: p", "v3password"), password(named.clone()));
    assert_eq!(cloud("user_id: u1, password: p", "v3password"), password(UserRef::Id("u1".to_owned())));
    assert_eq!(cloud("username: ada, default_domain_name: Default, password: p", "password"), password(named.clone()));
    assert_eq!(cloud("token: t", "token"), Credentials::Token(Secret::new("t")));
    assert_eq!(cloud("auth_token: t", "v3token"), Credentials::Token(Secret::new("t")));
    let application = |credential| Credentials::ApplicationCredential { credential, secret: Secret::new("s") };
    assert_eq!(
        cloud("application_credential_id: a1, application_credential_secret: s", "v3applicationcredential"),
        application(ApplicationCredentialRef::Id("a1".to_owned()))
    );
    assert_eq!(
        cloud(
            &format!("application_credential_name: a, application_credential_secret: s, {by_name}"),
            "v3applicationcredential"
        ),
        application(ApplicationCredentialRef::Name("a".to_owned(), named))
    );
}

#[test]
fn every_scope_is_read() {
    let scope = |more: &str| one(&prod(&format!("      {more}\n"), "")).scope;
    let default = || DomainRef::Name("Default".to_owned());
    let admin = || Scope::Project(ProjectRef::Name("admin".to_owned(), default()));
    assert_eq!(scope("project_name: admin\n      project_domain_name: Default"), admin());
    assert_eq!(scope("tenant_name: admin\n      project_domain_name: Default"), admin());
    assert_eq!(scope("project_id: 42"), Scope::Project(ProjectRef::Id("42".to_owned())));
    assert_eq!(scope("domain_name: Default"), Scope::Domain(default()));
    assert_eq!(scope("domain_id: d1"), Scope::Domain(DomainRef::Id("d1".to_owned())));
    assert_eq!(scope("system_scope: all"), Scope::System);
    assert_eq!(scope("trust_id: t1"), Scope::Trust("t1".to_owned()));
    assert_eq!(scope("{}".trim_matches(['{', '}'])), Scope::Default);
    // Beside `auth` wins over inside; a domain named once counts for user and project.
    let config = one(&prod("      project_name: inside\n      domain_id: d1\n", "    project_name: beside\n"));
    assert_eq!(config.scope, Scope::Project(ProjectRef::Name("beside".to_owned(), DomainRef::Id("d1".to_owned()))));
}

#[test]
fn regions_are_chosen_from_those_that_the_cloud_has() {
    let several = "    regions:\n    - name: R1\n      values: {auth: {auth_url: 'https://one:5000'}, interface: admin}\n    - R2\n";
    let there = place(&[("work/clouds.yaml", &prod("", several))], &[]);
    let region = |region: Option<&str>| {
        load(&there.environment, &Wanted { region: region.map(str::to_owned), ..Wanted::default() }).unwrap()
    };
    assert_eq!(region(None).region.as_deref(), Some("R1"));
    assert_eq!(region(None).auth_url.as_str(), "https://one:5000/");
    assert_eq!(region(None).compute.interfaces, [Interface::Admin]);
    assert_eq!(region(Some("R2")).auth_url.as_str(), "https://keystone:5000/");
    insta::assert_snapshot!(there.refused(&Wanted { region: Some("r2".to_owned()), ..Wanted::default() }), @"--os-region-name: cloud `prod` has no region `r2` [it has `R1`, `R2` (names are case sensitive)]");

    let by_variable =
        place(&[("work/clouds.yaml", &prod("", several))], &[("OS_CLOUD", "prod"), ("OS_REGION_NAME", "R2")]);
    assert_eq!(by_variable.load().unwrap().region.as_deref(), Some("R2"));
    assert_eq!(one(&prod("", "    region_name: R1,R2\n")).region.as_deref(), Some("R1"));
    let templated =
        one(&prod("", "    region_name: R9\n").replace("https://keystone", "https://{region_name}.keystone"));
    assert_eq!(templated.auth_url.as_str(), "https://r9.keystone:5000/");
}

#[test]
fn services_are_found_as_configured() {
    let config = one(&prod(
        "",
        "    endpoint_type: internalURL\n    compute_endpoint_override: http://nova/{region_name}/v2.1\n    region_name: R1\n    \
         placement-interface: [admin, public]\n    placement_service_type: place\n    compute_service_name: nova\n    \
         compute_region_name: R7\n",
    ));
    assert_eq!(config.compute.endpoint.as_ref().unwrap().as_str(), "http://nova/R1/v2.1");
    assert_eq!(config.compute.interfaces, [Interface::Internal]);
    assert_eq!(config.compute.service_name.as_deref(), Some("nova"));
    assert_eq!(config.compute.region.as_deref(), Some("R7"));
    assert_eq!(config.placement.interfaces, [Interface::Admin, Interface::Public]);
    assert_eq!(config.placement.service_type, "place");
}

#[test]
fn certificates_are_judged_as_configured() {
    let tls =
        |beside: &str| place(&[("work/clouds.yaml", &prod("", beside))], &[("HOME", "/home/ada")]).load().unwrap().tls;
    let authorities = |path: &str| Tls { verify: true, authorities: Some(PathBuf::from(path)), client: None };
    assert_eq!(tls(""), Tls { verify: true, authorities: None, client: None });
    assert!(!tls("    verify: false\n").verify);
    assert!(!tls("    verify: 'False'\n").verify);
    assert!(!tls("    insecure: true\n    verify: true\n").verify);
    assert_eq!(tls("    cacert: ~/ca.pem\n"), authorities("/home/ada/ca.pem"));
    assert_eq!(tls("    verify: /etc/ca.pem\n"), authorities("/etc/ca.pem"));
    let client = tls("    cert: /c.pem\n    key: /k.pem\n").client;
    assert_eq!(client, Some(ClientCertificate { certificate: "/c.pem".into(), key: Some("/k.pem".into()) }));
}

#[test]
fn timeouts_of_single_services_are_everybodys() {
    assert_eq!(one(&prod("", "    api_timeout: 30\n")).timeout, Some(Duration::from_secs(30)));
    assert_eq!(one(&prod("", "    compute_timeout: 12\n    api_timeout: 30\n")).timeout, Some(Duration::from_secs(12)));
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_to_do() {
    let broken: &[(&str, String)] = &[
        ("not YAML", "clouds:\n  prod: [\n".to_owned()),
        ("tab", "clouds:\n\tprod: {}\n".to_owned()),
        ("alias that is a password", prod("", "").replace("marked-secret", "*marked-secret")),
        ("key twice", prod("      username: eve\n", "")),
        ("list for a mapping", "clouds: [prod]\n".to_owned()),
        ("text for a cloud", "clouds:\n  prod: here\n".to_owned()),
        ("no URL", prod("", "").replace("https://keystone:5000", "keystone:5000")),
        ("other scheme", prod("", "").replace("https:", "ftp:")),
        ("password in the URL", prod("", "").replace("//keystone", "//ada:marked-secret@keystone")),
        ("version 2", prod("", "").replace(":5000", ":5000/v2.0")),
        ("octal password", prod("", "").replace("marked-secret", "0123")),
        ("boolean password", prod("", "").replace("marked-secret", "yes")),
        ("no password", prod("", "").replace("      password: marked-secret\n", "")),
        ("misspelt", prod("", "").replace("username", "usernme")),
        ("user without domain", prod("", "").replace("      user_domain_name: Default\n", "")),
        ("project without domain", prod("      project_name: admin\n", "")),
        ("two scopes", prod("      project_id: p\n      system_scope: all\n", "")),
        ("other system scope", prod("      system_scope: some\n", "")),
        ("unknown auth type", prod("", "    auth_type: v3totp\n")),
        ("interface", prod("", "    interface: outside\n")),
        ("timeout", prod("", "    api_timeout: soon\n")),
        ("brace", prod("", "").replace("//keystone", "//{reg}.keystone")),
        ("verify", prod("", "    verify: maybe\n")),
        ("profile of the sdk", prod("", "    profile: rackspace\n")),
        ("profile by URL", prod("", "    profile: https://cloud.example\n")),
        ("region entry", prod("", "    regions: [{nom: R1}]\n")),
    ];
    let told: Vec<String> = broken
        .iter()
        .map(|(name, text)| {
            let refused = place(&[("work/clouds.yaml", text)], &[]).refused(&Wanted::default());
            assert!(!refused.contains("marked-secret"), "{refused}");
            format!("{name}: {refused}")
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    not YAML: $/work/clouds.yaml:2:9: this is not valid YAML: unclosed bracket '[' [check indentation and colons; put values in quotes that hold `: `, ` #`, or begin with one of * & ! % @ ` { [ | >]
    tab: $/work/clouds.yaml:2:2: this is not valid YAML: tabs disallowed within this context (block indentation) [check indentation and colons; put values in quotes that hold `: `, ` #`, or begin with one of * & ! % @ ` { [ | >]
    alias that is a password: $/work/clouds.yaml:6:17: this is not valid YAML [check indentation and colons; put values in quotes that hold `: `, ` #`, or begin with one of * & ! % @ ` { [ | >]
    key twice: $/work/clouds.yaml:8:7: this key is given twice in one mapping [remove one of the two]
    list for a mapping: $/work/clouds.yaml:1:9: `clouds` must be a mapping
    text for a cloud: $/work/clouds.yaml:2:9: cloud `prod` must be a mapping
    no URL: $/work/clouds.yaml:4:17: `auth_url` must begin with `http://` or `https://` and name a host
    other scheme: $/work/clouds.yaml:4:17: `auth_url` must begin with `http://` or `https://` and name a host
    password in the URL: $/work/clouds.yaml:4:17: `auth_url` holds a user or password; those belong into `auth`
    version 2: $/work/clouds.yaml:4:17: `auth_url` names Keystone's version 2, which is gone [end it with `/v3`, or leave the version out]
    octal password: $/work/clouds.yaml:6:17: `password` is a number or date to YAML, not the text written here [put the value in quotes]
    boolean password: $/work/clouds.yaml:6:17: `password` is a boolean to YAML, not text [put the value in quotes]
    no password: $/work/clouds.yaml:3:5: `auth.password` is missing [set it in `clouds.yaml` or `secure.yaml`; without `clouds.yaml`, set OS_PASSWORD]
    misspelt: $/work/clouds.yaml:5:16: `auth.username` is missing, and `usernme` is not known [did you mean `username`?]
    user without domain: $/work/clouds.yaml:5:17: `username` is known only within a domain, and none is given [set `user_domain_name` (often `Default`) or `user_domain_id`]
    project without domain: $/work/clouds.yaml:8:21: `project_name` is known only within a domain, and none is given [set `project_domain_name` (often `Default`) or `project_domain_id`]
    two scopes: $/work/clouds.yaml:9:21: a token has one scope, but both project and system are given [keep one of project, domain, system and trust]
    other system scope: $/work/clouds.yaml:8:21: `system_scope` can only be `all`
    unknown auth type: $/work/clouds.yaml:8:16: `auth_type` `v3totp` is not known [it can be one of `password`, `v3password`, `token`, `v3token`, `v3applicationcredential`]
    interface: $/work/clouds.yaml:8:16: `outside` is not an interface [it can be `public`, `internal` or `admin`]
    timeout: $/work/clouds.yaml:8:18: `api_timeout` must be a number of seconds above zero
    brace: $/work/clouds.yaml:4:17: `auth_url` has a brace that names no setting [`{region_name}` stands for another setting; write `{{` and `}}` for braces themselves]
    verify: $/work/clouds.yaml:8:13: `verify` must be `true`, `false` or the path of a certificate file
    profile of the sdk: $/work/clouds.yaml:8:14: profile `rackspace` is known to openstacksdk only [write its settings into the cloud's entry, or into `clouds-public.yaml`]
    profile by URL: $/work/clouds.yaml:8:14: profiles are not fetched from a URL [write its settings into the cloud's entry, or into `clouds-public.yaml`]
    region entry: $/work/clouds.yaml:8:21: a region has `name` and `values`, not `nom`
    ");
}

#[test]
fn a_cloud_that_is_not_there_is_told_with_those_that_are() {
    let two = format!("{}  test: {{}}\n", prod("", ""));
    let wanted = |name: &str| Wanted { cloud: Some(name.to_owned()), ..Wanted::default() };
    let there = place(&[("work/clouds.yaml", &two)], &[]);
    let told = [
        there.refused(&wanted("pord")),
        there.refused(&wanted("x")),
        there.refused(&Wanted::default()),
        place(&[], &[]).refused(&Wanted::default()),
        place(&[], &[("OS_CLOUD", "prod")]).refused(&Wanted::default()),
        place(&[("work/clouds.yaml", "clouds: {envvars: {}}")], &[("OS_USERNAME", "ada")]).refused(&Wanted::default()),
        place(&[], &[("OS_USERNAME", "ada")]).refused(&Wanted::default()),
    ];
    insta::assert_snapshot!(told.join("\n"), @r"
    --os-cloud: there is no cloud `pord` [did you mean `prod`?]
    --os-cloud: there is no cloud `x` [`$/work/clouds.yaml` and the environment define `prod`, `test`]
    several clouds are configured and none was chosen [choose one with `--os-cloud` or OS_CLOUD: `prod`, `test`]
    no cloud is configured: there is no `clouds.yaml`, and no OS_* variable defines one [`clouds.yaml` is looked for in `$/work`, `$/home/.config/openstack`, `$/xdg/openstack`, `/etc/openstack`; OS_CLIENT_CONFIG_FILE can name it]
    OS_CLOUD: there is no cloud `prod` [there is no `clouds.yaml` in `$/work`, `$/home/.config/openstack`, `$/xdg/openstack`, `/etc/openstack`]
    $/work/clouds.yaml:1:19: a cloud named `envvars` stands for the environment's variables [rename it, or set OS_CLOUD_NAME to another name]
    OS_USERNAME: `username` is known only within a domain, and none is given [set `user_domain_name` (often `Default`) or `user_domain_id`]
    ");
}

#[test]
fn no_secret_is_shown_by_debug() {
    let proxy = [("https_proxy", "http://ada:marked-secret@proxy")];
    let config = place(&[("work/clouds.yaml", &prod("", ""))], &proxy).load().unwrap();
    assert!(!format!("{config:?} {config:#?}").contains("marked-secret"));
}
