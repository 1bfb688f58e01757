//! The movability matrix: for each way in which an instance can stand and for each thing that binds it, what Nova lets be
//! done with it, why, and what the policy may choose. Planner, engine and the page `docs/movability.md` read this table.

use std::fmt::Write as _;

use super::{Bond, Standing};

/// What Nova lets be done with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each way is open or not whatever the others are")]
pub struct Ways {
    /// Live migration.
    pub live: bool,
    /// Cold migration.
    pub cold: bool,
    /// Stopped before its host's reboot and started after it.
    pub stop: bool,
    /// Left as it is: nothing of it runs that a reboot would end.
    pub rest: bool,
}

impl Ways {
    const NONE: Self = Self { live: false, cold: false, stop: false, rest: false };

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            live: self.live && other.live,
            cold: self.cold && other.cold,
            stop: self.stop && other.stop,
            rest: self.rest && other.rest,
        }
    }
}

/// The field of the policy that decides; `instances.named` and what owners say come before all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It is moved live, unless something binds it.
    Moved,
    /// `instances.stopped`.
    Stopped,
    /// `instances.paused`.
    Paused,
    /// `instances.suspended`.
    Suspended,
    /// `instances.cannot_move`.
    CannotMove,
    /// `instances.locked`.
    Locked,
    /// Nothing is to be decided.
    Nothing,
}

impl Rule {
    fn field(self) -> &'static str {
        match self {
            Self::Moved => "-",
            Self::Stopped => "`instances.stopped`",
            Self::Paused => "`instances.paused`",
            Self::Suspended => "`instances.suspended`",
            Self::CannotMove => "`instances.cannot_move`",
            Self::Locked => "`instances.locked`",
            Self::Nothing => "nothing",
        }
    }
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What is seen of the instance, in Nova's words.
    pub seen: &'static str,
    /// What Nova lets be done with it.
    pub ways: Ways,
    /// What of the policy decides.
    pub rule: Rule,
    /// Why.
    pub why: &'static str,
}

/// A row: ways are letters of `L`ive, `C`old, `S`top and `R`est.
const fn row(seen: &'static str, ways: &'static str, rule: Rule, why: &'static str) -> Row {
    let mut open = Ways::NONE;
    let (letters, mut at) = (ways.as_bytes(), 0);
    while at < letters.len() {
        match letters[at] {
            b'L' => open.live = true,
            b'C' => open.cold = true,
            b'S' => open.stop = true,
            b'R' => open.rest = true,
            _ => panic!("L, C, S or R"),
        }
        at += 1;
    }
    Row { seen, ways: open, rule, why }
}

impl Standing {
    /// Its row. What Nova accepts is that of `check_instance_state` in `nova/compute/api.py`, as seen on real regions
    /// (`docs/facts/nova.md`).
    pub const fn row(self) -> Row {
        match self {
            Self::Running => row("ACTIVE", "LCS", Rule::Moved, "it runs: a reboot would end it"),
            Self::Paused => {
                row("PAUSED", "L", Rule::Paused, "its memory would be lost; Nova neither stops nor cold-migrates it")
            }
            Self::Off => row("SHUTOFF", "CR", Rule::Stopped, "nothing of it runs"),
            Self::Suspended => {
                row("SUSPENDED", "R", Rule::Suspended, "its memory is on its host's disk; Nova moves it in no way")
            }
            Self::Shelved => row("SHELVED", "R", Rule::Stopped, "nothing of it runs; Nova offloads it by itself"),
            Self::Nowhere => row("SHELVED_OFFLOADED, DELETED", "R", Rule::Nothing, "it is on no host"),
            Self::SoftDeleted => row("SOFT_DELETED", "R", Rule::Stopped, "it is off until it is restored or reclaimed"),
            Self::Rescued => {
                row("RESCUE", "", Rule::CannotMove, "it runs a rescue image; its owner has to unrescue it")
            }
            Self::Resized => {
                row("VERIFY_RESIZE", "", Rule::CannotMove, "its owner has to confirm or revert the resize first")
            }
            Self::Broken => {
                row("ERROR", "", Rule::CannotMove, "whether its guest runs is to be seen; Nova migrates it in no way")
            }
            Self::BrokenOff => row("ERROR without power", "R", Rule::CannotMove, "nothing of it runs"),
            Self::Changing => row(
                "a task_state, BUILD, MIGRATING, RESIZE, REBUILD, REBOOT, PASSWORD",
                "",
                Rule::CannotMove,
                "it ends by itself: a run waits for it (`patience.transition`)",
            ),
            Self::Unknown => {
                row("UNKNOWN, any other status", "", Rule::CannotMove, "what Nova lets be done is not known")
            }
        }
    }
}

