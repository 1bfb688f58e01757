//! The configuration file: how hosts are reached, which cloud is meant, where journals are kept.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::ConfigError;
use super::notices::Notices;
use super::text::{FileKind, read};
use crate::cloud::openstack::PER_SECOND;
use crate::host::ssh::{Become, ExecSettings, HostAddress, SshSettings};
use crate::journal::postgres::PostgresUrl;
use crate::model::{Digest, HostName};
use crate::notify::Target;
use crate::outside::Rung;

const CONFIGURATION: FileKind = FileKind { name: "config", format: 1 };

/// What the configuration file says; the default is what applies without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// An entry of `clouds.yaml`; command line and environment win over it.
    pub cloud: Option<String>,
    /// Access to hosts, and what is where on them.
    pub ssh: SshSettings,
    /// The simulated region whose hosts are meant, instead of hosts over ssh.
    pub simulator: Option<Url>,
    /// Commands that get a host back which ssh cannot reach, in order.
    pub ladder: Vec<Rung>,
    /// Keys of aggregates' metadata that name the rack of their hosts; the first one that is there counts.
    pub rack_keys: Vec<String>,
    /// Requests to the cloud a second, of everything that one process does.
    pub requests_per_second: NonZeroU32,
    /// Where journals are kept.
    pub state: Option<StateUrl>,
    /// Who is told of what; nothing of it reaches a host.
    pub notices: Vec<Target>,
    /// Over every command and setting that reaches a host.
    pub digest: Digest,
}

impl Default for Configuration {
    fn default() -> Self {
        Self::from(Written::default())
    }
}

/// Where journals are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StateUrl {
    /// `sqlite:PATH`; a leading `~/` stands for the home folder.
    Sqlite(PathBuf),
    /// `postgres://USER@HOST/DATABASE`.
    Postgres(PostgresUrl),
}

impl StateUrl {
    /// The place with `~/` resolved; `None` when that is needed and there is no home folder.
    pub fn in_home(self, home: Option<&str>) -> Option<Self> {
        match self {
            Self::Sqlite(path) => resolve_home(&path, home).map(Self::Sqlite),
            Self::Postgres(_) => Some(self),
        }
    }
}

/// Puts the home folder in the place of a leading `~/`; `None` when there is none.
fn resolve_home(path: &std::path::Path, home: Option<&str>) -> Option<PathBuf> {
    match path.strip_prefix("~") {
        Ok(rest) => home.map(|home| PathBuf::from(home).join(rest)),
        Err(_) => Some(path.to_owned()),
    }
}

impl TryFrom<String> for StateUrl {
    type Error = String;

    /// Never repeats what was written: an address may hold a password.
    fn try_from(text: String) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", _)) => PostgresUrl::parse(&text).map(Self::Postgres),
            Some(_) | None => {
                Err("not a place for journals; write `sqlite:PATH` or `postgres://USER@HOST/DATABASE`".to_owned())
            }
        }
    }
}

impl From<StateUrl> for String {
    fn from(state: StateUrl) -> Self {
        state.to_string()
    }
}

impl fmt::Display for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => url.fmt(f),
        }
    }
}

/// Reads a configuration file; `file` is its name in errors, `home` what `~/` stands for.
pub fn read_configuration(file: &str, text: &str, home: Option<&str>) -> Result<Configuration, ConfigError> {
    let written: Written = read(CONFIGURATION, file, text)?;
    let mut configuration = Configuration::from(written);
    let homeless = || ConfigError::at(file, (1, 1), "`~/` is used, but there is no home folder").hint("set HOME");
    if let Some(state) = configuration.state.take() {
        configuration.state = Some(state.in_home(home).ok_or_else(homeless)?);
    }
    if let Some(path) = configuration.ssh.config.take() {
        configuration.ssh.config = Some(resolve_home(&path, home).ok_or_else(homeless)?);
    }
    Ok(configuration)
}

