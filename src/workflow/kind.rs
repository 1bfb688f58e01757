//! Kinds of steps, in the order in which one host goes through them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::FailureCause;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),* $(,)?) => {
        /// What a step does. Its name is the second part of a step's id.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum StepKind {
            $($(#[$doc])* $variant,)*
        }

        impl StepKind {
            /// Every kind, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The kind's name in ids and files.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// It is the machine of the plan, nobody else holds it, and a reboot can mitigate.
    Identify = "identify",
    /// Its service is taken out of service with our mark.
    Disable = "disable",
    /// Others are told that the host is worked on; told again while it lasts.
    Hook = "hook",
    /// Updates are downloaded while instances still move.
    Stage = "stage",
    /// What leaves and what stays, from fresh facts.
    Resolve = "resolve",
    /// One instance leaves.
    Move = "move",
    /// One instance that stays is stopped, after all that leave have left.
    Stop = "stop",
    /// nova-compute is stopped, so that no owner starts what stays.
    Fence = "fence",
    /// Packages are updated.
    Update = "update",
    /// nova.conf is edited where remedy and policy say so.
    Configure = "configure",
    /// All that can be seen before a reboot is as the remedy wants it.
    VerifyConfig = "verify-config",
    /// An executable that a remedy or policy adds.
    Command = "command",
    /// A playbook that a remedy or policy adds.
    Ansible = "ansible",
    /// Proven quiet, then rebooted.
    Reboot = "reboot",
    /// nova-compute reports again.
    Return = "return",
    /// The remedy's evidence holds.
    Evidence = "evidence",
    /// One instance that we stopped runs again.
    Start = "start",
    /// Its service is put back into service.
    Enable = "enable",
    /// What others were told is taken back.
    Unhook = "unhook",
    /// The scheduler had time to see the host as it is.
    Settle = "settle",
    /// A tiny instance is booted onto it, seen running, and deleted; only where the policy has one.
    Probe = "probe",
    /// Of an instance that stands in the place of a host: it is stopped, started, and its processor looked at.
    ColdBoot = "cold-boot",
    /// Aftercare of a failed host: the fence comes down, so that owners can use what stays.
    Unfence = "unfence",
    /// Aftercare of a failed host: its `disabled_reason` says why.
    Quarantine = "quarantine",
}

impl StepKind {
    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// What a host failed in that failed in such a step.
    pub const fn cause(self) -> FailureCause {
        match self {
            Self::Identify | Self::Disable | Self::Hook | Self::Resolve | Self::Move | Self::Stop => {
                FailureCause::Drain
            }
            Self::Stage | Self::Update | Self::Configure | Self::VerifyConfig | Self::Command | Self::Ansible => {
                FailureCause::Update
            }
            Self::Fence | Self::Reboot | Self::Return | Self::Unfence | Self::ColdBoot => FailureCause::Reboot,
            Self::Evidence => FailureCause::Evidence,
            Self::Start | Self::Enable | Self::Unhook | Self::Settle | Self::Probe | Self::Quarantine => {
                FailureCause::Enable
            }
        }
    }

    /// Whether the step belongs to the ordinary way of a host alone, and not to the aftercare of a failed one as well.
    pub const fn is_ordinary(self) -> bool {
        !matches!(self, Self::Unfence | Self::Quarantine | Self::Unhook)
    }

    /// Whether an owner is owed the step whatever becomes of its host and of the run: its instance ran until we stopped it.
    pub const fn is_owed(self) -> bool {
        matches!(self, Self::Start)
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