impl Bond {
    /// Its row: what it leaves open of what the status allows.
    pub const fn row(self) -> Row {
        match self {
            Self::Locked => row(
                "`locked`",
                "LCSR",
                Rule::Locked,
                "Nova stops owners, not admins: respecting the lock is ours to do",
            ),
            Self::Affinity => row(
                "a mate of its `affinity` group on the same host",
                "SR",
                Rule::CannotMove,
                "Nova's filter lets neither of them go first",
            ),
            Self::Pci => row(
                "`pci_passthrough:alias`, or a class `CUSTOM_PCI_*` in Placement",
                "CSR",
                Rule::CannotMove,
                "a passed-through device does not come along live",
            ),
            Self::SriovPort => row(
                "`SRIOV_NET_VF` in Placement",
                "CSR",
                Rule::CannotMove,
                "live only where the driver lets the function be unplugged, which Nova does not show",
            ),
            Self::Vgpu => row(
                "`VGPU` or `PGPU` in Placement or flavor",
                "CSR",
                Rule::CannotMove,
                "live from Nova 29 on with libvirt 8.6, QEMU 8.1 and a kernel that can, which Nova does not show",
            ),
            Self::Accelerator => row(
                "`accel:device_profile`, or `FPGA` in Placement",
                "SR",
                Rule::CannotMove,
                "Nova refuses to migrate what holds a Cyborg accelerator (403)",
            ),
            Self::Pmem => row("`hw:pmem`", "CSR", Rule::CannotMove, "Nova refuses to move persistent memory live"),
            Self::EncryptedMemory => row(
                "`hw:mem_encryption`, `hw_mem_encryption`",
                "CSR",
                Rule::CannotMove,
                "Nova refuses to move encrypted memory live (409)",
            ),
            Self::Tpm => row(
                "`hw:tpm_version`, `hw_tpm_version`",
                "R",
                Rule::CannotMove,
                "its TPM's secret is its owner's: Nova refuses a live migration (409), and no admin can start it elsewhere or again",
            ),
        }
    }
}

/// What decides about the target only.
const NO_BONDS: [(&str, &str); 8] = [
    (
        "`hw:mem_page_size`, `hw:numa_nodes`, `hw:cpu_policy`, `hw:cpu_realtime`",
        "moved live (Nova 20 on); only to a host whose cells have room",
    ),
    ("an availability zone that it was asked to be in (2.96)", "moved; only within that zone"),
    ("a member of an `anti-affinity` group", "moved; only to where not too many of its mates are"),
    (
        "local, ephemeral and swap disks, with shared storage or without",
        "moved; `block_migration: auto` copies what is not shared, and the limits grow with the disk",
    ),
    ("a config drive", "moved; it is copied with the disks"),
    ("volumes, also one that it boots from", "moved; they are attached there"),
    ("required traits, aggregates, processors", "moved; only to where they hold"),
    (
        "ports with and without SR-IOV that Placement does not count",
        "moved; Nova checks them itself, and a refusal is told in its words",
    ),
];

fn yes(way: bool) -> &'static str {
    if way { "yes" } else { "no" }
}

fn table(out: &mut String, rows: impl Iterator<Item = Row>) {
    out.push_str(
        "| what is seen | live | cold | stop-in-place | leave | decided by | why |\n|---|---|---|---|---|---|---|\n",
    );
    for Row { seen, ways, rule, why } in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| {seen} | {} | {} | {} | {} | {} | {why} |",
            yes(ways.live),
            yes(ways.cold),
            yes(ways.stop),
            yes(ways.rest),
            rule.field()
        );
    }
}

/// The matrix as the page `docs/movability.md`.
pub fn page() -> String {
    let mut out = String::from(
        "# What leaves, what stays, and who decides\n\n\
         This page is generated from the table that planner and engine ask (`src/plan/movability/matrix.rs`); a test holds it \
         to that.\n\n\
         An instance can do what its status *and* everything that binds it allow. The policy chooses among that: \
         `instances.named` by id first, then what the owner says where `instances.owners` lets owners decide, then the field \
         in the table. What runs and cannot be moved live as chosen falls to `instances.cannot_move`; with its default, \
         `skip-host`, the host is left alone and `plan` lists the instance with its project and reason. An instance named with \
         `live-migrate` is moved live although it is locked or holds a device of which Nova does not show whether it comes \
         along.\n\n## How it stands\n\n",
    );
    table(&mut out, Standing::ALL.into_iter().map(Standing::row));
    out.push_str("\n## What binds it\n\n");
    table(&mut out, Bond::ALL.into_iter().map(Bond::row));
    out.push_str("\n## What only decides where it can go\n\n| what is seen | what becomes of it |\n|---|---|\n");
    for (seen, becomes) in NO_BONDS {
        let _ = writeln!(out, "| {seen} | {becomes} |");
    }
    out
}
