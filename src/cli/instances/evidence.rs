//! What earlier runs tell of when hosts were mitigated.

use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::session::Session;
use crate::cli::store::{self, Default};
use crate::ledger::RunTimes;
use crate::model::Region;
use crate::plan::Rollout;
use crate::remedy::Remedy;

/// Runs of `remedy` on `region`, oldest first; the one that is named only, where one is.
pub async fn runs(
    session: &Session,
    region: &Region,
    remedy: &Remedy,
    named: Option<&str>,
) -> Result<Vec<RunTimes>, CommandError> {
    let Some(journal) = store::find_existing(session).await? else {
        return match named {
            Some(_) => store::open_existing(session).await.map(|_| Vec::new()),
            None => Ok(Vec::new()),
        };
    };
    let named = match named {
        Some(prefix) => Some(store::find(journal.as_ref(), Some(prefix), Default::Newest).await?.run),
        None => None,
    };
    let mut times = Vec::new();
    for listing in journal.runs().await?.into_iter().rev() {
        if listing.region != region.region || named.is_some_and(|named| named != listing.run) {
            continue;
        }
        let record = journal.record(listing.run).await?;
        let rollout: Rollout = serde_json::from_str(&record.rollout).map_err(|error| {
            CommandError::doing(Exit::Unexpected, format!("cannot read the rollout of run {}", listing.run), error)
        })?;
        if rollout.remedy.name == remedy.name {
            times.push(RunTimes::of(&journal.events(listing.run, 1).await?));
        } else if named.is_some() {
            let what = format!("run {} carried out remedy {}, not {}", listing.run, rollout.remedy.name, remedy.name);
            return Err(CommandError::usage(what));
        }
    }
    Ok(times)
}
