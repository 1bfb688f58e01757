//! nova.conf held to the CPU flag that guests must get.
//!
//! `host-model` and `host-passthrough` pass on what the host has; `custom` only what is written. Source: Nova's
//! configuration reference, `[libvirt] cpu_mode`, `cpu_models`, `cpu_model_extra_flags`.

use super::{Finding, unread};
use crate::model::HostFacts;
use crate::remedy::{CompanionFlag, GuestRequirement, Outcome};

/// What nova.conf says about the flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GuestFinding {
    requirement: String,
    /// The settings that decide, in words.
    pub(crate) found: Option<String>,
    /// How it came out.
    pub(crate) outcome: Outcome,
    /// Flags whose addition to `cpu_model_extra_flags` would make it pass; empty when it passes, or when adding flags
    /// is no help.
    pub(crate) to_add: Vec<String>,
}

impl From<GuestFinding> for Finding {
    fn from(finding: GuestFinding) -> Self {
        Self::new(finding.requirement, "nova.conf", finding.found, finding.outcome)
    }
}

/// The options of `[libvirt]` that decide what CPU guests get.
struct Settings<'a> {
    mode: Option<&'a str>,
    virt_type: Option<&'a str>,
    models: Vec<&'a str>,
    extra_flags: Vec<String>,
}

/// Holds nova.conf to the flag that guests must get.
pub(crate) fn guest_finding(facts: &HostFacts, guests: &GuestRequirement) -> GuestFinding {
    let flag = &guests.cpu_flag;
    let requirement = format!("guests get `{flag}`");
    let Some(settings) = Settings::read(facts) else {
        let found = unread(facts, "nova-conf");
        return GuestFinding { requirement, found, outcome: Outcome::Unknown, to_add: Vec::new() };
    };
    let (outcome, why, to_add) = settings.judge(guests);
    let found = [Some(settings.in_words()), why].into_iter().flatten().collect::<Vec<_>>().join(": ");
    GuestFinding { requirement, found: Some(found), outcome, to_add }
}

impl<'a> Settings<'a> {
    fn read(facts: &'a HostFacts) -> Option<Self> {
        let conf = facts.nova_conf.as_ref()?;
        // Of an option's values the last one counts.
        let option = |name: &str| Some(conf.get("libvirt")?.get(name)?.last()?.trim()).filter(|text| !text.is_empty());
        let list = |name: &str| option(name).into_iter().flat_map(elements).collect::<Vec<_>>();
        let models = list("cpu_models");
        Some(Self {
            mode: option("cpu_mode"),
            virt_type: option("virt_type"),
            models: if models.is_empty() { list("cpu_model") } else { models },
            extra_flags: list("cpu_model_extra_flags").into_iter().map(str::to_ascii_lowercase).collect(),
        })
    }

    fn judge(&self, guests: &GuestRequirement) -> (Outcome, Option<String>, Vec<String>) {
        let flag = guests.cpu_flag.to_ascii_lowercase();
        if self.extra_flags.contains(&format!("-{flag}")) {
            return (Outcome::Fail, Some(format!("`-{flag}` takes it away")), Vec::new());
        }
        match self.mode.map(str::to_ascii_lowercase).as_deref() {
            Some("host-model" | "host-passthrough") => (Outcome::Pass, None, Vec::new()),
            Some("custom") => self.judge_custom(guests, &flag),
            Some("none") => (Outcome::Fail, Some("guests get no flags of the host".to_owned()), Vec::new()),
            Some(_) => (Outcome::Unknown, Some("a CPU mode that is not known here".to_owned()), Vec::new()),
            // Nova's default is host-model where libvirt runs QEMU, and none elsewhere.
            None => match self.virt_type {
                None | Some("kvm" | "qemu") => (Outcome::Pass, None, Vec::new()),
                Some(other) => {
                    (Outcome::Fail, Some(format!("with {other} the default CPU mode is `none`")), Vec::new())
                }
            },
        }
    }

    fn judge_custom(&self, guests: &GuestRequirement, flag: &str) -> (Outcome, Option<String>, Vec<String>) {
        let missing: Vec<String> =
            guests.together_with.iter().filter(|one| !self.has_companion(one)).map(|one| one.flag.clone()).collect();
        if !self.has(flag) {
            let why = format!("a custom model needs `{flag}` in `cpu_model_extra_flags`");
            return (Outcome::Fail, Some(why), [missing, vec![guests.cpu_flag.clone()]].concat());
        }
        if missing.is_empty() {
            return (Outcome::Pass, None, Vec::new());
        }
        (Outcome::Warn, Some(format!("without `{}`", missing.join(","))), missing)
    }

    /// Whether the flag is given, with or without the sign that newer releases allow.
    fn has(&self, flag: &str) -> bool {
        self.extra_flags.iter().any(|one| one.strip_prefix('+').unwrap_or(one) == flag)
    }

    /// Whether the flag is given, or every model contains it.
    fn has_companion(&self, companion: &CompanionFlag) -> bool {
        let contains = |model: &&str| companion.contained_in.iter().any(|ending| model.ends_with(ending.as_str()));
        self.has(&companion.flag.to_ascii_lowercase()) || (!self.models.is_empty() && self.models.iter().all(contains))
    }

    fn in_words(&self) -> String {
        let mode = match (self.mode, self.virt_type) {
            (Some(mode), _) => format!("cpu_mode={mode}"),
            (None, Some(virt_type)) => format!("cpu_mode is not set, virt_type={virt_type}"),
            (None, None) => "cpu_mode is not set".to_owned(),
        };
        let models = (!self.models.is_empty()).then(|| format!(" {}", self.models.join(",")));
        let flags = (!self.extra_flags.is_empty()).then(|| format!(" with {}", self.extra_flags.join(",")));
        [Some(mode), models, flags].into_iter().flatten().collect()
    }
}

/// Elements of a list option, which may be continued over lines.
fn elements(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n']).map(|element| element.trim().trim_matches(['[', ']', '"', '\''])).filter(|e| !e.is_empty())
}
