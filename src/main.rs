//! fleetmend: rolling remediation for OpenStack compute fleets.

fn main() {}
