//! `fleetmend view`, `run --listen`: the live page of a run.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::CommandError;
use super::exit::Exit;
use super::output::{tell, write_file};
use super::session::Session;
use super::store;
use crate::clock::{Clock as _, SystemClock};
use crate::journal::Journal;
use crate::report::Style;
use crate::run::{self, Observer, RunState};
use crate::view::{Control, Feed, Hub, Liveness, Site, serve};

/// How long pages are given to hear of the end of a run before its process goes away.
const FAREWELL: Duration = Duration::from_millis(500);

/// Prometheus asks node_exporter about as often.
const METRICS_EVERY: Duration = Duration::from_secs(15);

/// Who may reach the page, and what they may do there.
#[derive(Debug, Args)]
pub struct DoorArgs {
    /// Let the page pause, continue, approve, skip, retry and stop: prints an address with a key that is good once
    #[arg(long)]
    pub allow_control: bool,
    /// Serve it under this name as well, also on an address that other machines reach; nothing there asks who looks
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub allow_host: Vec<String>,
}

/// The live page of a run while it runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Live page")]
pub struct LiveArgs {
    /// Serve the live page and /metrics here while the run lasts; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Who may reach it.
    #[command(flatten)]
    pub door: DoorArgs,
    /// Write the run's metrics to this file every 15 seconds, for node_exporter's textfile collector
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,
}

/// Arguments of `view`.
#[derive(Debug, Args)]
pub struct ViewArgs {
    /// Beginning of the run's id [default: the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    pub listen: SocketAddr,
    /// Who may reach it.
    #[command(flatten)]
    pub door: DoorArgs,
}

impl LiveArgs {
    /// Takes the address before anything is begun: a run is not to fail for its page.
    pub async fn bind(&self) -> Result<Option<TcpListener>, CommandError> {
        match self.listen {
            Some(address) => self.door.bind(address).await.map(Some),
            None if self.door.allow_control || !self.door.allow_host.is_empty() => {
                Err(CommandError::usage("`--allow-control` and `--allow-host` speak of a page that is not there")
                    .hint("`--listen 127.0.0.1:8080` serves one"))
            }
            None => Ok(None),
        }
    }
}

impl DoorArgs {
    async fn bind(&self, address: SocketAddr) -> Result<TcpListener, CommandError> {
        if !address.ip().is_loopback() && self.allow_host.is_empty() {
            return Err(CommandError::usage(format!("`{address}` can be reached from other machines"))
                .hint("`--listen 127.0.0.1:PORT` and a tunnel (`ssh -L`) show the page to those who may log in here")
                .hint("`--allow-host NAME` serves it to everybody who reaches that name"));
        }
        TcpListener::bind(address)
            .await
            .map_err(|error| CommandError::doing(Exit::Usage, format!("cannot listen on `{address}`"), error))
    }

    /// The site of a run, and the address under which it opens.
    fn site(
        &self,
        hub: &Arc<Hub>,
        journal: Arc<dyn Journal>,
        listener: &TcpListener,
        session: &Session,
    ) -> Result<(Site, String), CommandError> {
        let address = listener
            .local_addr()
            .map_err(|error| CommandError::doing(Exit::Unexpected, "cannot tell the page's address", error))?;
        let place = self.allow_host.first().filter(|_| !address.ip().is_loopback());
        let place = place.map_or_else(|| address.to_string(), |name| format!("{name}:{}", address.port()));
        let (control, key) = if self.allow_control {
            let (control, key) = Control::new();
            (Some(control), format!("#key={key}"))
        } else {
            (None, String::new())
        };
        let site = Site {
            hub: Arc::clone(hub),
            journal,
            clock: Arc::new(SystemClock),
            control,
            user: session.user(),
            names: self.allow_host.clone(),
        };
        Ok((site, format!("http://{place}/{key}")))
    }

    fn announce(&self, url: &str, session: &Session) {
        let how = if self.allow_control { "; the key in it is good once" } else { "; it only shows" };
        tell(format!("live page: {}{how}\n", session.err.bold(url)));
    }
}

/// The page beside a run.
pub struct Page {
    hub: Arc<Hub>,
    follower: JoinHandle<()>,
    server: Option<JoinHandle<std::io::Result<()>>>,
    metrics: Option<PathBuf>,
    journal: Arc<dyn Journal>,
    lives: Liveness,
}

