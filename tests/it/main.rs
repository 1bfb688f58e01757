//! Integration tests.

mod house;
mod remedy;
mod ssh;
