//! Integration tests.

mod engine;
mod house;
mod openstack;
mod remedy;
mod ssh;
