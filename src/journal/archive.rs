//! Moving runs from one journal to another, removing old ones, and holding what is kept against its digests.
//!
//! A run goes on in one journal alone. A copy counts for nothing until it is whole and verified; the source is closed before
//! the copy opens. Whatever is killed half-way leaves one of them open at most, and the same command again goes on.

use async_trait::async_trait;
use jiff::Timestamp;

use super::chain::Chain;
use super::{Journal, JournalError, JournalResult, PAGE, RunListing, RunRecord, Standing, StoredEvent, codec};
use crate::model::{Digest, RunId};
use crate::run::event::Runner;

/// A store whose runs can be moved and removed. What is written here needs the hold of the run's region.
#[async_trait]
pub trait Archive: Journal {
    /// Writes down a run whose events are to come; one that is there counts as arriving again.
    async fn expect(&self, record: &RunRecord) -> JournalResult<()>;
    /// Takes events as they are stored elsewhere; those that are there already must be the same.
    async fn import(&self, run: RunId, events: &[StoredEvent]) -> JournalResult<()>;
    /// Says whether the run goes on here.
    async fn set_standing(&self, run: RunId, standing: &Standing) -> JournalResult<()>;
    /// Removes a run with all that belongs to it, all or nothing.
    async fn remove(&self, run: RunId) -> JournalResult<()>;
    /// Gives the room of what was removed back, where the store does not do that by itself.
    async fn compact(&self) -> JournalResult<()>;
}

/// What a copy came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// What both journals have.
    pub verified: Verified,
    /// How many events were there before.
    pub found: u64,
}

/// What was held against its digests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many events there are.
    pub events: u64,
    /// Number of the first event with a digest, and the digest of the last one.
    pub head: Option<(u64, Digest)>,
}

/// Moves a run: from then on it goes on in `to`. Refused while a runner holds its region in either journal.
pub async fn copy(from: &dyn Archive, to: &dyn Archive, run: RunId, runner: &Runner) -> JournalResult<Copied> {
    let record = from.record(run).await?;
    let _source = from.hold(&record.region, runner).await?;
    let _target = to.hold(&record.region, runner).await?;
    let found = listing(to, run).await?;
    match from.standing(run).await? {
        Standing::Here => {}
        Standing::MovedTo(place) if place == to.place() => {
            // Whole since an earlier call: it may have gone on there.
            if let Some(found) = found.as_ref().filter(|found| found.standing.is_here()) {
                return Ok(Copied { verified: verify(to, run).await?, found: found.events });
            }
        }
        standing @ (Standing::MovedTo(_) | Standing::Arriving) => {
            return Err(JournalError::Elsewhere { run, standing });
        }
    }
    let differs = || JournalError::Differs { run, place: to.place() };
    let events = listing(from, run).await?.map_or(0, |listing| listing.events);
    let found = found.map_or(0, |found| found.events);
    if found > events || (found > 0 && to.record(run).await? != record) {
        return Err(differs());
    }
    to.expect(&record).await?;
    let mut next = 1;
    loop {
        let page = from.page(run, next, PAGE).await?;
        to.import(run, &page)
            .await
            .map_err(|error| if matches!(error, JournalError::OutOfOrder { .. }) { differs() } else { error })?;
        next += page.len() as u64;
        if page.len() < PAGE {
            break;
        }
    }
    copy_what_lies_beside(from, to, run).await?;
    let verified = verify(from, run).await?;
    if verify(to, run).await? != verified || to.record(run).await? != record || !are_alike(from, to, run).await? {
        return Err(differs());
    }
    from.set_standing(run, &Standing::MovedTo(to.place())).await?;
    to.set_standing(run, &Standing::Here).await?;
    Ok(Copied { verified, found })
}

/// The last heartbeat, and requests that nobody has answered yet.
async fn copy_what_lies_beside(from: &dyn Archive, to: &dyn Archive, run: RunId) -> JournalResult<()> {
    if let Some(heartbeat) = from.heartbeat(run).await? {
        to.beat(run, &heartbeat).await?;
    }
    let there = to.open_requests(run).await?;
    for (_, request) in from.open_requests(run).await? {
        if !there.iter().any(|(_, other)| *other == request) {
            to.place_request(run, &request).await?;
        }
    }
    Ok(())
}

async fn listing(journal: &dyn Archive, run: RunId) -> JournalResult<Option<RunListing>> {
    Ok(journal.runs().await?.into_iter().find(|listing| listing.run == run))
}

/// Whether both have the same events, also those without digests.
async fn are_alike(one: &dyn Archive, other: &dyn Archive, run: RunId) -> JournalResult<bool> {
    let mut next = 1;
    loop {
        let page = one.page(run, next, PAGE).await?;
        if page != other.page(run, next, PAGE).await? {
            return Ok(false);
        }
        next += page.len() as u64;
        if page.len() < PAGE {
            return Ok(true);
        }
    }
}

/// Reads every event of a run and holds it against the chain of digests; `Tampered` names the first that is not what was
/// written.
pub async fn verify(journal: &dyn Journal, run: RunId) -> JournalResult<Verified> {
    let mut chain = Chain::of(&journal.record(run).await?);
    loop {
        let page = journal.page(run, chain.seq() + 1, PAGE).await?;
        for stored in &page {
            chain.check(stored)?;
            codec::event(run, stored)?;
        }
        if page.len() < PAGE {
            let head = chain.head().map(|(first, digest)| (first, digest.clone()));
            return Ok(Verified { events: chain.seq(), head });
        }
    }
}

/// A run that may be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removable {
    /// Which.
    pub listing: RunListing,
    /// When it ended.
    pub ended: Timestamp,
}

/// Runs that ended for good before `before`, the oldest first.
pub async fn removable(journal: &dyn Journal, before: Timestamp) -> JournalResult<Vec<Removable>> {
    let mut found = Vec::new();
    for listing in journal.runs().await?.into_iter().rev().filter(|listing| listing.ended) {
        let last = journal.page(listing.run, listing.events, 1).await?;
        let Some(last) = last.first() else { continue };
        let ended = codec::event(listing.run, last)?.at;
        if ended < before {
            found.push(Removable { listing, ended });
        }
    }
    Ok(found)
}

/// Removes an ended run, unless it was begun again meanwhile. Refused while a runner holds its region.
pub async fn remove(journal: &dyn Archive, old: &Removable, runner: &Runner) -> JournalResult<bool> {
    let _hold = journal.hold(&old.listing.region, runner).await?;
    let is_as_it_was = listing(journal, old.listing.run).await? == Some(old.listing.clone());
    if is_as_it_was {
        journal.remove(old.listing.run).await?;
    }
    Ok(is_as_it_was)
}
