//! What every region must do, a simulated one and a real Nova alike: the simulated region is no convenient fiction as
//! long as the same assertions hold in all of them. Each fact was seen on a real Nova first.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod migrations;
mod refusals;
mod rest;
mod simulated;

use std::time::Duration;

use async_trait::async_trait;
use fleetmend::cloud::{Cloud, InstanceAction, Migration, MigrationStatus, MigrationsQuery, Server};
use fleetmend::model::{GroupId, HostName, InstanceId, ServiceId};

pub use migrations::*;
pub use refusals::*;
pub use rest::*;

/// How a migration of an instance is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Well.
    Good,
    /// It breaks halfway through the copy.
    Breaks,
    /// It never ends by itself.
    Hangs,
    /// The target fails while it prepares.
    PrepareFails,
}

/// A region with two hosts to play with, and ways to bring it into a state.
#[async_trait]
pub trait Bench: Send + Sync {
    /// The region.
    fn cloud(&self) -> &dyn Cloud;
    /// Where instances are made.
    fn home(&self) -> &HostName;
    /// Where they go.
    fn target(&self) -> &HostName;
    /// How often a state is looked at.
    fn poll(&self) -> Duration;
    /// Whether instances can be made whose migrations go like that.
    fn can(&self, fate: Fate) -> bool;
    /// Makes an instance of its own on `host` that nobody else uses, and waits until it is ACTIVE.
    async fn create(&self, name: &str, host: &HostName, fate: Fate, group: Option<&GroupId>) -> InstanceId;
    /// Makes a group whose members keep apart.
    async fn group(&self) -> GroupId;
    /// Pauses an instance and waits until it is so.
    async fn pause(&self, id: InstanceId);
    /// Locks an instance.
    async fn lock(&self, id: InstanceId);
    /// Removes what was made.
    #[cfg_attr(not(feature = "lab"), expect(dead_code, reason = "only the lab's bench needs it"))]
    async fn clean(&self);
}

/// Leaves a fact out, and says so, where the region cannot make migrations go like that.
macro_rules! needs {
    ($bench:expr, $fate:expr) => {
        if !$bench.can($fate) {
            println!("left out: no migration can be made to go like {:?} here", $fate);
            return;
        }
    };
}
use needs;

/// How often a state is looked at before it is given up.
const LOOKS: u32 = 500;

/// Looks until `look` finds something.
async fn until<T, F: Future<Output = Option<T>>>(bench: &dyn Bench, what: &str, mut look: impl FnMut() -> F) -> T {
    for _ in 0..LOOKS {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(bench.poll()).await;
    }
    panic!("never seen: {what}");
}

async fn records(bench: &dyn Bench, id: InstanceId) -> Vec<Migration> {
    let query = MigrationsQuery { instance: Some(id), ..MigrationsQuery::default() };
    bench.cloud().migrations(&query).await.unwrap()
}

async fn newest(bench: &dyn Bench, id: InstanceId) -> u64 {
    records(bench, id).await.first().map_or(0, |record| record.id)
}

/// Asks for a live migration, which must be accepted, and gives the number of the newest record before it.
async fn accepted(bench: &dyn Bench, id: InstanceId, target: &HostName) -> u64 {
    let before = newest(bench, id).await;
    assert!(bench.cloud().live_migrate(id, Some(target)).await.unwrap().request.is_some());
    before
}

/// Waits for the record after `before` to be in a state that `wanted` accepts.
async fn record(
    bench: &dyn Bench,
    id: InstanceId,
    before: u64,
    wanted: impl Fn(&MigrationStatus) -> bool,
) -> Migration {
    let (wanted, what) = (&wanted, format!("a record of {id} in the wanted state"));
    until(bench, &what, || async move {
        records(bench, id).await.into_iter().find(|record| record.id > before && wanted(&record.status))
    })
    .await
}

/// Waits until the record after `before` and the server have both come to rest.
async fn settled(bench: &dyn Bench, id: InstanceId, before: u64) -> (Migration, Server) {
    until(bench, "a migration that has come to its end", || async move {
        let server = bench.cloud().server(id).await.unwrap();
        let record = records(bench, id).await.into_iter().find(|record| record.id > before)?;
        (!record.status.is_in_progress() && server.task_state.is_none()).then_some((record, server))
    })
    .await
}

async fn action(bench: &dyn Bench, id: InstanceId, name: &str) -> InstanceAction {
    let actions = bench.cloud().instance_actions(id).await.unwrap();
    actions.into_iter().find(|action| action.action == name).unwrap()
}

async fn service_id(bench: &dyn Bench, host: &HostName) -> ServiceId {
    let services = bench.cloud().services().await.unwrap();
    services.into_iter().find(|service| service.host == *host).unwrap().service.id
}

/// Who holds resources on `host`.
async fn holders(bench: &dyn Bench, host: &HostName) -> Vec<String> {
    let provider = bench.cloud().provider(host).await.unwrap().unwrap();
    let allocations = bench.cloud().allocations(&provider.id).await.unwrap();
    allocations.into_iter().map(|allocation| allocation.consumer).collect()
}

/// An instance that a refused or failed migration left alone: ACTIVE, on its host, without a fault.
fn assert_untouched(bench: &dyn Bench, server: &Server) {
    assert_eq!((server.status.as_str(), server.host.as_ref()), ("ACTIVE", Some(bench.home())));
    assert_eq!(server.fault, None);
}

/// Names every fact once; each kind of region runs them all.
macro_rules! for_each_fact {
    ($($run:tt)*) => {
        $($run)* {
            a_service_is_disabled_with_a_reason_and_enabled
            a_live_migration_goes_through_its_record_and_ends_on_its_target
            in_flight_the_instance_holds_the_target_and_the_migration_the_source
            an_abort_leaves_the_instance_on_its_host
            a_hanging_migration_ends_when_forced
            a_copy_that_breaks_tells_so_only_in_its_record
            a_target_that_cannot_prepare_is_named_by_the_event
            a_paused_instance_stays_paused
            a_lock_does_not_stop_an_admin
            what_cannot_be_is_refused_at_once
            the_own_host_as_target_is_refused_later
            a_disabled_target_is_refused_later
            a_target_where_a_group_member_stands_is_refused_later
            stop_and_start_are_carried_out_and_told
            a_cold_migration_waits_to_be_confirmed
            lists_show_what_is_where
        }
    };
}
pub(crate) use for_each_fact;
