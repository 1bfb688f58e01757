//! Adapter: Keystone v3, Nova and Placement of a real cloud over HTTP.
//!
//! Opens a session from a [`CloudConfig`], checks once what the services offer, and speaks to each call's fixed
//! microversion from then on. What it does not do: wait for anything to happen. Types of the HTTP library and of the
//! services' answers stay in here. Called by `cli`, which hands it to everybody else as [`Cloud`].

mod budget;
mod catalog;
mod client;
mod compute;
mod failure;
mod identity;
mod masakari;
mod placement;
mod retry;
mod service;
mod session;
mod version;
mod wire;

pub use retry::{PER_SECOND, Pace};

use service::Service;
use session::Session;
use version::Microversion;

use async_trait::async_trait;

use super::{ApiCost, Cloud, CloudResult, HaHost, Standing};
use crate::config::clouds::{CloudConfig, Interface};

/// Services have UUIDs and are disabled by them from here on (Pike, 2017).
const NOVA_NEEDED: Microversion = Microversion(2, 53);

/// Traits of resource providers (Pike, 2017).
const PLACEMENT_NEEDED: Microversion = Microversion(1, 6);

/// A session with one region of a real cloud.
pub struct OpenStack {
    session: Session,
    region: String,
    nova: Service,
    placement: Service,
    /// Faces of services that are asked about once, best first: those of Nova.
    interfaces: Vec<Interface>,
}

impl OpenStack {
    /// Logs in, finds Nova and Placement, and checks that they offer what is needed.
    ///
    /// # Errors
    /// `Configuration` for files and catalogs that cannot be used, `Unauthorized` for refused credentials,
    /// `Unreachable` and `TimedOut` for silence, `Unsupported` for a Nova below 2.53 or a Placement below 1.6.
    pub async fn connect(config: &CloudConfig, pace: Pace) -> CloudResult<Self> {
        let session = Session::open(config, pace).await?;
        let region = config.region.as_deref();
        let nova = Service::find(&session, service::NOVA, &config.compute, region).await?;
        // The region that Nova is in is the one that Placement must be in, also where none was named.
        let region = nova.region().or(region).unwrap_or_default().to_owned();
        let placement = Service::find(&session, service::PLACEMENT, &config.placement, Some(&region)).await?;
        nova.offers(NOVA_NEEDED)?;
        placement.offers(PLACEMENT_NEEDED)?;
        let interfaces = config.compute.interfaces.clone();
        Ok(Self { session, region, nova, placement, interfaces })
    }
}

#[async_trait]
impl Cloud for OpenStack {
    fn region(&self) -> &str {
        &self.region
    }

    fn cost(&self) -> ApiCost {
        self.session.cost()
    }

    async fn standing(&self) -> CloudResult<Standing> {
        let roles = self.session.roles().await?;
        Ok(Standing { roles, offers: vec![self.nova.offer(), self.placement.offer()] })
    }

    async fn ha_hosts(&self) -> CloudResult<Option<Vec<HaHost>>> {
        masakari::hosts(self).await
    }
}
