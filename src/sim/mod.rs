//! A simulated region behind the same ports as a real one: for demonstrations, rehearsals and tests.
//!
//! [`world`] is a pure state machine of Nova, Placement and hosts; [`faults`] says what goes wrong in it; [`scenario`]
//! makes worlds; [`ports`] shows a world to the engine in-process and in virtual time, [`http`] to any client over real
//! HTTP. It talks to nothing outside.

pub mod faults;
pub mod http;
pub mod ports;
mod remote;
pub mod scenario;
mod texts;
pub mod world;

pub use ports::{SimClock, SimCloud, SimOutside, SimRegion, SimShell};
pub use remote::SimRemoteShell;
pub use scenario::{Placing, Scenario};
pub use texts::NOVA_CONF_HOST_MODEL;
