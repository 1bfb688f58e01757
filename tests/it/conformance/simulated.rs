//! The simulated region on the bench: in-process, and over real HTTP through the real adapter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use fleetmend::cloud::Cloud;
use fleetmend::cloud::openstack::{OpenStack, Pace};
use fleetmend::config::clouds::{self, Environment, Wanted};
use fleetmend::model::{
    Group, GroupId, GroupPolicy, GroupRules, HostName, InstanceId, InstanceStatus, ProjectId, Resources,
};
use fleetmend::sim::faults::{Faults, MigrationFault, MigrationRule};
use fleetmend::sim::http::{self, Access};
use fleetmend::sim::world::{NewServer, Timing};
use fleetmend::sim::{Scenario, SimCloud, SimRegion};

use super::{Bench, Fate};

/// A simulated region with a cloud in front of it.
pub struct Simulated<C> {
    region: Arc<SimRegion>,
    cloud: C,
    home: HostName,
    target: HostName,
    poll: Duration,
    made: AtomicU32,
}

impl<C> Simulated<C> {
    fn new(region: Arc<SimRegion>, cloud: C, poll: Duration) -> Self {
        let [home, target] = ["compute-1", "compute-2"].map(HostName::new);
        Self { region, cloud, home, target, poll, made: AtomicU32::new(0) }
    }
}

fn region(speed: f64) -> Arc<SimRegion> {
    let scenario = Scenario { timing: Timing::quick(), groups: 0, ..Scenario::sized(4, 8, 11) };
    SimRegion::new(scenario.build(), speed)
}

/// In-process, in virtual time.
pub fn in_process() -> Simulated<SimCloud> {
    let region = region(1.0);
    Simulated::new(region.clone(), SimCloud::new(region), Duration::from_millis(200))
}

/// Over real HTTP, twenty times as fast as the clock on the wall.
pub async fn over_http() -> Simulated<OpenStack> {
    let region = region(20.0);
    let access = Access::new("throwaway", ProjectId::new("p"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = http::base_url(&listener).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clouds.yaml");
    std::fs::write(&file, access.clouds_yaml(&base, "SimOne")).unwrap();
    tokio::spawn(http::serve(region.clone(), access, listener, std::future::pending()));
    let variables = BTreeMap::from([("OS_CLIENT_CONFIG_FILE".to_owned(), file.display().to_string())]);
    let environment = Environment { variables, working_directory: folder.path().to_owned() };
    let wanted = Wanted { cloud: Some("sim".to_owned()), ..Wanted::default() };
    let config = clouds::load(&environment, &wanted).unwrap();
    let cloud = OpenStack::connect(&config, Pace::default()).await.unwrap();
    Simulated::new(region, cloud, Duration::from_millis(10))
}

#[async_trait]
impl<C: Cloud> Bench for Simulated<C> {
    fn cloud(&self) -> &dyn Cloud {
        &self.cloud
    }

    fn home(&self) -> &HostName {
        &self.home
    }

    fn target(&self) -> &HostName {
        &self.target
    }

    fn poll(&self) -> Duration {
        self.poll
    }

    fn can(&self, _fate: Fate) -> bool {
        true
    }

    async fn create(&self, name: &str, host: &HostName, fate: Fate, group: Option<&GroupId>) -> InstanceId {
        let fault = match fate {
            Fate::Good => None,
            Fate::Breaks => Some(MigrationFault::Copy),
            Fate::Hangs => Some(MigrationFault::Hang),
            Fate::PrepareFails => Some(MigrationFault::Prepare),
        };
        let rule =
            |fault| MigrationRule { instance: Some(name.to_owned()), source: None, target: None, times: None, fault };
        self.region.with(|world| {
            world.set_faults(Faults { migrations: fault.map(rule).into_iter().collect(), ..Faults::default() });
            world.add_server(NewServer {
                id: None,
                name: name.to_owned(),
                project: ProjectId::new("p"),
                host: host.clone(),
                status: InstanceStatus::Active,
                resources: Resources::basic(1, 512, 1),
                group: group.cloned(),
                pinned_zone: None,
                traits: Vec::new(),
                metadata: BTreeMap::new(),
                locked: false,
            })
        })
    }

    async fn group(&self) -> GroupId {
        let id = GroupId::new(format!("group-{}", self.made.fetch_add(1, Ordering::Relaxed)));
        let group = Group { id: id.clone(), policy: GroupPolicy::AntiAffinity, rules: GroupRules::default() };
        self.region.with(|world| world.add_group("conformance", group));
        id
    }

    async fn pause(&self, id: InstanceId) {
        self.region.with(|world| world.set_paused(id, true)).unwrap();
    }

    async fn lock(&self, id: InstanceId) {
        self.region.with(|world| world.set_lock(id, true)).unwrap();
    }

    async fn clean(&self) {}
}

macro_rules! in_process {
    ($($fact:ident)*) => { mod in_process {$(
        #[tokio::test(start_paused = true)]
        async fn $fact() {
            crate::conformance::$fact(&super::in_process()).await;
        }
    )*} };
}

macro_rules! over_http {
    ($($fact:ident)*) => { mod over_http {$(
        #[tokio::test]
        async fn $fact() {
            crate::conformance::$fact(&super::over_http().await).await;
        }
    )*} };
}

super::for_each_fact!(in_process!);
super::for_each_fact!(over_http!);
