//! A real Nova on the bench. Plays with instances of its own on the last two hosts and puts everything back.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use fleetmend::cloud::openstack::{OpenStack, Pace};
use fleetmend::cloud::{Cloud, Compute};
use fleetmend::model::{GroupId, HostName, InstanceId};
use futures_util::FutureExt;
use serde_json::json;

use super::raw::{self, Raw};
use crate::conformance::{Bench, Fate};

/// One fact at a time: they share two hosts.
static BENCH: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Nova as the adapter shows it, and raw for what the adapter never does.
struct Lab {
    cloud: OpenStack,
    raw: Raw,
    home: HostName,
    target: HostName,
    image: String,
    flavor: String,
    instances: Mutex<Vec<InstanceId>>,
    groups: Mutex<Vec<GroupId>>,
}

impl Lab {
    async fn connect() -> Self {
        let config = raw::cloud("lab");
        let cloud = OpenStack::connect(&config, Pace::default()).await.unwrap();
        let mut hosts: Vec<HostName> =
            cloud.services().await.unwrap().into_iter().map(|service| service.host).collect();
        hosts.sort();
        let (Some(home), Some(target)) = (hosts.pop(), hosts.pop()) else { panic!("the lab has fewer than two hosts") };
        let raw = Raw::log_in(&config).await;
        let image = raw.find("image", "/v2/images", "images", &["tiny", "guest"]).await;
        let flavor = raw.find("compute", "/flavors", "flavors", &["m1.tiny", "g96"]).await;
        Self { cloud, raw, home, target, image, flavor, instances: Mutex::default(), groups: Mutex::default() }
    }

    async fn act(&self, id: InstanceId, action: &str) {
        let path = format!("/servers/{id}/action");
        self.raw.call(reqwest::Method::POST, "compute", &path, Some(json!({action: null}))).await;
    }

    async fn reach(&self, id: InstanceId, status: &str) {
        for _ in 0..300 {
            let server = self.cloud.server(id).await.unwrap();
            assert_ne!(server.status.as_str(), "ERROR", "{:?}", server.fault);
            if server.status.as_str() == status && server.task_state.is_none() {
                return;
            }
            tokio::time::sleep(self.poll()).await;
        }
        panic!("{id} never became {status}");
    }
}

#[async_trait]
impl Bench for Lab {
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
        Duration::from_millis(200)
    }

    /// The lab's own driver breaks migrations on demand; libvirt does not.
    fn can(&self, fate: Fate) -> bool {
        fate == Fate::Good || std::env::var("LAB_DRIVER").is_ok_and(|driver| driver == "fake")
    }

    async fn create(&self, name: &str, host: &HostName, fate: Fate, group: Option<&GroupId>) -> InstanceId {
        let metadata = match fate {
            Fate::Good => json!({}),
            Fate::Breaks => json!({"lab:lm_fault": "fail"}),
            Fate::Hangs => json!({"lab:lm_fault": "hang"}),
            Fate::PrepareFails => json!({"lab:lm_fault": "pre"}),
        };
        let mut body = json!({"server": {"name": format!("conformance-{name}"), "imageRef": self.image,
            "flavorRef": self.flavor, "networks": "none", "host": host, "metadata": metadata}});
        if let Some(group) = group {
            body["os:scheduler_hints"] = json!({"group": group});
        }
        let answer = self.raw.call(reqwest::Method::POST, "compute", "/servers", Some(body)).await;
        let id: InstanceId = answer["server"]["id"].as_str().unwrap().parse().unwrap();
        self.instances.lock().unwrap().push(id);
        self.reach(id, "ACTIVE").await;
        id
    }

    async fn group(&self) -> GroupId {
        let body = json!({"server_group": {"name": "conformance", "policy": "anti-affinity"}});
        let answer = self.raw.call(reqwest::Method::POST, "compute", "/os-server-groups", Some(body)).await;
        let id = GroupId::new(answer["server_group"]["id"].as_str().unwrap());
        self.groups.lock().unwrap().push(id.clone());
        id
    }

    async fn pause(&self, id: InstanceId) {
        self.act(id, "pause").await;
        self.reach(id, "PAUSED").await;
    }

    async fn lock(&self, id: InstanceId) {
        self.act(id, "lock").await;
    }

    async fn clean(&self) {
        let services = self.cloud.services().await.unwrap();
        for service in services.iter().filter(|service| service.host == self.target) {
            let reason = service.service.disabled_reason.as_deref();
            if reason.is_some_and(|reason| reason.starts_with("conformance")) {
                self.cloud.enable_service(&service.service.id).await.unwrap();
            }
        }
        let (instances, groups) =
            (std::mem::take(&mut *self.instances.lock().unwrap()), std::mem::take(&mut *self.groups.lock().unwrap()));
        for id in &instances {
            self.raw.call(reqwest::Method::DELETE, "compute", &format!("/servers/{id}"), None).await;
        }
        for id in groups {
            self.raw.call(reqwest::Method::DELETE, "compute", &format!("/os-server-groups/{id}"), None).await;
        }
        for _ in 0..300 {
            let left = self.cloud.servers(&fleetmend::cloud::ServersQuery::default()).await.unwrap();
            if !left.iter().any(|server| instances.contains(&server.id)) {
                return;
            }
            tokio::time::sleep(self.poll()).await;
        }
        panic!("instances that were deleted do not go away");
    }
}

/// Runs one fact on the lab and puts everything back, also when it fails.
async fn on_the_lab(fact: impl AsyncFnOnce(&dyn Bench)) {
    let _one_at_a_time = BENCH.lock().await;
    let lab = Lab::connect().await;
    let result = AssertUnwindSafe(fact(&lab)).catch_unwind().await;
    let cleaned = AssertUnwindSafe(lab.clean()).catch_unwind().await;
    if let Err(panic) = result.and(cleaned) {
        resume_unwind(panic);
    }
}

macro_rules! on_the_lab {
    ($($fact:ident)*) => {$(
        #[tokio::test]
        async fn $fact() {
            on_the_lab(crate::conformance::$fact).await;
        }
    )*};
}

crate::conformance::for_each_fact!(on_the_lab!);
