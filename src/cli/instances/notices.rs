//! Notices to projects, a file each.

use std::fs;
use std::path::Path;

use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::output::{tell, write_file};
use crate::ledger::{DEFAULT_NOTICE, Ledger, Notice};
use crate::model::ProjectId;
use crate::report::count;

/// The template at `path`, or the shipped one.
pub fn template(path: Option<&Path>) -> Result<Notice, CommandError> {
    let shown = path.map_or_else(|| "the shipped template".to_owned(), |path| format!("`{}`", path.display()));
    let text = match path {
        Some(path) => fs::read_to_string(path)
            .map_err(|error| CommandError::doing(Exit::Usage, format!("cannot read {shown} as a template"), error))?,
        None => DEFAULT_NOTICE.to_owned(),
    };
    Notice::read(&text).map_err(|error| CommandError::doing(Exit::Usage, format!("{shown} is no template"), error))
}

/// Writes a notice for each project that has something left to do.
pub fn write(folder: &Path, template: &Notice, ledger: &Ledger) -> Result<(), CommandError> {
    fs::create_dir_all(folder).map_err(|error| {
        CommandError::doing(Exit::Unexpected, format!("cannot make the folder `{}`", folder.display()), error)
    })?;
    let open = ledger.projects.iter().filter(|project| project.counts.open() > 0);
    let mut written = 0;
    for project in open {
        let path = folder.join(file_name(&project.project));
        write_file(&path, template.fill(ledger, &project.project).as_bytes())?;
        written += 1;
    }
    tell(format!("{} in `{}`\n", count(written, "notice"), folder.display()));
    Ok(())
}

/// A project's file: its id, of which nothing may lead out of the folder or hide the file.
fn file_name(project: &ProjectId) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    format!("{}.md", project.as_str().chars().map(safe).collect::<String>())
}
