//! What a simulated host prints, in the formats of [`crate::host::facts`]: the same parsers read it as read a real one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::world::{Machine, Os, Processor, SimHost, World};
use crate::host::facts::{STATUS_NOT_THERE, section};
use crate::host::{Inquiry, KernelFile, RawFacts, Section};
use crate::model::DomainState;

/// Path of nova.conf on every simulated host.
pub const NOVA_CONF: &str = "/etc/nova/nova.conf";

/// Flags of a Skylake server, `md_clear` aside.
const CPU_FLAGS: &str = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse \
                         sse2 ss ht syscall nx pdpe1gb rdtscp lm constant_tsc pni pclmulqdq vmx ssse3 fma cx16 pcid \
                         sse4_1 sse4_2 x2apic movbe popcnt aes xsave avx f16c rdrand lahf_lm abm avx2 spec_ctrl \
                         intel_stibp flush_l1d ssbd";

/// nova.conf of a host whose guests get a named CPU model and flags of their own.
pub const NOVA_CONF_CUSTOM: &str = "[DEFAULT]\n\
    compute_driver = libvirt.LibvirtDriver\n\n\
    [libvirt]\n\
    virt_type = kvm\n\
    cpu_mode = custom\n\
    # the CPU model of the oldest compute node in the cell\n\
    cpu_model = IvyBridge\n\
    cpu_model_extra_flags = pcid, ssbd\n\n\
    [vnc]\n\
    enabled = true\n";

/// nova.conf of a host whose guests get the host's CPU model.
pub const NOVA_CONF_HOST_MODEL: &str = "[DEFAULT]\n\
    compute_driver = libvirt.LibvirtDriver\n\n\
    [libvirt]\n\
    virt_type = kvm\n\
    cpu_mode = host-model\n";

/// Everything that one collection reads on `host`; of packages and of the kernel's files only those asked for.
pub fn collect(world: &World, host: &SimHost, inquiry: &Inquiry) -> RawFacts {
    let machine = &host.machine;
    let mut raw = RawFacts::default();
    let mut put = |name: &str, status: i32, text: String| {
        raw.sections.insert(name.to_owned(), Section { status, text });
    };
    let name = |known: &Option<String>| format!("{}\n", known.as_deref().unwrap_or_default());
    let uptime = world.now().duration_since(machine.boot.at).as_secs().max(0);
    put(section::CLOCK, 0, format!("{}\n", world.now().as_second()));
    put(section::MACHINE_ID, 0, name(&machine.identity.machine_id));
    put(section::HOSTNAME, 0, name(&machine.identity.hostname));
    put(section::NOVA_HOST, 0, name(&machine.identity.nova_host));
    put(section::OS_RELEASE, 0, os_release(machine.os).to_owned());
    put(section::ARCHITECTURE, 0, "x86_64\n".to_owned());
    put(section::CPUINFO, 0, cpuinfo(machine));
    put(section::NUMA, STATUS_NOT_THERE, String::new());
    put(section::KERNEL, 0, format!("{}\n", machine.boot.kernel));
    put(section::DEFAULT_KERNEL, 0, format!("/boot/vmlinuz-{}\n", machine.default_kernel));
    put(section::COMMAND_LINE, 0, format!("BOOT_IMAGE=/vmlinuz-{} root=/dev/mapper/root ro\n", machine.boot.kernel));
    put(section::DEFAULT_COMMAND_LINE, 0, "root=/dev/mapper/root ro\n".to_owned());
    put(section::BOOT_ID, 0, format!("{}\n", machine.boot.id));
    put(section::UPTIME, 0, format!("{uptime}.00 {uptime}.00\n"));
    let (here, absent) = match machine.os {
        Os::El7 => (section::RPM, section::DPKG),
        Os::Bionic => (section::DPKG, section::RPM),
    };
    put(here, 0, package_lines(machine, &inquiry.packages));
    put(absent, STATUS_NOT_THERE, String::new());
    put(section::VULNERABILITIES, 0, vulnerabilities(machine));
    put(section::KERNEL_FILES, 0, inquiry.kernel_files.iter().map(|file| kernel_file(machine, file)).collect());
    put(section::PENDING_REBOOT, 0, pending_reboot(machine));
    put(section::KERNEL_LOG, 0, kernel_log(machine));
    put(section::DOMAIN_CAPABILITIES, 0, domain_capabilities(machine));
    put(section::DOMAINS, 0, domains(host));
    if inquiry.guest_flags.is_empty() {
        put(section::GUESTS, STATUS_NOT_THERE, String::new());
    } else {
        put(section::GUESTS, 0, guests(world, host, &inquiry.guest_flags));
    }
    put(&section::nova_conf(0, NOVA_CONF), 0, machine.nova_conf.clone());
    put(section::UNITS, 0, "openstack-nova-compute.service\nlibvirtd.service\nsshd.service\n".to_owned());
    put(section::PROCESSES, 0, String::new());
    put(section::CONTAINERS, STATUS_NOT_THERE, String::new());
    put(section::GATEWAY, STATUS_NOT_THERE, String::new());
    put(section::FREE, 0, "/ 5000000 4096\n/boot 150000 4096\n".to_owned());
    put(section::USER_ID, 0, "0\n".to_owned());
    put(section::ADDRESSES, STATUS_NOT_THERE, String::new());
    if inquiry.repositories {
        put(section::REPOSITORIES, 0, "+ base\n+ updates\n".to_owned());
    }
    let active = if host.compute.is_started() { "active" } else { "inactive" };
    put(section::COMPUTE_UNIT, 0, format!("LoadState=loaded\nActiveState={active}\n"));
    put(section::FINGERPRINT, 0, fingerprint(machine));
    put(section::HOLDS, 0, String::new());
    raw
}

