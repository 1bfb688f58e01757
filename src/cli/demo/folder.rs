//! The folder of a demonstration: what is put there before, and what of an earlier one goes.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::lab::Region;
use crate::cli::output::write_file;

/// Says that a folder is ours to write over.
const MARKER: &str = ".fleetmend-demo";

/// What a demonstration leaves, and the next one in the same folder replaces. Nothing else is ever removed.
const FILES: [&str; 10] = [
    "clouds.yaml",
    "fleetmend.yaml",
    "policy.yaml",
    "region.json",
    "rollout.yaml",
    "journal.db",
    "journal.db-wal",
    "journal.db-shm",
    "report.html",
    "report.json",
];

/// The folder.
#[derive(Debug)]
pub struct Folder {
    /// Its absolute path.
    pub path: PathBuf,
}

impl Folder {
    /// Makes the folder, or takes one that an earlier demonstration left.
    pub fn prepare(path: &Path) -> Result<Self, CommandError> {
        let shown = path.display();
        let cannot = |error| CommandError::doing(Exit::Unexpected, format!("cannot use `{shown}`"), error);
        if path.exists() && !path.is_dir() {
            return Err(CommandError::usage(format!("`{shown}` is a file, not a folder")));
        }
        fs::create_dir_all(path).map_err(cannot)?;
        let is_ours = path.join(MARKER).exists();
        let is_empty = fs::read_dir(path).map_err(cannot)?.next().is_none();
        if !is_ours && !is_empty {
            return Err(CommandError::usage(format!("`{shown}` is not empty, and no earlier demonstration's"))
                .consequence("nothing was written")
                .hint("`--dir DIR` names another folder"));
        }
        write_file(&path.join(MARKER), b"made by `fleetmend demo`, which replaces what is here\n")?;
        for name in FILES {
            match fs::remove_file(path.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Self { path: path.canonicalize().map_err(cannot)? })
    }

    /// Puts what an operator would have there: clouds.yaml, a configuration, a policy.
    pub fn fill(&self, region: &Region, hosts: u32) -> Result<(), CommandError> {
        region.write_files(&self.path)?;
        let journal = self.path.join("journal.db");
        let configuration = format!("{}state: \"sqlite:{}\"\n", region.hosts, journal.display());
        write_file(&self.path.join("fleetmend.yaml"), configuration.as_bytes())?;
        write_file(&self.path.join("policy.yaml"), policy(hosts).as_bytes())
    }
}

/// A policy with the daring of a demonstration: a quarter of the hosts at once, waits of a second.
fn policy(hosts: u32) -> String {
    let (all, zone) = ((hosts / 4).max(1), (hosts / 8).max(1));
    format!(
        "# For a region that is simulated and runs {speed} times as fast. `plans/policies` has ones for real regions.\n\
         format: 1\nkind: policy\n\
         limits: {{hosts: {all}, hosts_per_zone: {zone}, migrations: 40, migrations_per_source: 4, migrations_per_target: 4}}\n\
         canary: {{hosts: 1, soak: 2s}}\nsettle: 1s\nobjective: {{prefer: fastest, extra_moves: 10%}}\n\
         estimate: {{bandwidth: 100GB/s, per_move: 2400ms, host: 5s}}\n",
        speed = super::SPEED,
    )
}
