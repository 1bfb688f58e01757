//! The ssh adapter against a fake `ssh` that runs the scripts here: quoting, framing, refusals. Real hosts are in
//! `lab::hosts`.

mod fake;
mod flags;
mod token;
mod ways;

use std::time::Duration;

use fake::{FakeHost, host};
use fleetmend::host::ssh::{Become, HostAddress, SshSettings};
use fleetmend::host::{
    FenceOrder, HostErrorKind, HostShell as _, Inquiry, Job, JobOrder, KernelFile, PackageTarget, RebootOrder, facts,
    facts::section,
};
use fleetmend::model::{DomainState, HostIdentity, HostName, InstanceId, PackageManager, RunId, UnitName};
use proptest::prelude::*;
use uuid::Uuid;

const GUEST: &str = "6d1f0000-0000-4000-8000-000000000001";

fn guest() -> InstanceId {
    InstanceId::new(Uuid::from_u128(0x6d1f_0000_0000_4000_8000_0000_0000_0001))
}

fn packages(names: &[String]) -> Inquiry {
    Inquiry { packages: names.iter().cloned().collect(), ..Inquiry::default() }
}

/// Text that a shell, a terminal or ssh could take for something else.
const HOSTILE: [&str; 8] =
    ["a b", "it's", "\"", "$(touch pwned)", "`touch pwned`", "x;touch pwned", "\u{1b}[31mred", "-oProxyCommand=x"];

#[tokio::test]
async fn hostile_package_names_reach_the_host_as_they_are_and_nothing_runs() {
    let fake = FakeHost::new();
    // Answers with whatever could have been meant: the script lets through what was asked for, whole.
    let every: Vec<String> = HOSTILE.iter().map(|name| name.replace(' ', "_")).collect();
    let lines = every.iter().map(|name| format!("{name} 0:1-1 noarch\n")).collect::<Vec<_>>().concat();
    fake.write("packages", &format!("{lines}other 0:1-1 noarch\n"));
    fake.program("bin/rpm", "cat \"$here/packages\"");
    let raw = fake.shell().collect(&host(), &packages(&every)).await.unwrap();
    assert_eq!(raw.sections[section::RPM].text.trim_end(), lines.trim_end());
    assert!(!std::path::Path::new("pwned").exists() && !fake.path("pwned").exists());
}