impl Page {
    /// Opens the page of a run that this process is about to drive, where one is asked for; the observer to drive it
    /// with comes back. `unbegun` tells the run before its first event.
    pub async fn beside<S: Future<Output = Result<RunState, CommandError>>>(
        watcher: Box<dyn Observer>,
        listener: Option<TcpListener>,
        unbegun: impl FnOnce() -> S,
        args: &LiveArgs,
        session: &Session,
    ) -> Result<(Option<Self>, Box<dyn Observer>), CommandError> {
        if listener.is_none() && args.metrics_file.is_none() {
            return Ok((None, watcher));
        }
        // A connection of its own: the run's writer waits for no reader.
        let journal = store::open(session).await?;
        let hub = Hub::new(unbegun().await?, SystemClock.now());
        let (feed, progress) = Feed::around(watcher, hub.bell());
        let mut server = None;
        if let Some(listener) = listener {
            let (site, url) = args.door.site(&hub, Arc::clone(&journal), &listener, session)?;
            server = Some(tokio::spawn(serve(site, listener, std::future::pending())));
            args.door.announce(&url, session);
        }
        let lives = store::liveness(session);
        let follow = Arc::clone(&hub).follow(Arc::clone(&journal), progress, Arc::clone(&lives), Arc::new(SystemClock));
        let metrics = args.metrics_file.clone();
        let writing = metrics.clone().map(|path| keep_written(Arc::clone(&hub), path));
        let follower = tokio::spawn(async move {
            match writing {
                Some(writing) => drop(tokio::join!(follow, writing)),
                None => follow.await,
            }
        });
        Ok((Some(Self { hub, follower, server, metrics, journal, lives }), Box::new(feed)))
    }

    /// Lets pages hear of the end.
    pub async fn close(page: Option<Self>) {
        let Some(page) = page else { return };
        page.follower.abort();
        let _ = page.follower.await;
        // What the follower had not read yet is read here, so that the last word is the end.
        if let Err(error) = page.hub.read(page.journal.as_ref(), &page.lives, &SystemClock, true).await {
            tracing::warn!("the page does not hear of the end: {error}");
        }
        page.hub.tell();
        if page.server.is_some() {
            tokio::time::sleep(FAREWELL).await;
        }
        if let Some(server) = page.server {
            server.abort();
        }
        if let Some(path) = page.metrics {
            write_metrics(&page.hub, &path);
        }
    }
}

/// Writes the metrics again and again.
async fn keep_written(hub: Arc<Hub>, path: PathBuf) {
    let mut tick = tokio::time::interval(METRICS_EVERY);
    loop {
        tick.tick().await;
        write_metrics(&hub, &path);
    }
}

/// A run does not end for a file of metrics: what cannot be written is told.
fn write_metrics(hub: &Hub, path: &Path) {
    let metrics = hub.board().metrics();
    if let Err(error) = write_file(path, metrics.as_bytes()) {
        tracing::warn!("{}", error.render(Style::plain()).trim_end());
    }
}

/// Serves the page of a run until Ctrl-C or SIGTERM.
pub fn run(args: &ViewArgs, session: &Session) -> Result<Exit, CommandError> {
    store::block_on(async {
        let journal = store::open_existing(session).await?;
        let listing = store::find(journal.as_ref(), args.run.as_deref(), store::Default::Newest).await?;
        let listener = args.door.bind(args.listen).await?;
        let hub = Hub::new(run::unbegun(journal.as_ref(), listing.run).await?, SystemClock.now());
        let lives = store::liveness(session);
        hub.read(journal.as_ref(), &lives, &SystemClock, true).await?;
        let (site, url) = args.door.site(&hub, Arc::clone(&journal), &listener, session)?;
        let (_nobody, progress) = mpsc::channel(1);
        let follower = tokio::spawn(Arc::clone(&hub).follow(journal, progress, lives, Arc::new(SystemClock)));
        args.door.announce(&url, session);
        tell(format!("run {}; {}\n", listing.run, session.err.dim("Ctrl-C ends it")));
        let failed = |error| CommandError::doing(Exit::Unexpected, "the page cannot be served", error);
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let ended = tokio::select! {
            ended = serve(site, listener, std::future::pending()) => ended.map_err(failed),
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = terminate.recv() => Ok(()),
        };
        follower.abort();
        ended.map(|()| Exit::Done)
    })
}
