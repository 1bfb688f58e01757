//! fleetmend: rolling remediation for OpenStack compute fleets.

/// What a large region costs is, for a tenth of it, memory that is asked for and given back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    fleetmend::cli::main()
}
