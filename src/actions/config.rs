//! Configure: nova.conf gets the CPU flags that the remedy needs, where the policy lets it be edited.

use async_trait::async_trait;

use super::facts::{facts, raw};
use super::jobs;
use super::{Action, HostMemory, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::host::facts::section;
use crate::host::{Job, JobStatus, RawFacts};
use crate::model::NovaConfHandling;
use crate::remedy::missing_guest_flags;
use crate::run::event::{FaultScope, Intent, StepOutput};

/// The option that gets the flags.
const OPTION: &str = "cpu_model_extra_flags";

/// Edits nova.conf.
pub(super) struct Configure;

/// The configuration file to edit: of several the last one that sets the option counts, and the first one is
/// nova.conf itself.
fn file(raw: &RawFacts) -> Option<String> {
    let prefix = format!("{}/", section::NOVA_CONF);
    let files = raw.sections.iter().filter_map(|(name, section)| {
        let (_, path) = name.strip_prefix(&prefix)?.split_once('/')?;
        Some((path, &section.text))
    });
    let files: Vec<_> = files.collect();
    let sets = |text: &str| text.lines().any(|line| line.trim_start().starts_with(OPTION));
    let setting = files.iter().rev().find(|(_, text)| sets(text));
    setting.or(files.first()).map(|(path, _)| (*path).to_owned())
}

#[async_trait]
impl Action for Configure {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let missing = missing_guest_flags(&facts(cx).await?, &cx.rollout.remedy);
        if missing.is_empty() {
            return Ok(Probe::Done(StepOutput::AlreadySo { note: "nova.conf lacks no flag".to_owned() }));
        }
        let missing = missing.join(", ");
        match cx.rollout.policy.nova_conf {
            NovaConfHandling::Leave => {
                let note = format!("nova.conf lacks {missing}, and the policy leaves it as it is");
                return Ok(Probe::Done(StepOutput::AlreadySo { note }));
            }
            NovaConfHandling::AddFlags => {}
        }
        let unit = HostMemory::unit(cx.run, cx.step).to_string();
        let intent = Intent::Job { unit, summary: format!("add {missing} to {OPTION}"), before: Vec::new() };
        match jobs::status(cx).await? {
            JobStatus::Running => Ok(Probe::InFlight(intent)),
            JobStatus::Ended { .. } | JobStatus::Absent => Ok(Probe::Needed(intent)),
        }
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let raw = raw(cx, &cx.rollout.remedy.inquiry()).await?;
        let flags = missing_guest_flags(&crate::host::facts::parse(&raw), &cx.rollout.remedy);
        let Some(file) = file(&raw) else {
            let what = format!("no nova.conf was read on {}", cx.host.host);
            return Err(StepError::permanent(FaultScope::Host, what));
        };
        if flags.is_empty() {
            return Ok(Accepted::default());
        }
        jobs::start(cx, Job::AddCpuFlags { file, flags }).await
    }

    async fn verify(&self, cx: &StepContext<'_>, intent: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        let ended = jobs::end(cx, "edits nova.conf").await?;
        if ended.status != 0 {
            let what = format!("nova.conf on {host} could not be edited");
            return Err(StepError::permanent(FaultScope::Host, what).because(ended.words()));
        }
        let missing = missing_guest_flags(&facts(cx).await?, &cx.rollout.remedy);
        if missing.is_empty() {
            let note = if let Intent::Job { summary, .. } = intent { summary.clone() } else { String::new() };
            return Ok(StepOutput::Done { note });
        }
        let what = format!("nova.conf on {host} was edited and still lacks {}", missing.join(", "));
        Err(StepError::permanent(FaultScope::Host, what).because(ended.words()))
    }
}
