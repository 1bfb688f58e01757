//! The face: arguments, commands, what is printed, exit codes.
//!
//! The only room that prints, reads the environment and decides exit codes. It holds no rule about hosts, instances or
//! plans: each command calls the rooms in turn and shows what they say.

mod args;
mod assess;
mod completions;
mod confirm;
mod control;
mod demo;
mod diff;
mod dispatch;
mod drain;
mod error;
mod exit;
mod files;
mod instances;
mod inventory;
mod journal;
mod lab;
mod log;
mod man;
mod marks;
mod notices;
mod output;
mod plan;
mod ports;
mod preflight;
mod reference;
mod region;
mod rehearse;
mod report;
mod run;
mod schema;
mod session;
mod show;
mod signals;
mod standby;
mod status;
mod store;
mod suggest;
mod terminal;
mod translate;
mod ui;
mod view;

pub use args::Cli;
pub use dispatch::main;
pub use error::CommandError;
pub use exit::Exit;