/// What a reboot can take from a simulated machine: one of its links.
fn fingerprint(machine: &Machine) -> String {
    let mut text = "agent neutron-openvswitch-agent\tactive\ncpus\t64\nlink ens1\tup\nmemory\t263000000\n".to_owned();
    if !machine.lost_a_link {
        text.push_str("link ens2\tup\n");
    }
    text.push_str("mount /var/lib/nova/instances\t\ntime\tyes\n");
    text
}

fn os_release(os: Os) -> &'static str {
    match os {
        Os::El7 => {
            "NAME=\"Red Hat Enterprise Linux Server\"\nVERSION=\"7.6 (Maipo)\"\nID=\"rhel\"\nID_LIKE=\"fedora\"\n\
             VERSION_ID=\"7.6\"\nPRETTY_NAME=\"Red Hat Enterprise Linux Server 7.6 (Maipo)\"\n"
        }
        Os::Bionic => {
            "NAME=\"Ubuntu\"\nVERSION=\"18.04.2 LTS (Bionic Beaver)\"\nID=ubuntu\nID_LIKE=debian\n\
             PRETTY_NAME=\"Ubuntu 18.04.2 LTS\"\nVERSION_ID=\"18.04\"\n"
        }
    }
}

fn cpuinfo(machine: &Machine) -> String {
    let md_clear = if machine.has_md_clear() && machine.kernel_has_fix() { " md_clear" } else { "" };
    let model = match machine.processor {
        Processor::Affected => "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz",
        Processor::NotAffected => "Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz",
    };
    format!(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\nmodel name\t: {model}\n\
         stepping\t: 4\nmicrocode\t: {:#x}\ncpu MHz\t\t: 2100.000\nflags\t\t: {CPU_FLAGS}{md_clear}\n",
        machine.boot.microcode
    )
}

fn package_lines(machine: &Machine, wanted: &BTreeSet<String>) -> String {
    let mut lines = String::new();
    for (name, versions) in &machine.packages {
        if !wanted.contains(name) {
            continue;
        }
        for version in versions {
            let line = match machine.os {
                Os::El7 => format!("{name} {version} x86_64\n"),
                Os::Bionic => format!("{name} {version} amd64 installed\n"),
            };
            lines.push_str(&line);
        }
    }
    lines
}

/// The kernel's own word on MDS; none of a kernel that does not know of it.
fn mds(machine: &Machine) -> Option<&'static str> {
    if !machine.kernel_has_fix() {
        return None;
    }
    Some(match machine.processor {
        Processor::NotAffected => "Not affected",
        Processor::Affected if machine.has_md_clear() => "Mitigation: Clear CPU buffers",
        Processor::Affected => "Vulnerable: Clear CPU buffers attempted, no microcode",
    })
}

