//! Ctrl-C and SIGTERM while a run goes on: the first one stops it when what is under way has ended, the second one lets
//! go of it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::output::tell;
use crate::run::Steer;

/// Listens from now on.
pub fn steer() -> mpsc::Receiver<Steer> {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            // Without handlers a signal ends the process, and `resume` goes on: nothing worse than a crash.
            return sender.closed().await;
        };
        for steer in [Steer::Stop, Steer::LetGo] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = sender.closed() => return,
            }
            tell(match steer {
                Steer::Stop => "stopping when what is under way has ended; once more leaves it to `fleetmend resume`\n",
                Steer::LetGo => "leaving what is under way to `fleetmend resume`\n",
            });
            if sender.send(steer).await.is_err() {
                return;
            }
        }
        sender.closed().await;
    });
    receiver
}