/// The file as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    #[serde(skip_serializing)]
    format: Option<u32>,
    #[serde(skip_serializing)]
    kind: Kind,
    #[serde(skip_serializing)]
    cloud: Option<String>,
    ssh: Ssh,
    exec: Exec,
    hosts: BTreeMap<HostName, Whereabouts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts_via: Option<HostsVia>,
    #[serde(skip_serializing_if = "Reboot::is_empty")]
    reboot: Reboot,
    #[serde(skip_serializing)]
    inventory: Inventory,
    #[serde(skip_serializing)]
    requests_per_second: Option<NonZeroU32>,
    #[serde(skip_serializing)]
    state: Option<StateUrl>,
    #[serde(skip_serializing)]
    notices: Notices,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Config,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Ssh {
    user: Option<String>,
    config: Option<PathBuf>,
    #[serde(deserialize_with = "ssh_options")]
    options: Vec<String>,
    r#become: Rights,
    #[serde(skip_serializing, deserialize_with = "some_sessions")]
    parallel: usize,
}

impl Default for Ssh {
    fn default() -> Self {
        let SshSettings { user, config, options, parallel, .. } = SshSettings::default();
        Self { user, config, options, r#become: Rights::None, parallel }
    }
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rights {
    #[default]
    None,
    Sudo,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Exec {
    #[serde(deserialize_with = "some_words")]
    virsh: Vec<String>,
    #[serde(deserialize_with = "absolute_paths")]
    nova_conf: Vec<String>,
    units: Units,
}

impl Default for Exec {
    fn default() -> Self {
        let ExecSettings { virsh, nova_conf, compute_unit } = ExecSettings::default();
        Self { virsh, nova_conf, units: Units { compute: compute_unit } }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Units {
    compute: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Whereabouts {
    address: Option<String>,
    port: Option<u16>,
    user: Option<String>,
}

/// How the cloud's lists are read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Inventory {
    rack_keys: Vec<String>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self { rack_keys: vec!["rack".to_owned()] }
    }
}

/// Another way to hosts than ssh.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostsVia {
    #[serde(deserialize_with = "simulator_url")]
    simulator: Url,
}

/// Only this machine's own addresses: the simulator asks nobody for a password.
fn simulator_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let url: Option<Url> = String::deserialize(deserializer)?.parse().ok();
    let is_loopback = |url: &Url| match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.filter(|url| url.scheme() == "http" && is_loopback(url)).ok_or_else(|| {
        de::Error::custom(
            "the simulator's address is that of `fleetmend lab --listen`, for example `http://127.0.0.1:9000`",
        )
    })
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Reboot {
    #[serde(deserialize_with = "ladder")]
    fallback: Vec<Rung>,
}

impl Reboot {
    fn is_empty(&self) -> bool {
        self.fallback.is_empty()
    }
}

fn ladder<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rung>, D::Error> {
    let rungs = Vec::<Rung>::deserialize(deserializer)?;
    for rung in &rungs {
        if !rung.command.first().is_some_and(|program| program.starts_with('/')) {
            return Err(de::Error::custom(
                "a command that switches power is named by its whole path, for example `/usr/local/bin/power-cycle`",
            ));
        }
        if !rung.command.iter().any(|word| word.contains("{host}")) {
            return Err(de::Error::custom("a command that switches power has to be told which host: `{host}`"));
        }
        if rung.timeout.get().is_zero() {
            return Err(de::Error::custom("a command that switches power needs time: a `timeout` over 0s"));
        }
    }
    Ok(rungs)
}

fn ssh_options<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let options = Vec::<String>::deserialize(deserializer)?;
    match options.iter().find(|option| option.split_once('=').is_none_or(|(name, _)| name.trim().is_empty())) {
        None => Ok(options),
        // The value is not repeated: it may be a command with a secret.
        Some(_) => Err(de::Error::custom("an ssh option is written `Name=value`, for example `ConnectTimeout=10`")),
    }
}

fn some_sessions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(de::Error::custom("`0` sessions reach no host: the smallest number is 1")),
        sessions => Ok(sessions),
    }
}

fn some_words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    if words.first().is_none_or(String::is_empty) {
        return Err(de::Error::custom("a command has at least one word"));
    }
    Ok(words)
}

