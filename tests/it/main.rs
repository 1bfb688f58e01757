//! Integration tests.

mod house;
mod remedy;