#[tokio::test]
async fn a_prefix_of_virsh_keeps_its_words_whatever_is_in_them() {
    let fake = FakeHost::new();
    fake.program("bin/pod man", "printf '%s|' \"$@\" >>\"$here/log.podman\"");
    let mut settings = fake.settings();
    settings.exec.virsh = vec!["pod man".to_owned(), "exec".to_owned()];
    settings.exec.virsh.extend(HOSTILE.map(str::to_owned));
    fake.shell_with(settings).domains(&host()).await.unwrap();
    assert_eq!(fake.read("log.podman"), format!("exec|{}|list|--uuid|--all|", HOSTILE.join("|")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Through the user's login shell, `env` and `sh -s`: what arrives is what was sent.
    #[test]
    fn any_text_without_line_ends_arrives_as_it_was_sent(names in prop::collection::vec("[^\n\r\0]{1,20}", 1..6)) {
        let fake = FakeHost::new();
        fake.program("bin/env", "shift 5; printf '%s\\0' \"$@\" >\"$here/arguments\"; cat >/dev/null");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(fake.shell().collect(&host(), &packages(&names)));
        prop_assert_eq!(answer.unwrap_err().kind, HostErrorKind::Protocol);
        let arrived = fake.read("arguments");
        // Nonce, virsh, nova.conf, unit and token stand before the packages.
        let sent: Vec<String> = packages(&names).packages.into_iter().collect();
        prop_assert_eq!(arrived.split('\0').nth(4).unwrap(), sent.join("\n"));
    }
}

#[tokio::test]
async fn names_that_ssh_or_a_job_could_misread_are_refused_before_anything_is_sent() {
    let fake = FakeHost::new();
    for name in ["-oProxyCommand=touch pwned", "a b", "$(touch pwned)", "x;y", ""] {
        let error = fake.shell().identity(&HostName::new(name)).await.unwrap_err();
        assert_eq!(error.kind, HostErrorKind::Failed, "{name}");
    }
    let identity = HostIdentity { machine_id: Some("m".into()), nova_host: Some("n".into()), hostname: None };
    let order = |unit: &str, job| JobOrder {
        host: host(),
        identity: identity.clone(),
        unit: UnitName::new(unit),
        job,
        limit: Duration::from_secs(60),
    };
    let package =
        |name: &str| Job::UpdatePackages(vec![PackageTarget { name: name.to_owned(), manager: PackageManager::Rpm }]);
    let flags = |file: &str, flag: &str| Job::AddCpuFlags { file: file.to_owned(), flags: vec![flag.to_owned()] };
    for order in [
        order("fleetmend-1; reboot", package("kernel")),
        order("../fleetmend-1", package("kernel")),
        order("fleetmend-1", package("--installroot=/x")),
        order("fleetmend-1", package("kernel\nopenssh")),
        order("fleetmend-1", flags("nova.conf", "md-clear")),
        order("fleetmend-1", flags("/etc/nova/nova.conf\n/etc/shadow", "md-clear")),
        order("fleetmend-1", flags("/etc/nova/nova.conf", "md-clear, -ssbd")),
    ] {
        assert_eq!(fake.shell().start_job(&order).await.unwrap_err().kind, HostErrorKind::Failed, "{order:?}");
    }
    assert_eq!(fake.read("log.ssh"), "");
}

#[tokio::test]
async fn an_operators_ways_to_a_host_reach_ssh() {
    let fake = FakeHost::new();
    let mut settings = SshSettings {
        user: Some("root".into()),
        config: Some("/etc/fleet/ssh config".into()),
        options: vec!["ConnectTimeout=3".into()],
        privilege: Become::Sudo,
        ..fake.settings()
    };
    let place = HostAddress { address: Some("fe80::1%eth0".into()), port: Some(2222), user: Some("ops".into()) };
    settings.hosts.insert(host(), place);
    fake.program("bin/sudo", "printf '%s ' \"$@\" >\"$here/log.sudo\"; shift 2; exec \"$@\"");
    fake.shell_with(settings).identity(&host()).await.unwrap();
    let log = fake.read("log.ssh");
    let words: Vec<&str> = log.lines().collect();
    assert!(words.windows(2).any(|pair| pair == ["-F", "/etc/fleet/ssh config"]), "{log}");
    assert!(words.windows(2).any(|pair| pair == ["-p", "2222"]) && words.windows(2).any(|pair| pair == ["-l", "ops"]));
    assert!(words.windows(2).any(|pair| pair == ["--", "fe80::1%eth0"]));
    let ours = words.iter().position(|word| *word == "ConnectTimeout=10").unwrap();
    assert!(words.iter().position(|word| *word == "ConnectTimeout=3").unwrap() < ours, "ssh takes the first of two");
    assert!(words.contains(&"BatchMode=yes") && words.contains(&"StrictHostKeyChecking=yes"));
    assert!(fake.read("log.sudo").starts_with("-n -- env LC_ALL=C sh -s -- "));
}

#[tokio::test]
async fn a_boot_is_asked_for_through_a_connection_of_its_own() {
    let fake = FakeHost::new();
    fake.shell().boot(&host()).await.unwrap();
    let log = fake.read("log.ssh");
    assert!(log.contains("ControlPath=none") && !log.contains("ControlMaster=auto"), "{log}");
    fake.shell().identity(&host()).await.unwrap();
    assert!(fake.read("log.ssh").contains("ControlMaster=auto"));
}

#[tokio::test]
async fn silence_is_explained_in_sshs_words_and_ends_the_shared_connection() {
    let fake = FakeHost::new();
    fake.write("unreachable", "ssh: connect to host compute-1 port 22: \u{1b}[31mNo route to host\r\n");
    let error = fake.shell().identity(&host()).await.unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Unreachable);
    assert_eq!(error.to_string(), "compute-1: read identity: ssh: connect to host compute-1 port 22: No route to host");
    assert!(fake.read("log.ssh").contains("-O\nexit"), "the next call must not go through a dead connection");
    fake.write("unreachable", "Host key verification failed.\r\n");
    assert_eq!(fake.shell().boot(&host()).await.unwrap_err().kind, HostErrorKind::HostKey);
}

#[tokio::test]
async fn a_greeting_of_the_login_shell_is_no_answer() {
    let fake = FakeHost::new();
    fake.program("bin/env", "echo Welcome; echo '@ end 0'; PATH=${PATH#*:} exec env \"$@\"");
    assert_eq!(fake.identity().await.nova_host.as_deref(), Some("compute-1"));
}

#[tokio::test]
async fn passwords_of_nova_conf_do_not_leave_the_host() {
    let fake = FakeHost::new();
    let conf = "[DEFAULT]\ntransport_url = rabbit://SECRET\n  SECRET\nhost = compute-1\n[libvirt]\n# SECRET\n\
                cpu_mode = custom\ncpu_model_extra_flags = ssbd,\n   md-clear\nrbd_secret_uuid = SECRET\n";
    fake.write("nova.conf", conf);
    let raw = fake.shell().collect(&host(), &Inquiry::default()).await.unwrap();
    assert!(!format!("{raw:?}").contains("SECRET"));
    let conf = facts::parse(&raw).nova_conf.unwrap();
    assert_eq!(conf["libvirt"]["cpu_model_extra_flags"], ["ssbd,\nmd-clear"]);
    assert_eq!(conf["DEFAULT"]["host"], ["compute-1"]);
}

#[tokio::test]
async fn the_kernels_files_are_told_and_one_that_is_not_there_is_told_as_such() {
    let fake = FakeHost::new();
    let (there, missing) = ("/proc/sys/kernel/ostype", "/sys/kernel/nowhere-to-be-found");
    let files = [there, missing].map(|path| KernelFile::try_from(path.to_owned()).unwrap());
    let inquiry = Inquiry { kernel_files: files.into(), ..Inquiry::default() };
    let read = facts::parse(&fake.shell().collect(&host(), &inquiry).await.unwrap());
    assert_eq!(read.kernel_files[there].as_deref(), Some("Linux"));
    assert_eq!(read.kernel_files[missing], None);
}

#[tokio::test]
async fn the_distributions_word_on_a_reboot_is_told_with_its_reasons_and_a_failure_is_no_word() {
    let fake = FakeHost::new();
    let read = async || facts::parse(&fake.shell().collect(&host(), &Inquiry::default()).await.unwrap());
    fake.program("bin/needs-restarting", "echo 'No core libraries or services have been updated.'");
    assert!(!read().await.pending_reboot.unwrap().due);
    let due = "Core libraries or services have been updated since boot-up:\n  * glibc\n  * kernel\n\n\
               Reboot is required to fully utilize these updates.";
    fake.program("bin/needs-restarting", &format!("printf '{due}\n'; exit 1"));
    let word = read().await.pending_reboot.unwrap();
    assert_eq!((word.due, word.because), (true, vec!["glibc".to_owned(), "kernel".to_owned()]));
    fake.program("bin/needs-restarting", "echo 'Error: database is locked'; exit 1");
    let failed = read().await;
    assert_eq!(failed.pending_reboot, None);
    assert!(failed.unread[section::PENDING_REBOOT].contains("database is locked"), "{:?}", failed.unread);
}

#[tokio::test]
async fn configuration_folders_are_read_in_order_and_a_missing_file_spoils_the_facts() {
    let fake = FakeHost::new();
    std::fs::create_dir(fake.path("conf.d")).unwrap();
    fake.write("conf.d/20.conf", "[libvirt]\ncpu_mode = none\n");
    fake.write("conf.d/10.conf", "[libvirt]\ncpu_mode = custom\n");
    fake.write("conf.d/readme", "nonsense");
    let mut settings = fake.settings();
    settings.exec.nova_conf.push(fake.path("conf.d").display().to_string());
    let read = facts::parse(&fake.shell_with(settings.clone()).collect(&host(), &Inquiry::default()).await.unwrap());
    assert_eq!(read.nova_conf.unwrap()["libvirt"]["cpu_mode"], ["custom", "none"]);
    settings.exec.nova_conf.push(fake.path("missing.conf").display().to_string());
    let shell = fake.shell_with(settings);
    let read = facts::parse(&shell.collect(&host(), &Inquiry::default()).await.unwrap());
    assert_eq!(read.nova_conf, None);
    assert!(read.unread[section::NOVA_CONF].contains("no such file"));
    assert_eq!(shell.identity(&host()).await.unwrap().nova_host, None, "a file that is missing could name the host");
}

#[tokio::test]
async fn a_configuration_that_nova_would_not_start_with_is_refused_with_its_line() {
    let fake = FakeHost::new();
    for (conf, why) in [
        ("[libvirt]\nSECRET\n", "line 2 is no assignment"),
        ("[libvirt\nx = y\n", "line 1 is no section"),
        ("[a]\nb = c\n\n  SECRET\n", "line 4 continues nothing"),
        ("[a]\n = SECRET\n", "line 2 continues nothing"),
        ("[a]\n= SECRET\n", "line 2 is no assignment"),
    ] {
        fake.write("nova.conf", conf);
        let raw = fake.shell().collect(&host(), &Inquiry::default()).await.unwrap();
        let unread = facts::parse(&raw).unread.remove(section::NOVA_CONF).unwrap_or_default();
        assert!(unread.contains(why), "{conf}: {unread}");
        assert!(!format!("{raw:?}").contains("SECRET"));
    }
}

#[tokio::test]
async fn domains_are_all_there_with_their_states_and_one_that_vanished_counts_as_running() {
    let fake = FakeHost::new();
    let off = "6d1f0000-0000-4000-8000-000000000002";
    fake.write("domains", &format!("{GUEST} running\n{off} shut off\n"));
    let domains = fake.shell().domains(&host()).await.unwrap();
    assert_eq!(domains[0].state, DomainState::Running);
    assert_eq!(domains[0].name, format!("instance-of-{GUEST}"));
    assert_eq!(domains[1].state, DomainState::ShutOff);
    fake.write("no-libvirt", "");
    let error = fake.shell().domains(&host()).await.unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Failed);
    assert!(error.message.contains("failed to connect to the hypervisor"), "{error}");
}

