//! What others are told while a host is worked on, in their words. Pure: requests and answers are values.
//!
//! Called by `actions`; nothing here sends anything.

pub mod alertmanager;
