//! Tests against the real region of tests/lab; `tests/all` starts it and runs these inside `lab.sh exec`.

mod conformance;
mod openstack;

/// A variable that `lab.sh exec` sets.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests inside `lab.sh exec`"))
}