#[tokio::test]
async fn the_fence_stops_and_starts_nova_compute_and_says_when_it_cannot() {
    let fake = FakeHost::new();
    let order = |up, identity| FenceOrder { host: host(), identity, up };
    let identity = fake.identity().await;
    fake.shell().fence(&order(true, identity.clone())).await.unwrap();
    assert_eq!(fake.read("compute"), "inactive\n");
    fake.shell().fence(&order(false, identity.clone())).await.unwrap();
    assert_eq!(fake.read("compute"), "active\n");
    fake.write("stuck", "");
    let error = fake.shell().fence(&order(true, identity)).await.unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Failed);
    assert!(error.message.contains("ActiveState=active"), "{error}");
}

#[tokio::test]
async fn another_machine_is_left_alone() {
    let fake = FakeHost::new();
    let right = fake.identity().await;
    let boot = fake.shell().boot(&host()).await.unwrap().id;
    for wrong in [
        HostIdentity { machine_id: Some("0123456789abcdef0123456789abcdef".into()), ..right.clone() },
        HostIdentity { nova_host: Some("compute-10".into()), ..right.clone() },
        HostIdentity { hostname: Some("elsewhere".into()), ..right.clone() },
    ] {
        let shell = fake.shell();
        let fence = shell.fence(&FenceOrder { host: host(), identity: wrong.clone(), up: true }).await;
        assert_eq!(fence.unwrap_err().kind, HostErrorKind::WrongMachine, "{wrong:?}");
        let job = JobOrder {
            host: host(),
            identity: wrong.clone(),
            unit: UnitName::new("fleetmend-test"),
            job: Job::StagePackages(vec![]),
            limit: Duration::from_secs(1),
        };
        assert_eq!(shell.start_job(&job).await.unwrap_err().kind, HostErrorKind::WrongMachine);
        let order = RebootOrder::new(fake::quiet(&[]), wrong, RunId::new(Uuid::now_v7()), boot.clone());
        assert_eq!(shell.reboot(&order).await.unwrap_err().kind, HostErrorKind::WrongMachine);
    }
    assert_eq!(fake.read("log.systemctl"), "", "not even asked");
}

