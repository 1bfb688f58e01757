//! A simulated region with a rollout for it, and a runner that can be killed.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use uuid::Uuid;

use super::draw::Case;
use super::journal::{Mortal, Weather};
use super::moods::Moods;
use crate::clock::Clock;
use crate::cloud::CloudResult;
use crate::journal::memory::MemoryJournal;
use crate::model::{Digest, HostName, InstanceId, InstanceStatus, Region, RolloutId, RunId};
use crate::plan::{Experience, PlanError, PlanInput, Rollout, Scope, plan};
use crate::remedy::{Remedy, Verdict, assess};
use crate::run::{DriveSettings, Engine, Ports, Runner};
use crate::sim::{SimCloud, SimOutside, SimRegion, SimShell};
use crate::{config, inventory};

/// The remedy that the simulator's machines know how to take.
static REMEDY: LazyLock<Remedy> = LazyLock::new(|| {
    let shipped = config::shipped::find(config::shipped::REMEDIES, "mds").unwrap();
    config::read_remedy(shipped.path, shipped.text).unwrap()
});

/// A simulated region with a rollout for it, and a journal.
pub(super) struct Stage {
    pub region: Arc<SimRegion>,
    cloud: Arc<SimCloud>,
    pub rollout: Rollout,
    pub snapshot: Region,
    pub journal: Arc<MemoryJournal>,
    pub run: RunId,
    /// Whoever asks the policy's health gates.
    pub moods: Arc<Moods>,
    /// Instances that ran or were paused at the start.
    pub alive: BTreeMap<InstanceId, InstanceStatus>,
}

impl Stage {
    /// A region and the rollout that remedies all of it, unless there is none. Nothing goes wrong until then.
    pub async fn set(case: &Case) -> Result<Self, PlanError> {
        let Case { scenario, policy, .. } = case;
        let region = SimRegion::new(scenario.build(), 1.0);
        let cloud = Arc::new(SimCloud::new(Arc::clone(&region)));
        let snapshot = look_around(&region, &cloud).await.unwrap();
        let verdicts: BTreeMap<HostName, Verdict> =
            snapshot.hosts.iter().map(|host| (host.host.clone(), assess(&host.facts, &REMEDY))).collect();
        let input = PlanInput {
            region: &snapshot,
            verdicts: &verdicts,
            remedy: &REMEDY,
            policy,
            scope: &Scope::default(),
            experience: &Experience::default(),
            configuration: Digest::new("sha256:none"),
            seed: 1,
            now: region.clock().now(),
            id: RolloutId::new(Uuid::nil()),
        };
        let (rollout, _report) = plan(&input)?;
        let runs = |status: &InstanceStatus| matches!(status, InstanceStatus::Active | InstanceStatus::Paused);
        let alive = snapshot.instances.iter().filter(|instance| runs(&instance.status));
        let alive = alive.map(|instance| (instance.id, instance.status.clone())).collect();
        let run = RunId::new(Uuid::from_u128(1));
        let moods = Moods::new(region.clock(), scenario.start, case.ill.clone());
        Ok(Self { moods, region, cloud, rollout, snapshot, journal: Arc::default(), run, alive })
    }

    /// A process that goes about the run: its journal in some weather, its clock some way off.
    pub fn engine(&self, weather: Weather, clock: Arc<dyn Clock>) -> Engine {
        let shell = Arc::new(SimShell::new(Arc::clone(&self.region)));
        let outside = Arc::new(SimOutside::new(Arc::clone(&self.region), Vec::new()));
        Engine {
            ports: Ports { cloud: Arc::clone(&self.cloud) as _, shell, outside, clock },
            journal: Arc::new(Mortal::new(Arc::clone(&self.journal), weather)),
            runner: Runner { host: "simulated".to_owned(), pid: 1, version: "test".to_owned() },
            settings: DriveSettings { vitals: Some(Arc::clone(&self.moods) as _), ..DriveSettings::default() },
            take_over: false,
        }
    }

    /// The remedy.
    pub fn remedy() -> &'static Remedy {
        &REMEDY
    }

    /// The region as it stands; nothing where the cloud does not answer.
    pub async fn look_again(&self) -> Option<Region> {
        look_around(&self.region, &self.cloud).await.ok()
    }
}

async fn look_around(region: &Arc<SimRegion>, cloud: &SimCloud) -> CloudResult<Region> {
    let shell = SimShell::new(Arc::clone(region));
    let order = inventory::Order {
        cloud,
        shell: Some(&shell),
        inquiry: &REMEDY.inquiry(),
        parallel: 8,
        rack_keys: &["rack".to_owned()],
        own: &inventory::OwnPlaces::default(),
        taken_at: region.clock().now(),
    };
    inventory::take(&order, &|_| {}).await
}
