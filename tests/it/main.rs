//! Integration tests.

mod house;
