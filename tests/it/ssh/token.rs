//! A host refuses a runner whose region another has taken since.

use fleetmend::host::{FenceOrder, HostErrorKind, HostResult, HostShell as _};
use fleetmend::model::FencingToken;
use uuid::Uuid;

use super::fake::{FakeHost, host};

/// A command that changes the host, by a runner with the `number`th taking of a database.
async fn changes(fake: &FakeHost, database: u128, number: u64) -> HostResult<()> {
    let shell = fake.shell();
    shell.carry(FencingToken { space: Uuid::from_u128(database), number });
    shell.fence(&FenceOrder { host: host(), identity: fake.identity().await, up: true }).await
}

#[tokio::test]
async fn a_host_refuses_a_lower_token_than_it_has_seen() {
    let fake = FakeHost::new();
    for number in [8, 9, 9, 10] {
        changes(&fake, 1, number).await.unwrap();
    }
    let asked = fake.read("log.systemctl").matches("stop openstack-nova-compute").count();
    let refused = changes(&fake, 1, 9).await.unwrap_err();
    assert_eq!(refused.kind, HostErrorKind::Failed);
    assert!(refused.message.contains("its token is 10, and this one's 9"), "{refused}");
    assert_eq!(fake.read("log.systemctl").matches("stop openstack-nova-compute").count(), asked, "nothing was done");
    // Whoever only looks is answered, and so is a runner that nobody counts.
    fake.shell().boot(&host()).await.unwrap();
    let order = FenceOrder { host: host(), identity: fake.identity().await, up: false };
    fake.shell().fence(&order).await.unwrap();
    changes(&fake, 1, 10).await.unwrap();
}

#[tokio::test]
async fn numbers_of_another_database_begin_anew() {
    let fake = FakeHost::new();
    changes(&fake, 1, 500).await.unwrap();
    changes(&fake, 2, 3).await.unwrap();
    assert!(changes(&fake, 2, 2).await.is_err());
}
