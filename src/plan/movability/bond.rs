//! What binds an instance: properties that rule ways out which its status would leave open.

use super::Affinity;
use crate::model::Instance;

/// A property that binds; each has one row in the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bond {
    /// Locked by its owner or an operator.
    Locked,
    /// A mate of its hard affinity group is on the same host.
    Affinity,
    /// A PCI device is passed through to it.
    Pci,
    /// A virtual function of a network card.
    SriovPort,
    /// A virtual GPU or another mediated device.
    Vgpu,
    /// A Cyborg accelerator.
    Accelerator,
    /// Persistent memory.
    Pmem,
    /// Encrypted memory (SEV).
    EncryptedMemory,
    /// An emulated TPM.
    Tpm,
}

/// Prefix of the classes that Nova's PCI tracker reports. Source: `nova.compute.pci_placement_translator`.
const PCI_PREFIX: &str = "CUSTOM_PCI_";

impl Bond {
    /// Each of them, in the order in which they are looked for.
    pub const ALL: [Self; 9] = [
        Self::Locked,
        Self::Affinity,
        Self::Tpm,
        Self::EncryptedMemory,
        Self::Accelerator,
        Self::Pci,
        Self::SriovPort,
        Self::Vgpu,
        Self::Pmem,
    ];

    /// Whether there are clouds in which it comes along live, which Nova does not show: whoever knows may say so of an instance
    /// by name.
    pub fn may_come_along(self) -> bool {
        matches!(self, Self::Locked | Self::Pci | Self::SriovPort | Self::Vgpu)
    }

    /// What binds `instance`, in the words of whatever showed it.
    pub fn seen(self, instance: &Instance, affinity: &Affinity) -> Option<String> {
        match self {
            Self::Locked => instance.locked.then(|| "it is locked".to_owned()),
            Self::Affinity => {
                affinity.is_held(instance).then(|| "its affinity group holds it beside a mate on this host".to_owned())
            }
            Self::Pci => held(instance, |class| class.starts_with(PCI_PREFIX))
                .or_else(|| asked(instance, &["pci_passthrough:alias"], &[])),
            Self::SriovPort => held(instance, |class| class == "SRIOV_NET_VF"),
            Self::Vgpu => held(instance, |class| class == "VGPU" || class == "PGPU")
                .or_else(|| asked(instance, &["resources:VGPU"], &[])),
            Self::Accelerator => {
                held(instance, |class| class == "FPGA").or_else(|| asked(instance, &["accel:device_profile"], &[]))
            }
            Self::Pmem => asked(instance, &["hw:pmem"], &[]),
            Self::EncryptedMemory => asked(instance, &["hw:mem_encryption"], &["hw_mem_encryption"]),
            Self::Tpm => asked(instance, &["hw:tpm_version"], &["hw_tpm_version"]),
        }
    }
}

/// A device that Placement says is allocated to it.
fn held(instance: &Instance, is_device: impl Fn(&str) -> bool) -> Option<String> {
    let mut classes = instance.resources.iter().filter(|(_, amount)| *amount > 0).map(|(class, _)| class);
    classes.find(|class| is_device(class)).map(|class| format!("it holds a device ({class})"))
}

/// Something that its flavor or its image asks for; `false` asks for nothing.
fn asked(instance: &Instance, specs: &[&str], properties: &[&str]) -> Option<String> {
    let is_meant = |value: &String| !value.is_empty() && !value.eq_ignore_ascii_case("false");
    let in_flavor =
        |key: &&&str| instance.flavor.as_ref().and_then(|flavor| flavor.extra_specs.get(**key)).is_some_and(is_meant);
    let in_image = |key: &&&str| instance.image.get(**key).is_some_and(is_meant);
    let flavor = specs.iter().find(in_flavor).map(|key| format!("its flavor asks for {key}"));
    flavor.or_else(|| properties.iter().find(in_image).map(|key| format!("its image asks for {key}")))
}