fn absolute_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let paths = Vec::<String>::deserialize(deserializer)?;
    if paths.is_empty() {
        return Err(de::Error::custom(
            "nova-compute reads at least one file; leave the line out for /etc/nova/nova.conf",
        ));
    }
    match paths.iter().find(|path| !path.starts_with('/')) {
        None => Ok(paths),
        Some(path) => Err(de::Error::custom(format!("`{path}` is not a path from the root of the host"))),
    }
}

impl From<Written> for Configuration {
    fn from(written: Written) -> Self {
        let digest = digest(&written);
        let Written {
            format: _,
            kind: _,
            cloud,
            ssh,
            exec,
            hosts,
            hosts_via,
            reboot,
            inventory,
            requests_per_second,
            state,
            notices,
        } = written;
        let hosts = hosts
            .into_iter()
            .map(|(host, Whereabouts { address, port, user })| (host, HostAddress { address, port, user }))
            .collect();
        let ssh = SshSettings {
            user: ssh.user,
            config: ssh.config,
            options: ssh.options,
            privilege: match ssh.r#become {
                Rights::None => Become::None,
                Rights::Sudo => Become::Sudo,
            },
            parallel: ssh.parallel,
            exec: ExecSettings { virsh: exec.virsh, nova_conf: exec.nova_conf, compute_unit: exec.units.compute },
            hosts,
            ..SshSettings::default()
        };
        let simulator = hosts_via.map(|via| via.simulator);
        let (ladder, rack_keys, notices) = (reboot.fallback, inventory.rack_keys, notices.targets());
        let requests_per_second = requests_per_second.unwrap_or(PER_SECOND);
        Self { cloud, ssh, simulator, ladder, rack_keys, requests_per_second, state, notices, digest }
    }
}

