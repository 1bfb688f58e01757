//! Evidence: what can be seen before the reboot, and the proof after it.

use async_trait::async_trait;

use super::facts::facts;
use super::poll::{Wait, doing};
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::model::{HostFacts, OnFailure};
use crate::remedy::{Evidence as Piece, Outcome, Verdict, VerdictKind, assess, assess_before_reboot};
use crate::run::event::{FaultScope, Intent, StepOutput};

/// The pieces of evidence that came out as `outcome`, in words.
fn pieces(verdict: &Verdict, outcome: Outcome) -> String {
    let told = |piece: &Piece| match &piece.found {
        Some(found) => format!("{}: {} says {found}", piece.requirement, piece.source),
        None => format!("{}: nothing seen in {}", piece.requirement, piece.source),
    };
    let of_it = verdict.evidence.iter().filter(|piece| piece.outcome == outcome);
    of_it.map(told).collect::<Vec<_>>().join("; ")
}

/// What the host could not tell, in words.
fn unseen(verdict: &Verdict, found: &HostFacts) -> String {
    let unread = found.unread.iter().map(|(part, why)| format!("{part}: {why}"));
    std::iter::once(pieces(verdict, Outcome::Unknown)).chain(unread).collect::<Vec<_>>().join("; ")
}

/// Whether the verdict is a good one.
fn is_good(verdict: &Verdict) -> bool {
    match verdict.verdict {
        VerdictKind::Mitigated | VerdictKind::NotAffected => true,
        VerdictKind::Vulnerable | VerdictKind::Unknown => false,
    }
}

/// That everything that can be seen before the reboot is as the remedy wants it: an outage is not spent on less.
pub(super) struct VerifyConfig;

#[async_trait]
impl Action for VerifyConfig {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let verdict = assess_before_reboot(&facts(cx).await?, &cx.rollout.remedy);
        if is_good(&verdict) {
            let note = "all that can be seen before the reboot is as the remedy wants it".to_owned();
            return Ok(Probe::Done(StepOutput::AlreadySo { note }));
        }
        let what = format!("{} is ready for its reboot", cx.host.host);
        Ok(Probe::Needed(Intent::Await { what, until: None }))
    }

    async fn apply(&self, _: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        Ok(Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        let found = facts(cx).await?;
        let verdict = assess_before_reboot(&found, &cx.rollout.remedy);
        match verdict.verdict {
            VerdictKind::Mitigated | VerdictKind::NotAffected => {
                let note = "all that can be seen before the reboot is as the remedy wants it".to_owned();
                Ok(StepOutput::Done { note })
            }
            VerdictKind::Vulnerable => {
                let what = format!("a reboot of {host} would not mitigate it");
                Err(StepError::permanent(FaultScope::Host, what).because(pieces(&verdict, Outcome::Fail)))
            }
            VerdictKind::Unknown => {
                let what = format!("{host} does not show whether a reboot would mitigate it");
                Err(StepError::transient(FaultScope::Host, what).because(unseen(&verdict, &found)))
            }
        }
    }
}

/// That the host is mitigated, by evidence on the host itself, and is made of what it was made of before.
pub(super) struct Evidence;

/// What the host lost since it was identified.
fn lost(cx: &StepContext<'_>, found: &HostFacts) -> Vec<String> {
    let rules = &cx.rollout.policy.fingerprint;
    match (&cx.memory.fingerprint, &found.fingerprint) {
        (Some(before), Some(after)) => before.lost(after, &rules.ignore),
        (Some(_), None) => vec!["what it is made of can not be read any more".to_owned()],
        (None, _) => Vec::new(),
    }
}

#[async_trait]
impl Action for Evidence {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let found = facts(cx).await?;
        let verdict = assess(&found, &cx.rollout.remedy);
        #[cfg(test)]
        if crate::simulation::Mistake::TakesRebootsForProof.is_made() {
            return Ok(Probe::Done(StepOutput::Proven { verdict, lost: Vec::new() }));
        }
        if is_good(&verdict) && lost(cx, &found).is_empty() {
            return Ok(Probe::Done(StepOutput::Proven { verdict, lost: Vec::new() }));
        }
        let what = format!("{} is mitigated by evidence", cx.host.host);
        Ok(Probe::Needed(Intent::Await { what, until: None }))
    }

    async fn apply(&self, _: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        Ok(Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        let mut wait = Wait::at_most(cx, cx.patience().service.get());
        let mut last = "its facts could not be read".to_owned();
        let mut proven = None;
        loop {
            if let Some(found) = wait.through_outage(facts(cx).await)? {
                let verdict = assess(&found, &cx.rollout.remedy);
                match verdict.verdict {
                    VerdictKind::Mitigated | VerdictKind::NotAffected => {
                        let lost = lost(cx, &found);
                        if lost.is_empty() {
                            return Ok(StepOutput::Proven { verdict, lost });
                        }
                        // Agents, clocks and paths to storage need their time after a boot.
                        last = lost.join("; ");
                        proven = Some((verdict, lost));
                    }
                    VerdictKind::Vulnerable => {
                        let what = format!("{host} is vulnerable after its reboot");
                        let why = pieces(&verdict, Outcome::Fail);
                        return Err(StepError::permanent(FaultScope::Host, what).because(why));
                    }
                    // libvirt comes up after ssh does.
                    VerdictKind::Unknown => last = unseen(&verdict, &found),
                }
            }
            doing(cx, format!("waits for evidence: {last}"));
            if !wait.again().await {
                if let Some((verdict, lost)) = proven {
                    return match cx.rollout.policy.fingerprint.on_loss {
                        OnFailure::Warn => Ok(StepOutput::Proven { verdict, lost }),
                        OnFailure::StopHost | OnFailure::Pause => {
                            let what = format!("{host} is mitigated, and is not what it was before its reboot");
                            Err(StepError::permanent(FaultScope::Host, what).because(last))
                        }
                    };
                }
                let what = format!("{host} does not show whether it is mitigated");
                return Err(StepError::permanent(FaultScope::Host, what).because(last));
            }
        }
    }
}
