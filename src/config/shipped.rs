//! Remedies and policies that come with the program.

/// A file of `plans/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// The name that `--remedy` and `--policy` take.
    pub name: &'static str,
    /// Its path in the source.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

macro_rules! shipped {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(Shipped {
            name: $name,
            path: concat!("plans/", $folder, "/", $name, ".yaml"),
            text: include_str!(concat!("../../plans/", $folder, "/", $name, ".yaml")),
        }),*]
    };
}

/// Shipped remedies, in order of name.
pub const REMEDIES: &[Shipped] = shipped!("remedies": "kernel-update", "l1tf", "mds", "spectre-v2", "srso");

/// Shipped policies, in order of name.
pub const POLICIES: &[Shipped] = shipped!("policies": "careful", "default", "fast");

/// The shipped file of that name.
pub fn find(among: &'static [Shipped], name: &str) -> Option<&'static Shipped> {
    among.iter().find(|shipped| shipped.name == name)
}
