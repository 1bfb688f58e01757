//! Files by name: remedies and policies (shipped or by path), rollouts, regions.

use std::path::Path;

use super::error::CommandError;
use super::output::{Source, tell};
use crate::config;
use crate::config::shipped::{self, POLICIES, REMEDIES, Shipped};
use crate::model::{Policy, Region};
use crate::plan::Rollout;
use crate::remedy::{Remedy, lint};
use crate::report::{Style, printable};

/// The remedy of that name, or in that file. What makes it less sure than it looks is told as warnings.
pub fn remedy(name: &str, style: Style) -> Result<Remedy, CommandError> {
    let (file, text) = named(name, "remedy", REMEDIES)?;
    let remedy = config::read_remedy(&file, &text)?;
    for mistake in lint(&remedy) {
        tell(format!("{} {}: {}\n", style.yellow("warning:"), printable(&file), printable(&mistake.to_string())));
    }
    Ok(remedy)
}

/// The policy of that name, or in that file.
pub fn policy(name: &str) -> Result<Policy, CommandError> {
    let (file, text) = named(name, "policy", POLICIES)?;
    Ok(config::read_policy(&file, &text)?)
}

/// The rollout in that file, its digest not looked at.
pub fn rollout(source: &Source) -> Result<Rollout, CommandError> {
    Ok(config::read_rollout(&source.to_string(), &source.read("a rollout")?)?)
}

/// The region in that file.
pub fn region(source: &Source) -> Result<Region, CommandError> {
    Ok(config::read_region(&source.to_string(), &source.read("a region")?)?)
}

/// A shipped file's name wins; everything else is a path, `-` included.
fn named(name: &str, what: &str, among: &'static [Shipped]) -> Result<(String, String), CommandError> {
    if let Some(shipped) = shipped::find(among, name) {
        return Ok((shipped.path.to_owned(), shipped.text.to_owned()));
    }
    let is_path = name == "-" || name.contains(['/', '.']) || Path::new(name).exists();
    if !is_path {
        let names: Vec<&str> = among.iter().map(|shipped| shipped.name).collect();
        let error = CommandError::usage(format!("there is no {what} `{name}`, and no file of that name"));
        return Err(match super::suggest::closest(name, &names) {
            Some(close) => error.hint(format!("did you mean `{close}`?")),
            None => error.hint(format!("shipped: {}; or give a path", names.join(", "))),
        });
    }
    let source: Source = if name == "-" { Source::Stdin } else { Source::File(name.into()) };
    let text = source.read(&format!("a {what}"))?;
    Ok((source.to_string(), text))
}
