//! Integration tests.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod browser;
mod cli;
mod conformance;
mod engine;
mod house;
mod journal;
#[cfg(feature = "lab")]
mod lab;
mod metrics;
mod notices;
mod openstack;
mod outside;
mod plans;
mod remedy;
mod ssh;
