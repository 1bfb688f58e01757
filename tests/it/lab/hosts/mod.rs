//! The ssh adapter on real hosts. Tests that change a host take turns, and leave it as a working host.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

mod bench;

use std::time::Duration;

use fleetmend::host::ssh::{Become, HostAddress, SshSettings};
use fleetmend::host::{
    FenceOrder, HostErrorKind, HostShell as _, Job, JobOrder, JobStatus, RebootOrder, facts::section,
};
use fleetmend::model::{DomainState, PackageManager, RunId, UnitName};
use tokio::time::Instant;
use uuid::Uuid;

use bench::{
    KERNEL_FILES, Lab, PATIENCE, TURN, downgraded, end_guest, fault, has_fixed_microcode, holds_fixed_microcode, hosts,
    on, quiet, settings, start_guest, subjects, targets, version,
};

#[tokio::test]
async fn every_host_tells_all_of_its_facts_and_who_it_is() {
    let lab = Lab::new();
    for host in hosts() {
        let facts = lab.facts(&host).await;
        assert_eq!(facts.unread, [].into(), "{host}");
        assert!(facts.os.is_some() && facts.cpu.is_some() && facts.boot_id.is_some() && facts.kernel.is_some());
        assert_eq!(facts.packages.iter().filter(|package| package.name.contains("microcode")).count(), 1, "{host}");
        assert!(facts.packages.iter().all(|package| package.name != "nowhere-to-be-found"));
        assert!(facts.domain_capabilities.unwrap().host_model.contains_key("ssbd"), "{host}");
        assert_eq!(facts.nova_conf.unwrap()["libvirt"]["cpu_mode"], ["custom"]);
        let kernel_files = KERNEL_FILES.map(|path| facts.kernel_files[path].as_deref());
        assert_eq!(kernel_files, [Some("Linux"), None], "{host}");
        let identity = lab.shell.identity(&host).await.unwrap();
        assert!(identity.is_known());
        assert_eq!(identity.nova_host.as_deref(), Some(host.as_str()));
        assert_eq!(identity.hostname.as_deref(), Some(host.as_str()));
    }
}

#[tokio::test]
async fn a_user_with_sudo_sees_what_root_sees_and_one_without_makes_up_nothing() {
    let host = hosts().remove(0);
    let user = SshSettings { user: Some("cloud-user".to_owned()), ..settings() };
    let with = Lab::with(SshSettings { privilege: Become::Sudo, ..user.clone() }).facts(&host).await;
    assert_eq!(with.unread, [].into());
    let without = Lab::with(user).facts(&host).await;
    assert_eq!(without.nova_conf, None);
    assert!(without.unread[section::NOVA_CONF].contains("ermission denied"), "{:?}", without.unread);
}

#[tokio::test]
async fn each_way_of_not_getting_in_is_told_apart() {
    let host = hosts().remove(0);
    let kind = async |settings| Lab::with(settings).shell.identity(&host).await.unwrap_err().kind;
    let unknown = SshSettings { options: vec!["UserKnownHostsFile=/dev/null".to_owned()], ..settings() };
    assert_eq!(kind(unknown).await, HostErrorKind::HostKey);
    let stranger = SshSettings { user: Some("stranger".to_owned()), ..settings() };
    assert_eq!(kind(stranger).await, HostErrorKind::AccessDenied);
    let at = |address: &str, port| {
        let place = HostAddress { address: Some(address.to_owned()), port, user: None };
        SshSettings { hosts: [(host.clone(), place)].into(), ..settings() }
    };
    assert_eq!(kind(at(host.as_str(), Some(1))).await, HostErrorKind::Unreachable);
    assert_eq!(kind(at("no-such-host.invalid", None)).await, HostErrorKind::Unreachable);
}

