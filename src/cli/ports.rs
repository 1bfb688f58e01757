//! The ways to the world that a command opens: the cloud of clouds.yaml and the hosts of the configuration.

use std::sync::Arc;

use super::error::CommandError;
use super::session::Session;
use crate::cloud::Cloud;
use crate::cloud::openstack::{OpenStack, Pace};
use crate::config::Configuration;
use crate::config::clouds;
use crate::host::HostShell;
use crate::host::ssh::SshShell;
use crate::outside::{ANSWERS_WITHIN, LocalOutside, Outside};
use crate::sim::SimRemoteShell;

/// Logs in to the cloud that the command line, the environment or the configuration names.
pub async fn cloud(session: &Session, configuration: &Configuration) -> Result<Arc<dyn Cloud>, CommandError> {
    let config = clouds::load(&session.clouds_environment()?, &session.wanted_cloud(configuration))?;
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    let pace = Pace { per_second: configuration.requests_per_second, ..Pace::default() };
    Ok(Arc::new(OpenStack::connect(&config, pace).await?))
}

/// The way to the hosts: ssh, or a simulated region's own where the configuration names one. Connects to none yet.
pub fn shell(session: &Session, configuration: &Configuration) -> Result<Arc<dyn HostShell>, CommandError> {
    Ok(match &configuration.simulator {
        Some(base) => Arc::new(SimRemoteShell::new(base.clone()).map_err(CommandError::usage)?),
        None => Arc::new(SshShell::new(configuration.ssh.clone(), &session.runtime_folder())?),
    })
}

/// The way to executables of this machine, with the ladder that the configuration names.
pub fn outside(configuration: &Configuration) -> Arc<dyn Outside> {
    Arc::new(LocalOutside::new(configuration.ladder.clone(), ANSWERS_WITHIN))
}
