//! One poll of the region for everybody who follows a migration, instead of one each.
//!
//! Whoever asks is answered by a look that began after the question: rounds never answer what came later. A round reads what
//! has changed in the region since a moment before the last one, first the migration records and then the instances, and
//! is made at most once an interval, which grows where the control plane is slow. Time is the cloud's own, as its answers
//! show it. What has not shown a change for long is read by itself: a missed change costs time and nothing else.
//!
//! Everything else passes through. Used by `run`, which follows; it decides nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::{
    Accepted, Aggregate, Allocation, ApiCost, Cloud, CloudError, CloudErrorKind, CloudResult, Compute, ComputeService,
    Followed, HaHost, Hypervisor, InstanceAction, Migration, MigrationProgress, MigrationsQuery, NewServer, Placement,
    Provider, Server, ServerGroup, ServersQuery, Standing,
};
use crate::model::{HostName, InstanceId, InstanceStatus, RequestId, ServiceId};

/// Changes are asked for from so long before the last look: clocks of those who write them differ.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);

/// A list of changes goes back so far at most: what was read longer ago is read by itself.
const LONGEST_LIST: SignedDuration = SignedDuration::from_mins(10);

/// One that has shown no change for so long is read by itself.
const READ_AGAIN: Duration = Duration::from_secs(300);

/// One without any record of its migration is read by itself after so long: Nova lists a record that was never updated
/// in no list of changes.
const RECORD_READ_AGAIN: Duration = Duration::from_secs(10);

/// For so long a list of services answers whether a host takes instances: services report every ten seconds.
const SERVICES_LAST: Duration = Duration::from_secs(10);

/// One that nobody has followed for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// Bars ask for the progress of so many migrations an interval; they take turns.
const PROGRESS_AN_INTERVAL: u32 = 4;

/// A cloud whose followers share their looks.
pub struct Shared {
    inner: Arc<dyn Cloud>,
    interval: Duration,
    rounds: Mutex<Rounds>,
    services: tokio::sync::Mutex<Option<(Instant, Vec<ComputeService>)>>,
    progress: Mutex<(Instant, u32)>,
}

type Asker = (InstanceId, oneshot::Sender<CloudResult<Followed>>);

#[derive(Default)]
struct Rounds {
    waiting: Vec<Asker>,
    is_led: bool,
    number: usize,
    not_before: Option<Instant>,
    /// The newest moment in the cloud's own time that an answer has shown.
    newest: Option<Timestamp>,
    known: BTreeMap<InstanceId, Known>,
}

/// What is known of an instance that is followed, or may be soon.
#[derive(Clone)]
struct Known {
    server: Option<Server>,
    records: Vec<Migration>,
    /// Whether both were read.
    is_whole: bool,
    /// The newest record when it was first read.
    first: Option<u64>,
    /// Everything up to this moment of the cloud's time is in it.
    as_of: Option<Timestamp>,
    read: Instant,
    wanted: Instant,
}

impl Known {
    fn new(now: Instant) -> Self {
        Self { server: None, records: Vec::new(), is_whole: false, first: None, as_of: None, read: now, wanted: now }
    }

    /// Whether a look of its own is due.
    fn is_due(&self, now: Instant) -> bool {
        let has_record = self.records.first().map(|record| record.id) > self.first;
        let patience = if has_record { READ_AGAIN } else { RECORD_READ_AGAIN };
        !self.is_whole || now.duration_since(self.read) >= patience
    }
}

/// Lets another caller lead when this one is gone in the middle of a round.
struct Lead<'a>(&'a Shared);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut rounds = self.0.lock();
        rounds.is_led = false;
        // Whoever came meanwhile hears that there is no leader, and asks again.
        let waiting = std::mem::take(&mut rounds.waiting);
        drop(rounds);
        drop(waiting);
    }
}

impl Shared {
    /// Shares looks of `inner`; those who follow look about every `interval`.
    pub fn new(inner: Arc<dyn Cloud>, interval: Duration) -> Self {
        let services = tokio::sync::Mutex::default();
        Self { inner, interval, rounds: Mutex::default(), services, progress: Mutex::new((Instant::now(), 0)) }
    }