#[tokio::test]
async fn a_name_that_leads_to_another_host_changes_nothing_there() {
    let hosts = hosts();
    let (right, other) = (&hosts[0], &hosts[1]);
    let identity = Lab::new().shell.identity(right).await.unwrap();
    let place = HostAddress { address: Some(other.to_string()), ..HostAddress::default() };
    let astray = Lab::with(SshSettings { hosts: [(right.clone(), place)].into(), ..settings() });
    let boot = astray.shell.boot(right).await.unwrap().id;
    let fence = FenceOrder { host: right.clone(), identity: identity.clone(), up: true };
    assert_eq!(astray.shell.fence(&fence).await.unwrap_err().kind, HostErrorKind::WrongMachine);
    let reboot = RebootOrder::new(quiet(right), identity.clone(), RunId::new(Uuid::now_v7()), boot.clone());
    assert_eq!(astray.shell.reboot(&reboot).await.unwrap_err().kind, HostErrorKind::WrongMachine);
    let unit = UnitName::new(format!("fleetmend-{}-test", Uuid::now_v7()));
    let job = Job::StagePackages(targets(PackageManager::Rpm));
    let order = JobOrder { host: right.clone(), identity, unit: unit.clone(), job, limit: PATIENCE };
    assert_eq!(astray.shell.start_job(&order).await.unwrap_err().kind, HostErrorKind::WrongMachine);
    assert_eq!(astray.shell.job(right, &unit).await.unwrap(), JobStatus::Absent);
    assert_eq!(astray.shell.boot(right).await.unwrap().id, boot);
    assert_eq!(Lab::new().facts(other).await.compute_unit.as_deref(), Some("active"));
}

#[tokio::test]
async fn an_update_survives_the_loss_of_its_connection_and_runs_once() {
    let _turn = TURN.lock().await;
    let lab = Lab::new();
    for (number, host, manager) in subjects() {
        let _healed = downgraded(number, &host, manager);
        lab.done(&host, Job::StagePackages(targets(manager))).await;
        assert!(!has_fixed_microcode(&lab.facts(&host).await), "staging installs nothing");

        lab.fence(&host, true).await;
        fault(number, "slow=2");
        let update = lab.job_order(&host, Job::UpdatePackages(targets(manager))).await;
        lab.shell.start_job(&update).await.unwrap();
        lab.shell.start_job(&update).await.unwrap();
        assert_eq!(lab.shell.job(&host, &update.unit).await.unwrap(), JobStatus::Running);
        fault(number, "drop");
        assert!(lab.shell.job(&host, &update.unit).await.unwrap_err().is_transient());
        super::lab(&["heal", &number.to_string()]);

        let (status, output) = lab.ended(&update).await;
        assert_eq!(status, 0, "{output}");
        assert!(has_fixed_microcode(&lab.facts(&host).await), "{output}");
        let whole = on(&host, &format!("cat /run/fleetmend/{}/output", update.unit));
        assert_eq!(
            whole.matches("update microcode_ctl").count() + whole.matches("install intel-mic").count(),
            1,
            "{whole}"
        );
        assert!(!whole.contains("installed twice") && !whole.contains("dpkg was interrupted"), "{whole}");
        lab.shell.start_job(&update).await.unwrap();
        assert_eq!(lab.ended(&update).await, (0, output), "an ended job is not started again");
        assert_eq!(lab.facts(&host).await.compute_unit.as_deref(), Some("inactive"), "packages leave the fence up");

        lab.shell.forget_job(&host, &update.unit).await.unwrap();
        assert_eq!(lab.shell.job(&host, &update.unit).await.unwrap(), JobStatus::Absent);
        lab.shell.forget_job(&host, &update.unit).await.unwrap();
        lab.fence(&host, false).await;
    }
}

