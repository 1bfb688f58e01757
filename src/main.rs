//! fleetmend: rolling remediation for OpenStack compute fleets.

fn main() -> std::process::ExitCode {
    fleetmend::cli::main()
}
