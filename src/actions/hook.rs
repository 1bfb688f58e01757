//! Hooks: what is told to others while a host is worked on, told again while it lasts, and taken back.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::{Action, ErrorClass, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::hooks::alertmanager::{self, Silence};
use crate::model::{AlertmanagerHook, Hook, HookWork};
use crate::outside::HttpCall;
use crate::run::event::{FaultScope, Intent, StepOutput};

/// Tells it, or tells it again.
pub(super) struct SetHook;

/// Takes it back.
pub(super) struct Unhook;

/// The hook that a step is of: its name is the third part of the id, and a further one counts renewals.
pub(super) fn hook<'a>(cx: &StepContext<'a>) -> Result<&'a Hook, StepError> {
    let name = cx.step.as_str().split('/').nth(2).unwrap_or_default();
    let found = cx.rollout.policy.hooks.iter().find(|hook| hook.name == name);
    found.ok_or_else(|| StepError::permanent(FaultScope::Host, format!("the policy has no hook for step {}", cx.step)))
}

fn silencing(hook: &Hook) -> &AlertmanagerHook {
    match &hook.work {
        HookWork::Alertmanager(silencing) => silencing,
    }
}

/// Asks Alertmanager; any answer but a good one is a failure that may pass.
async fn ask(
    cx: &StepContext<'_>,
    hook: &Hook,
    method: &'static str,
    path: &str,
    body: Option<Value>,
) -> Result<Value, StepError> {
    let silencing = silencing(hook);
    let call = HttpCall {
        method,
        url: format!("{}/api/v2/{path}", silencing.url),
        authorization_file: silencing.authorization_file.clone(),
        body,
    };
    let failed = |class, why: String| {
        let what = format!("hook {}: Alertmanager could not be asked ({method} {path})", hook.name);
        StepError::new(class, FaultScope::Host, what).because(why)
    };
    match cx.outside.http(&call).await {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(answer.body),
        Ok(answer) => {
            let class = if answer.status >= 500 || answer.status == 429 {
                ErrorClass::Transient
            } else {
                ErrorClass::Permanent
            };
            let words = crate::host::excerpt(&answer.body.to_string());
            Err(failed(class, format!("it answered {}: {words}", answer.status)))
        }
        Err(why) => Err(failed(ErrorClass::Transient, why)),
    }
}

async fn silences(cx: &StepContext<'_>, hook: &Hook) -> Result<Vec<Silence>, StepError> {
    let list = ask(cx, hook, "GET", "silences", None).await?;
    alertmanager::ours(&list, &alertmanager::mark(cx.run, &cx.host.host)).map_err(|why| {
        let what = format!("hook {}: Alertmanager's list of silences cannot be read", hook.name);
        StepError::permanent(FaultScope::Host, what).because(why)
    })
}

/// When a silence that is asked for now is to end.
fn until(cx: &StepContext<'_>, hook: &Hook) -> Timestamp {
    let now = cx.clock.now();
    now.checked_add(silencing(hook).lasts.get()).unwrap_or(now)
}

/// Whether a silence lasts long enough that it need not be renewed.
fn suffices(cx: &StepContext<'_>, hook: &Hook, silence: &Silence) -> bool {
    let now = cx.clock.now();
    now.checked_add(silencing(hook).lasts.get() * 3 / 4).is_ok_and(|least| silence.ends >= least)
}

fn intent(hook: &Hook, what: &str) -> Intent {
    Intent::Run { command: vec![what.to_owned(), silencing(hook).url.clone()] }
}

#[async_trait]
impl Action for SetHook {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let hook = hook(cx)?;
        match silences(cx, hook).await?.first() {
            Some(silence) if suffices(cx, hook, silence) => {
                let note = format!("silence {} lasts until {:.0}", silence.id, silence.ends);
                Ok(Probe::Done(StepOutput::AlreadySo { note }))
            }
            Some(_) | None => Ok(Probe::Needed(intent(hook, "silence"))),
        }
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let hook = hook(cx)?;
        let silences = silences(cx, hook).await?;
        let first = silences.first();
        if first.is_some_and(|silence| suffices(cx, hook, silence)) {
            return Ok(Accepted::default());
        }
        let mark = alertmanager::mark(cx.run, &cx.host.host);
        let replaces = first.map(|silence| silence.id.as_str());
        let wanted =
            alertmanager::wanted(silencing(hook), &cx.host.host, &mark, cx.clock.now(), until(cx, hook), replaces);
        ask(cx, hook, "POST", "silences", Some(wanted)).await.map(|_| Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let hook = hook(cx)?;
        match silences(cx, hook).await?.first() {
            Some(silence) if suffices(cx, hook, silence) => {
                Ok(StepOutput::Done { note: format!("silence {} until {:.0}", silence.id, silence.ends) })
            }
            Some(_) | None => {
                let what = format!("hook {}: the silence was asked for and is not there", hook.name);
                Err(StepError::transient(FaultScope::Host, what))
            }
        }
    }
}

#[async_trait]
impl Action for Unhook {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let hook = hook(cx)?;
        if silences(cx, hook).await?.is_empty() {
            return Ok(Probe::Done(StepOutput::AlreadySo { note: "nothing is silenced by us".to_owned() }));
        }
        Ok(Probe::Needed(intent(hook, "end the silence")))
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let hook = hook(cx)?;
        for silence in silences(cx, hook).await? {
            ask(cx, hook, "DELETE", &format!("silence/{}", silence.id), None).await?;
        }
        Ok(Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let hook = hook(cx)?;
        if silences(cx, hook).await?.is_empty() {
            return Ok(StepOutput::Done { note: "its alarms sound again".to_owned() });
        }
        let what = format!("hook {}: the silence was ended and is still there", hook.name);
        Err(StepError::transient(FaultScope::Host, what))
    }
}