    fn lock(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads an instance by itself, its records first.
    async fn look_at(&self, id: InstanceId) -> CloudResult<Followed> {
        let followed = self.inner.look(id).await?;
        self.see(&followed.records, followed.server.as_slice());
        let mut rounds = self.lock();
        let (now, as_of) = (Instant::now(), rounds.newest.map(|newest| newest - OVERLAP));
        let known = rounds.known.entry(id).or_insert_with(|| Known::new(now));
        if !known.is_whole {
            known.first = followed.records.first().map(|record| record.id);
        }
        known.records.clone_from(&followed.records);
        known.server.clone_from(&followed.server);
        (known.is_whole, known.as_of, known.read) = (true, as_of, now);
        drop(rounds);
        Ok(followed)
    }

    /// Learns what time it is where the cloud is.
    fn see(&self, records: &[Migration], servers: &[Server]) {
        let seen = records.iter().filter_map(|record| record.updated_at);
        let seen = seen.chain(servers.iter().filter_map(|server| server.updated)).max();
        let mut rounds = self.lock();
        rounds.newest = rounds.newest.max(seen);
    }

    /// Answers all who wait, once it is time.
    async fn lead(&self) {
        let _lead = Lead(self);
        let not_before = self.lock().not_before;
        if let Some(not_before) = not_before {
            tokio::time::sleep_until(not_before).await;
        }
        let (askers, begun) = {
            let mut rounds = self.lock();
            rounds.number += 1;
            let mut askers = std::mem::take(&mut rounds.waiting);
            // Who is answered first asks first again: turns go round.
            let turn = rounds.number % askers.len().max(1);
            askers.rotate_left(turn);
            (askers, Instant::now())
        };
        let answers = self.round(&askers).await;
        // A slow control plane is asked less often.
        let pause = self.interval.max(begun.elapsed() * 4);
        self.lock().not_before = Some(begun + pause);
        for ((_, asker), answer) in askers.into_iter().zip(answers) {
            // Whoever has gone away needs no answer.
            let _ = asker.send(answer);
        }
    }

    async fn round(&self, askers: &[Asker]) -> Vec<CloudResult<Followed>> {
        let now = Instant::now();
        let (due, since): (Vec<InstanceId>, Option<Timestamp>) = {
            let mut rounds = self.lock();
            rounds.known.retain(|_, known| now.duration_since(known.wanted) < FORGOTTEN);
            let newest = rounds.newest;
            let mut due = Vec::new();
            let mut since: Option<Timestamp> = None;
            for (id, _) in askers {
                let known = rounds.known.entry(*id).or_insert_with(|| Known::new(now));
                known.wanted = now;
                let is_old =
                    known.as_of.zip(newest).is_none_or(|(as_of, newest)| newest.duration_since(as_of) > LONGEST_LIST);
                match known.as_of.filter(|_| !known.is_due(now) && !is_old) {
                    Some(as_of) => since = Some(since.map_or(as_of, |since| since.min(as_of))),
                    None => due.push(*id),
                }
            }
            (due, since)
        };
        let is_alone = askers.len() == 1;
        let changed = match since {
            Some(since) if !is_alone => self.changes(since).await,
            Some(_) | None => Ok(()),
        };
        let mut answers = Vec::with_capacity(askers.len());
        for (id, _) in askers {
            answers.push(match &changed {
                _ if is_alone || due.contains(id) => self.look_at(*id).await,
                // A cloud that cannot tell what has changed is asked one by one.
                Err(error) if error.kind == CloudErrorKind::Unsupported => self.look_at(*id).await,
                Err(error) => Err(told_again(error)),
                Ok(()) => Ok(self.answer(*id)),
            });
        }
        answers
    }

    /// Reads what has changed in the region, records first.
    async fn changes(&self, since: Timestamp) -> CloudResult<()> {
        let as_of = self.lock().newest.map(|newest| newest - OVERLAP);
        let query = MigrationsQuery { changed_since: Some(since), ..MigrationsQuery::default() };
        let records = self.inner.migrations(&query).await?;
        let query = ServersQuery { changes_since: Some(since), ..ServersQuery::default() };
        let servers = self.inner.servers(&query).await?;
        self.see(&records, &servers);
        let now = Instant::now();
        let mut rounds = self.lock();
        for record in records {
            let Some(known) = rounds.known.get_mut(&record.instance) else { continue };
            let place = known.records.iter().position(|other| other.id <= record.id).unwrap_or(known.records.len());
            match known.records.get_mut(place).filter(|other| other.id == record.id) {
                Some(other) if *other == record => continue,
                Some(other) => *other = record,
                None => known.records.insert(place, record),
            }
            known.read = now;
        }
        for server in servers {
            if let Some(known) = rounds.known.get_mut(&server.id) {
                known.server = Some(server).filter(|server| server.status != InstanceStatus::Deleted);
            }
        }
        let is_in = |known: &&mut Known| known.as_of.is_some_and(|as_of| as_of >= since);
        for known in rounds.known.values_mut().filter(is_in) {
            known.as_of = known.as_of.max(as_of);
        }
        Ok(())
    }

    fn answer(&self, id: InstanceId) -> Followed {
        let rounds = self.lock();
        let known = rounds.known.get(&id);
        Followed {
            records: known.map(|known| known.records.clone()).unwrap_or_default(),
            server: known.and_then(|known| known.server.clone()),
        }
    }

    /// Whether it is the turn of a bar to ask for progress.
    fn may_ask_for_progress(&self) -> bool {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if progress.0.elapsed() >= self.interval {
            *progress = (Instant::now(), 0);
        }
        progress.1 += 1;
        progress.1 <= PROGRESS_AN_INTERVAL
    }
}

/// The same failure for another who asked.
fn told_again(error: &CloudError) -> CloudError {
    let CloudError { operation, kind, status, message, request, source: _ } = error;
    CloudError {
        status: *status,
        request: request.clone(),
        ..CloudError::new(*kind, operation.clone(), message.clone())
    }
}

#[async_trait]
impl Cloud for Shared {
    fn region(&self) -> &str {
        self.inner.region()
    }

