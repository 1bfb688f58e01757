//! What owners do around the fence.

use fleetmend::model::{InstanceStatus, Span};
use fleetmend::run::Outcome;
use fleetmend::sim::faults::{Faults, Incident, What, When};

use super::stage::{Notes, Stage, policy, quarantined, scenario};

#[tokio::test(start_paused = true)]
async fn an_owner_who_starts_a_stopped_instance_behind_the_fence_gets_it_after_the_reboot() {
    let mut stopped = scenario(Faults::default());
    stopped.stopped = fleetmend::model::Percent::new(30.0).unwrap();
    let calm = Stage::set(&stopped, policy()).await;
    let stay = calm.rollout.stays.first().expect("some instance is stopped on a planned host").clone();
    stopped.faults.incidents = vec![Incident {
        when: When::Fenced(stay.host.clone()),
        after: Span::seconds(1),
        what: What::Started(stay.name.clone()),
    }];
    let stage = Stage::set(&stopped, policy()).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "started").await;
    let status = stage.region.with(|world| world.server(stay.instance).unwrap().status());
    assert_eq!(status, InstanceStatus::Active, "the owner's start was carried out once the host was back");
}