fn vulnerabilities(machine: &Machine) -> String {
    let mut text = "l1tf: Mitigation: PTE Inversion; VMX: conditional cache flushes, SMT vulnerable\n".to_owned();
    if let Some(mds) = mds(machine) {
        let smt = if machine.processor == Processor::Affected { "; SMT vulnerable" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "mds: {mds}{smt}");
    }
    text.push_str("meltdown: Mitigation: PTI\nspectre_v2: Mitigation: IBRS (kernel), IBPB\n");
    text
}

/// What the few files that simulated hosts have say; there are no others.
fn kernel_file(machine: &Machine, file: &KernelFile) -> String {
    let path = file.as_str();
    match path {
        "/sys/module/kvm_intel/parameters/vmentry_l1d_flush" => format!("= {path} cond\n"),
        "/sys/devices/system/cpu/smt/control" if machine.processor == Processor::Affected => format!("= {path} on\n"),
        "/sys/devices/system/cpu/smt/control" => format!("= {path} off\n"),
        _ => format!("- {path}\n"),
    }
}

/// As `needs-restarting -r` and `/run/reboot-required` have it: due once another kernel is next.
fn pending_reboot(machine: &Machine) -> String {
    if machine.default_kernel == machine.boot.kernel { "no\n".to_owned() } else { "yes\nkernel\n".to_owned() }
}

fn kernel_log(machine: &Machine) -> String {
    let mut text = format!(
        "[    0.000000] Linux version {}\n[    0.033902] Spectre V2 : Mitigation: IBRS (kernel)\n",
        machine.boot.kernel
    );
    if let Some(mds) = mds(machine).filter(|_| machine.processor == Processor::Affected) {
        let _ = writeln!(text, "[    0.034005] MDS: {mds}");
    }
    text
}

fn domain_capabilities(machine: &Machine) -> String {
    let mut features = vec!["vme", "ss", "vmx", "spec-ctrl", "stibp", "ssbd"];
    if machine.offers_md_clear() {
        features.push("md-clear");
    }
    if machine.processor == Processor::NotAffected {
        features.push("mds-no");
    }
    let features: Vec<String> =
        features.iter().map(|feature| format!("      <feature policy='require' name='{feature}'/>\n")).collect();
    let features = features.concat();
    format!(
        "<domainCapabilities>\n  <path>/usr/libexec/qemu-kvm</path>\n  <domain>kvm</domain>\n  \
         <machine>pc-i440fx-rhel7.6.0</machine>\n  <arch>x86_64</arch>\n  <cpu>\n    \
         <mode name='host-passthrough' supported='yes'/>\n    <mode name='host-model' supported='yes'>\n      \
         <model fallback='forbid'>Skylake-Server-IBRS</model>\n      <vendor>Intel</vendor>\n{features}    </mode>\n    \
         <mode name='custom' supported='yes'>\n      <model usable='yes'>IvyBridge</model>\n      \
         <model usable='yes'>IvyBridge-IBRS</model>\n      <model usable='yes'>Skylake-Server-IBRS</model>\n      \
         <model usable='no'>EPYC</model>\n    </mode>\n  </cpu>\n</domainCapabilities>\n"
    )
}

/// The word of `virsh domstate`.
pub fn domain_state_word(state: DomainState) -> &'static str {
    match state {
        DomainState::Running => "running",
        DomainState::Paused => "paused",
        DomainState::ShutOff => "shut off",
        DomainState::Crashed => "crashed",
        DomainState::Other => "no state",
    }
}

fn domains(host: &SimHost) -> String {
    let lines = host.domains.iter();
    let lines: Vec<String> =
        lines.map(|(id, domain)| format!("{id}\t{}\t{}\n", domain_state_word(domain.state), domain.name)).collect();
    lines.concat()
}

/// The processors of the guests that run, with the flags that are asked for.
fn guests(world: &World, host: &SimHost, flags: &BTreeSet<String>) -> String {
    let mut text = String::new();
    for (id, _) in host.domains.iter().filter(|(_, domain)| domain.state.would_be_lost() && !domain.incoming) {
        let has = world.server(*id).is_ok_and(|server| server.has_md_clear);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "= {id} -\n  <cpu mode='custom' match='exact' check='full'>\n    <model>Skylake-Server</model>"
        );
        if has && flags.contains("md-clear") {
            text.push_str("    <feature policy='require' name='md-clear'/>\n");
        }
        text.push_str("  </cpu>\n");
    }
    text
}