    fn cost(&self) -> ApiCost {
        self.inner.cost()
    }

    async fn standing(&self) -> CloudResult<Standing> {
        self.inner.standing().await
    }

    async fn ha_hosts(&self) -> CloudResult<Option<Vec<HaHost>>> {
        self.inner.ha_hosts().await
    }
}

#[async_trait]
impl Compute for Shared {
    async fn look(&self, instance: InstanceId) -> CloudResult<Followed> {
        self.look_at(instance).await
    }

    async fn follow(&self, instance: InstanceId) -> CloudResult<Followed> {
        loop {
            let (asker, answered) = oneshot::channel();
            let leads = {
                let mut rounds = self.lock();
                rounds.waiting.push((instance, asker));
                !std::mem::replace(&mut rounds.is_led, true)
            };
            if leads {
                self.lead().await;
            }
            // Without an answer the round had begun before the question, or whoever led it has gone away.
            if let Ok(answer) = answered.await {
                return answer;
            }
        }
    }

    fn shares_looks(&self) -> bool {
        true
    }

    async fn lists_service(&self, host: &HostName) -> CloudResult<Option<ComputeService>> {
        let mut kept = self.services.lock().await;
        let services = if let Some(services) = kept.take().filter(|(read, _)| read.elapsed() < SERVICES_LAST) {
            services
        } else {
            let services = self.inner.services().await?;
            let newest = services.iter().filter_map(|service| service.updated_at).max();
            let mut rounds = self.lock();
            rounds.newest = rounds.newest.max(newest);
            (Instant::now(), services)
        };
        let found = services.1.iter().find(|service| service.host == *host).cloned();
        *kept = Some(services);
        Ok(found)
    }

    async fn server(&self, id: InstanceId) -> CloudResult<Server> {
        let server = self.inner.server(id).await?;
        self.see(&[], std::slice::from_ref(&server));
        Ok(server)
    }

    async fn migrations(&self, query: &MigrationsQuery) -> CloudResult<Vec<Migration>> {
        self.inner.migrations(query).await
    }

    async fn migration_progress(&self, server: InstanceId, migration: u64) -> CloudResult<Option<MigrationProgress>> {
        if self.may_ask_for_progress() { self.inner.migration_progress(server, migration).await } else { Ok(None) }
    }

    async fn services(&self) -> CloudResult<Vec<ComputeService>> {
        self.inner.services().await
    }

    async fn service(&self, host: &HostName) -> CloudResult<Option<ComputeService>> {
        self.inner.service(host).await
    }

    async fn disable_service(&self, id: &ServiceId, reason: &str) -> CloudResult<Accepted> {
        self.inner.disable_service(id, reason).await
    }

    async fn enable_service(&self, id: &ServiceId) -> CloudResult<Accepted> {
        self.inner.enable_service(id).await
    }

    async fn hypervisors(&self) -> CloudResult<Vec<Hypervisor>> {
        self.inner.hypervisors().await
    }

    async fn aggregates(&self) -> CloudResult<Vec<Aggregate>> {
        self.inner.aggregates().await
    }

    async fn server_groups(&self) -> CloudResult<Vec<ServerGroup>> {
        self.inner.server_groups().await
    }

    async fn groups_of(&self, instances: &[InstanceId]) -> CloudResult<Vec<ServerGroup>> {
        self.inner.groups_of(instances).await
    }

    async fn servers(&self, query: &ServersQuery) -> CloudResult<Vec<Server>> {
        self.inner.servers(query).await
    }

    async fn live_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        self.inner.live_migrate(server, target).await
    }

    async fn cold_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        self.inner.cold_migrate(server, target).await
    }

    async fn confirm_resize(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.inner.confirm_resize(server).await
    }

    async fn abort_migration(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        self.inner.abort_migration(server, migration).await
    }

    async fn force_complete(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        self.inner.force_complete(server, migration).await
    }

    async fn stop(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.inner.stop(server).await
    }

    async fn start(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.inner.start(server).await
    }

    async fn create_server(&self, server: &NewServer) -> CloudResult<Accepted> {
        self.inner.create_server(server).await
    }

    async fn delete_server(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.inner.delete_server(server).await
    }

    async fn reset_to_active(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.inner.reset_to_active(server).await
    }

    async fn instance_action_list(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        self.inner.instance_action_list(server).await
    }

    async fn instance_action(&self, server: InstanceId, request: &RequestId) -> CloudResult<Option<InstanceAction>> {
        self.inner.instance_action(server, request).await
    }

    async fn instance_actions(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        self.inner.instance_actions(server).await
    }
}

#[async_trait]
impl Placement for Shared {
    async fn providers(&self) -> CloudResult<Vec<Provider>> {
        self.inner.providers().await
    }

    async fn provider(&self, host: &HostName) -> CloudResult<Option<Provider>> {
        self.inner.provider(host).await
    }

    async fn allocations(&self, provider: &str) -> CloudResult<Vec<Allocation>> {
        self.inner.allocations(provider).await
    }
}