#[tokio::test]
async fn an_update_repairs_what_a_power_cut_left_behind() {
    let _turn = TURN.lock().await;
    let lab = Lab::new();
    for (number, host, manager) in subjects() {
        let _healed = downgraded(number, &host, manager);
        let boot = lab.shell.boot(&host).await.unwrap().id;
        fault(number, "slow=3");
        let cut = lab.job_order(&host, Job::UpdatePackages(targets(manager))).await;
        lab.shell.start_job(&cut).await.unwrap();
        // rpm: the first package is there, and what it replaces has not gone yet; dpkg: one is between two states.
        let end = Instant::now() + PATIENCE;
        loop {
            let facts = lab.facts(&host).await;
            if facts.unread.contains_key(section::DPKG) || holds_fixed_microcode(&facts) {
                break;
            }
            let job = lab.shell.job(&host, &cut.unit).await.unwrap();
            assert!(Instant::now() < end && job == JobStatus::Running, "the update did not begin: {job:?}");
        }
        super::lab(&["power", &number.to_string(), "reset"]);
        lab.new_boot(&host, &boot).await;
        super::lab(&["heal", &number.to_string()]);
        assert_eq!(lab.shell.job(&host, &cut.unit).await.unwrap(), JobStatus::Absent, "jobs end with their boot");

        let (again, output) = lab.done(&host, Job::UpdatePackages(targets(manager))).await;
        let whole = on(&host, &format!("cat /run/fleetmend/{}/output", again.unit));
        let found = if manager == PackageManager::Rpm { "installed twice: " } else { "dpkg was interrupted" };
        assert!(whole.contains(found), "there was something to repair: {whole}");
        let facts = lab.facts(&host).await;
        assert_eq!(facts.unread, [].into());
        for package in ["qemu-kvm-rhev", "qemu-system-x86"] {
            assert!(version(&facts, package).len() <= 1, "{host}: {output}");
        }
        assert!(has_fixed_microcode(&facts), "{output}");
        let sound = if manager == PackageManager::Rpm { "dnf -q check" } else { "dpkg --audit" };
        assert_eq!(on(&host, sound).trim(), "", "{output}");
    }
}

#[tokio::test]
async fn what_was_staged_is_installed_even_when_the_repositories_are_gone() {
    let _turn = TURN.lock().await;
    let lab = Lab::new();
    for (number, host, manager) in subjects() {
        let _healed = downgraded(number, &host, manager);
        lab.done(&host, Job::StagePackages(targets(manager))).await;
        fault(number, "repo-refused");
        let again = lab.job_order(&host, Job::StagePackages(targets(manager))).await;
        assert_ne!(lab.run(&again).await.0, 0, "what cannot be downloaded is not staged");
        let (_, output) = lab.done(&host, Job::UpdatePackages(targets(manager))).await;
        assert!(has_fixed_microcode(&lab.facts(&host).await), "{output}");
    }
}

#[tokio::test]
async fn a_job_over_its_limit_is_ended_and_one_that_fails_says_why() {
    let _turn = TURN.lock().await;
    let lab = Lab::new();
    for (number, host, manager) in subjects() {
        let _healed = downgraded(number, &host, manager);
        let package = if manager == PackageManager::Rpm { "microcode_ctl" } else { "intel-microcode" };
        fault(number, &format!("fail-pre={package}"));
        let failing = lab.job_order(&host, Job::UpdatePackages(targets(manager))).await;
        let (status, output) = lab.run(&failing).await;
        assert_ne!(status, 0, "{output}");
        // dnf goes on for a screen after the scriptlet that failed; the reason is among the last lines all the same.
        let reason = if manager == PackageManager::Rpm { "%prein(microcode_ctl" } else { "intel-microcode" };
        let said = output.split_once("fleetmend: failed with status").unwrap().1;
        assert!(said.contains(reason), "{output}");
        super::lab(&["heal", &number.to_string()]);

        fault(number, "repo-hang");
        let mut slow = lab.job_order(&host, Job::StagePackages(targets(manager))).await;
        slow.limit = Duration::from_secs(2);
        assert_eq!(lab.run(&slow).await.0, 124);
    }
}

