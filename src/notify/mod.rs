//! Notices: what people want to hear of a run without watching it, sent where they are.
//!
//! `notice` says what is worth one and in which words; `target` where it goes; `courier` delivers: what comes together
//! goes out together, a place that fails is tried again, and a run waits for none of it. Called by `cli`, which spawns
//! the courier.

mod courier;
mod mail;
mod notice;
mod target;
mod watch;

pub use courier::{Courier, Pace};
pub use notice::{Notice, Occasion};
pub use target::{Form, Mail, MailWay, Target, WebhookUrl};
pub use watch::Watch;