/// Over what reaches hosts: not the cloud's name, the journal's place or how many sessions there are at once.
fn digest(written: &Written) -> Digest {
    let text = serde_json::to_vec(written).expect("everything in it was read from text, so that it is text");
    Digest::new(format!("sha256:{:x}", Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(text: &str) -> Result<Configuration, ConfigError> {
        read_configuration("f", &format!("format: 1\nkind: config\n{text}"), Some("/home/ops"))
    }

    #[test]
    fn the_example_says_what_the_contract_says() {
        let text = include_str!("../../plans/examples/fleetmend.yaml");
        let read = read_configuration("fleetmend.yaml", text, Some("/home/ops")).unwrap();
        assert_eq!(read.cloud.as_deref(), Some("prod"));
        assert_eq!(read.ssh.user.as_deref(), Some("root"));
        assert_eq!(read.ssh.options, ["ConnectTimeout=10"]);
        assert_eq!(read.ssh.exec, ExecSettings::default());
        let other = &read.ssh.hosts[&HostName::new("compute-7")];
        assert_eq!(
            (other.address.as_deref(), other.port, other.user.as_deref()),
            (Some("10.0.0.17"), Some(2222), Some("ops"))
        );
        let place = "/home/ops/.local/state/fleetmend/fleetmend.db";
        assert_eq!(read.state, Some(StateUrl::Sqlite(place.into())));
    }

    #[test]
    fn hosts_of_a_simulated_region_are_another_way_to_hosts() {
        let read = configuration("hosts_via: {simulator: \"http://127.0.0.1:9000\"}").unwrap();
        assert_eq!(read.simulator.as_ref().map(Url::as_str), Some("http://127.0.0.1:9000/"));
        assert_ne!(read.digest, Configuration::default().digest);
    }

    #[test]
    fn every_command_that_switches_power_is_in_the_digest() {
        let ladder = |timeout: &str, word: &str| {
            let rung = format!("{{command: [/bin/cycle, \"{word}\"], timeout: {timeout}}}");
            configuration(&format!("reboot: {{fallback: [{rung}]}}")).unwrap()
        };
        let first = ladder("5m", "{host}");
        assert_eq!(first.ladder[0].command, ["/bin/cycle", "{host}"]);
        let digests = [first.digest, ladder("6m", "{host}").digest, ladder("5m", "-{host}").digest];
        assert!(digests.iter().all(|digest| *digest != Configuration::default().digest));
        assert!(digests[0] != digests[1] && digests[0] != digests[2]);
        assert_eq!(configuration("reboot: {fallback: []}").unwrap(), Configuration::default());
    }

    #[test]
    fn a_file_that_says_nothing_is_the_default() {
        assert_eq!(configuration("").unwrap(), Configuration::default());
        assert_eq!(Configuration::default().ssh, SshSettings::default());
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, expected) in [
            ("shh: {}", "f:3:1: unknown field `shh`"),
            ("ssh: {become: sudoo}", "f:3:15: unknown value `sudoo`"),
            ("ssh: {parallel: 0}", "f:3:17: `0` sessions reach no host: the smallest number is 1"),
            (
                "ssh: {options: [ConnectTimeout]}",
                "f:3:16: an ssh option is written `Name=value`, for example `ConnectTimeout=10`",
            ),
            ("exec: {virsh: []}", "f:3:15: a command has at least one word"),
            ("exec: {nova_conf: [nova.conf]}", "f:3:19: `nova.conf` is not a path from the root of the host"),
            ("hosts:\n  compute-7: {port: 70000}", "f:4:21: `70000` is not a whole number between 0 and 65535"),
            ("hosts:\n  compute-7: 10.0.0.17", "f:4:14: expected a mapping: `key: value`"),
            (
                "hosts_via: {simulator: http://example.org}",
                "f:3:24: the simulator's address is that of `fleetmend lab --listen`, for example \
                 `http://127.0.0.1:9000`",
            ),
            (
                "state: /var/lib/fleetmend.db",
                "f:3:8: not a place for journals; write `sqlite:PATH` or `postgres://USER@HOST/DATABASE`",
            ),
            (
                "reboot: {fallback: [{command: [x], timeout: 5m}]}",
                "f:3:20: a command that switches power is named by its whole path, for example \
                 `/usr/local/bin/power-cycle`",
            ),
            (
                "reboot: {fallback: [{command: [/bin/cycle], timeout: 5m}]}",
                "f:3:20: a command that switches power has to be told which host: `{host}`",
            ),
            (
                "reboot: {fallback: [{command: [/bin/cycle, \"{host}\"], timeout: 0s}]}",
                "f:3:20: a command that switches power needs time: a `timeout` over 0s",
            ),
        ] {
            assert_eq!(configuration(text).unwrap_err().to_string(), expected, "{text}");
        }
        let homeless = read_configuration("f", "format: 1\nkind: config\nstate: sqlite:~/x.db", None).unwrap_err();
        assert_eq!(homeless.to_string(), "f:1:1: `~/` is used, but there is no home folder");
    }

    #[test]
    fn a_password_in_an_address_is_never_repeated() {
        let error = configuration("state: postgres://fleet:hunter2@db/fleet?sslmode=prefer").unwrap_err();
        assert!(!format!("{error:?}{error}").contains("hunter2"), "{error}");
        assert!(error.to_string().contains("`sslmode` is `verify-full`"), "{error}");
        let configuration = configuration("state: postgres://fleet:hunter2@db/fleet").unwrap();
        let written = configuration.state.clone().map(String::from);
        assert_eq!(written.as_deref(), Some("postgres://fleet@db/fleet"));
        assert!(!format!("{configuration:?}").contains("hunter2"));
    }

    #[test]
    fn the_digest_covers_what_reaches_hosts_and_nothing_else() {
        let digest = |text: &str| configuration(text).unwrap().digest;
        let plain = digest("");
        for same in ["cloud: prod", "ssh: {parallel: 3}", "state: sqlite:x", "exec: {virsh: [virsh]}"] {
            assert_eq!(digest(same), plain, "{same}");
        }
        for other in
            ["ssh: {user: ops}", "exec: {virsh: [podman, virsh]}", "hosts: {a: {port: 1}}", "ssh: {become: sudo}"]
        {
            assert_ne!(digest(other), plain, "{other}");
        }
    }
}