#[tokio::test]
async fn a_quiet_host_reboots_even_when_the_connection_ends_with_it() {
    let fake = FakeHost::new();
    fake.write("compute", "inactive\n");
    fake.write("domains", &format!("{GUEST} shut off\n"));
    let order = fake.reboot_order(&[guest()]).await;
    fake.shell().reboot(&order).await.unwrap();
    fake.write("on-reboot", "kill -9 $(cat \"$here/pid\")\n");
    fake.shell().reboot(&order).await.unwrap();
    assert_eq!(fake.read("log.systemctl").matches("--no-block reboot").count(), 2);
    fake.write("on-reboot", "echo 'Call to Reboot failed' >&2; exit 1\n");
    let error = fake.shell().reboot(&order).await.unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Failed);
    assert!(error.message.contains("Call to Reboot failed"), "{error}");
}

#[tokio::test]
async fn each_thing_that_speaks_against_a_reboot_alone_prevents_it() {
    let fake = FakeHost::new();
    fake.write("compute", "inactive\n");
    let order = fake.reboot_order(&[guest()]).await;
    let refused = async |why: &str| {
        let error = fake.shell().reboot(&order).await.unwrap_err();
        assert_eq!(error.kind, HostErrorKind::NotQuiet, "{error}");
        assert!(error.message.contains(why), "{error}");
        assert!(!fake.was_rebooted());
    };
    for state in ["active", "activating", "deactivating", "reloading", ""] {
        fake.write("compute", &format!("{state}\n"));
        refused("openstack-nova-compute is not stopped").await;
    }
    fake.write("compute", "inactive\n");
    for state in ["running", "paused", "in shutdown", "pmsuspended"] {
        fake.write("domains", &format!("{GUEST} {state}\n"));
        refused(GUEST).await;
    }
    fake.write("domains", "6d1f0000-0000-4000-8000-000000000009 shut off\n");
    refused("not among those that may stay").await;
    fake.write("domains", "");
    fake.write("no-libvirt", "");
    refused("failed to connect to the hypervisor").await;
    std::fs::remove_file(fake.path("no-libvirt")).unwrap();

    let other_boot = RebootOrder::new(
        fake::quiet(&[]),
        order.identity().clone(),
        order.run(),
        "11111111-2222-4333-8444-555555555555".to_owned(),
    );
    let error = fake.shell().reboot(&other_boot).await.unwrap_err();
    assert_eq!(error.kind, HostErrorKind::Failed);
    assert!(error.message.contains("has rebooted already") && !fake.was_rebooted(), "{error}");
}

#[test]
fn a_folder_that_others_can_reach_takes_no_sockets() {
    use std::os::unix::fs::PermissionsExt as _;
    let fake = FakeHost::new();
    std::fs::create_dir(fake.path("fleetmend-ssh")).unwrap();
    std::fs::set_permissions(fake.path("fleetmend-ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = fleetmend::host::ssh::SshShell::new(fake.settings(), &fake.path("")).unwrap_err();
    assert!(error.to_string().contains("others can reach"), "{error}");
    let long = fake.path(&"x".repeat(60));
    assert!(fleetmend::host::ssh::SshShell::new(fake.settings(), &long).unwrap_err().to_string().contains("too long"));
}
