//! Integration tests.

mod conformance;
mod engine;
mod house;
#[cfg(feature = "lab")]
mod lab;
mod openstack;
mod plans;
mod remedy;
mod ssh;
