//! What becomes of each instance when its host is emptied: one table, asked by planner and engine alike. Pure.

mod affinity;
mod bond;
mod decide;
mod matrix;
mod standing;

#[cfg(test)]
mod tests;

pub use affinity::Affinity;
pub use bond::Bond;
pub use decide::{Movability, movability};
pub use matrix::{Row, Rule, Ways, page};
pub use standing::Standing;
