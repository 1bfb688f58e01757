//! Text that people write → validated types, with the file, line and column of what is wrong. The only room that knows
//! the YAML crate.

pub mod clouds;
