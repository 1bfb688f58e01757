//! Integration tests.

mod house;
mod openstack;
mod remedy;
mod ssh;
