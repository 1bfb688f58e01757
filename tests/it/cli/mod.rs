//! The binary as people and scripts meet it: real processes, real files, and a simulated region over real HTTP whose
//! log of requests says what was asked of it.

mod clouds;
mod drain;
mod files;
mod gateway;
mod hostile;
mod preflight;
mod reference;
mod region;
mod rehearse;
mod secrets;
mod signals;
pub mod stand;
mod standby;
mod state;
mod tls;

use stand::Stand;
