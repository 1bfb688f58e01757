//! `fleetmend lab`: serves a simulated region over HTTP until it is stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::error::CommandError;
use super::exit::Exit;
use super::output::{Source, print, tell, write_file};
use super::session::Session;
use super::store;
use crate::config;
use crate::model::ProjectId;
use crate::sim::http::{Access, base_url, serve};
use crate::sim::{Scenario, SimRegion};

/// Arguments of `lab`.
#[derive(Debug, Args)]
pub struct LabArgs {
    /// Address and port, of this machine only; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Scenario file: size, timing, faults [default: 24 hosts, 200 instances]
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<Source>,
    /// So many times as fast as a real region
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Write `clouds.yaml` and `fleetmend.yaml` into this folder instead of printing them
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

pub(super) fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.01..=10_000.0).contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => Err("a number between 0.01 and 10000 is needed".to_owned()),
    }
}

/// Serves until Ctrl-C or SIGTERM.
pub fn run(args: &LabArgs, session: &Session) -> Result<Exit, CommandError> {
    let scenario = match &args.scenario {
        Some(source) => config::read_scenario(&source.to_string(), &source.read("a scenario")?)?,
        None => Scenario { start: Timestamp::now(), ..Scenario::default() },
    };
    store::block_on(async {
        let region = Region::open(&scenario, args.speed, args.listen).await?;
        if let Some(dir) = &args.dir {
            region.write_files(dir)?;
            tell(format!("`{}` has its clouds.yaml (cloud `sim`) and fleetmend.yaml\n", dir.display()));
        } else {
            let files = format!("# clouds.yaml\n{}---\n# hosts.yaml: for --config\n{}", region.clouds, region.hosts);
            print(files)?;
        }
        let end = session.err.dim("Ctrl-C ends it");
        tell(format!("serving region {} at {}; {end}\n", scenario.region, region.base));
        let stopped = |error| CommandError::doing(Exit::Unexpected, "cannot wait for signals", error);
        let mut terminate = signal(SignalKind::terminate()).map_err(stopped)?;
        tokio::select! {
            ended = region.serve() => ended.map(|()| Exit::Done),
            _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
            _ = terminate.recv() => Ok(Exit::Done),
        }
    })
}

/// A simulated region with an address, and the files that lead to it.
pub struct Region {
    world: Arc<SimRegion>,
    access: Access,
    listener: TcpListener,
    /// Its address.
    pub base: String,
    /// `clouds.yaml`: cloud `sim` is its admin.
    pub clouds: String,
    /// A configuration whose hosts are its hosts.
    pub hosts: String,
}

impl Region {
    /// Makes the region and takes an address for it; its time begins to pass.
    pub async fn open(scenario: &Scenario, speed: f64, listen: SocketAddr) -> Result<Self, CommandError> {
        if !listen.ip().is_loopback() {
            return Err(CommandError::usage(format!("`{listen}` is not an address of this machine alone"))
                .hint("a simulated region asks nobody for a password at its hosts; use `127.0.0.1:PORT`"));
        }
        let failed = |error| CommandError::doing(Exit::Unexpected, format!("cannot listen on `{listen}`"), error);
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let base = base_url(&listener).map_err(failed)?;
        let world = scenario.build();
        let owner =
            world.all_servers().next().map_or_else(|| ProjectId::new("nobody"), |server| server.project.clone());
        let access = Access::new(&uuid::Uuid::new_v4().simple().to_string(), owner);
        let clouds = access.clouds_yaml(&base, &scenario.region);
        let hosts = format!("format: 1\nkind: config\ncloud: sim\nhosts_via: {{simulator: \"{base}\"}}\n");
        let world = SimRegion::new(world, speed);
        Ok(Self { world, access, listener, base, clouds, hosts })
    }

    /// Writes `clouds.yaml`, for its owner's eyes only, and `fleetmend.yaml` into `dir`.
    pub fn write_files(&self, dir: &Path) -> Result<(), CommandError> {
        std::fs::create_dir_all(dir).map_err(|error| {
            CommandError::doing(Exit::Unexpected, format!("cannot make `{}`", dir.display()), error)
        })?;
        super::output::write_private(&dir.join("clouds.yaml"), self.clouds.as_bytes())?;
        write_file(&dir.join("fleetmend.yaml"), self.hosts.as_bytes())
    }

    /// The region itself, for who looks at it from the side.
    pub fn world(&self) -> Arc<SimRegion> {
        Arc::clone(&self.world)
    }

    /// Serves it; ends only when the listener fails.
    pub async fn serve(self) -> Result<(), CommandError> {
        serve(self.world, self.access, self.listener, std::future::pending())
            .await
            .map_err(|error| CommandError::doing(Exit::Unexpected, "the region could not be served on", error))
    }
}