#[tokio::test]
async fn cpu_flags_are_added_to_nova_conf_and_read_back() {
    let _turn = TURN.lock().await;
    let lab = Lab::new();
    for (_, host, _) in subjects() {
        let file = "/etc/nova/nova.conf";
        // A rollout that was there before has added its own.
        on(&host, &format!("sed -i 's/^cpu_model_extra_flags.*/cpu_model_extra_flags = pcid, ssbd/' {file}"));
        on(&host, &format!("rm -f {file}.before-fleetmend"));
        let before = on(&host, &format!("cat {file}"));
        let job = Job::AddCpuFlags { file: file.to_owned(), flags: vec!["ssbd".to_owned(), "md-clear".to_owned()] };
        lab.done(&host, job).await;
        let after = on(&host, &format!("cat {file}"));
        assert_eq!(after, before.replace("pcid, ssbd", "pcid, ssbd, md-clear"));
        let conf = lab.facts(&host).await.nova_conf.unwrap();
        assert_eq!(conf["libvirt"]["cpu_model_extra_flags"], ["pcid, ssbd, md-clear"]);
        assert_eq!(on(&host, &format!("stat -c '%U:%G %a' {file} {file}.before-fleetmend | uniq | wc -l")).trim(), "1");
        on(&host, &format!("mv {file}.before-fleetmend {file}"));
    }
}

#[tokio::test]
async fn a_host_reboots_only_when_it_is_fenced_and_nothing_lives_on_it() {
    let _turn = TURN.lock().await;
    let lab = Lab::new();
    for (_, host, _) in subjects() {
        let order = lab.reboot_order(&host).await;
        let unfenced = lab.shell.reboot(&order).await.unwrap_err();
        assert_eq!(unfenced.kind, HostErrorKind::NotQuiet);
        assert!(unfenced.message.contains("is not stopped"), "{unfenced}");

        lab.fence(&host, true).await;
        let guest = start_guest(&host);
        let alive = lab.shell.domains(&host).await.unwrap();
        assert!(alive.iter().any(|domain| domain.id == guest && domain.state == DomainState::Running), "{alive:?}");
        let in_use = lab.shell.reboot(&order).await.unwrap_err();
        assert_eq!(in_use.kind, HostErrorKind::NotQuiet);
        assert!(in_use.message.contains(&guest), "{in_use}");
        end_guest(&host, &guest);

        lab.shell.reboot(&order).await.unwrap();
        let boot = lab.new_boot(&host, order.boot()).await;
        assert_ne!(boot, order.boot());
        let stale = lab.shell.reboot(&order).await.unwrap_err();
        assert_eq!(stale.kind, HostErrorKind::Failed);
        assert!(stale.message.contains("has rebooted already"), "{stale}");
        assert_eq!(lab.shell.boot(&host).await.unwrap().id, boot, "a repeated order reboots nothing");
        lab.fence(&host, false).await;
        assert_eq!(lab.facts(&host).await.compute_unit.as_deref(), Some("active"));
    }
}

#[tokio::test]
async fn a_host_that_loses_its_power_is_noticed_and_found_again() {
    let _turn = TURN.lock().await;
    let lab = Lab::new();
    let (number, host, _) = subjects().remove(0);
    // A shared connection is open when the power goes.
    lab.shell.identity(&host).await.unwrap();
    let boot = lab.shell.boot(&host).await.unwrap().id;
    super::lab(&["power", &number.to_string(), "off"]);
    assert_eq!(lab.shell.domains(&host).await.unwrap_err().kind, HostErrorKind::Unreachable);
    assert_eq!(lab.shell.boot(&host).await.unwrap_err().kind, HostErrorKind::Unreachable);
    super::lab(&["power", &number.to_string(), "on"]);
    lab.new_boot(&host, &boot).await;
    lab.shell.identity(&host).await.unwrap();
}
