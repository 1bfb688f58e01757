//! What a host is made of, as far as a reboot can lose it.

use std::collections::BTreeMap;

use crate::model::Fingerprint;

/// Reads lines of `KIND NAME<TAB>AMOUNT`; a kind of which there is one has no name.
pub(super) fn parse(text: &str) -> Result<Fingerprint, String> {
    let mut things = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (thing, amount) = line.split_once('\t').ok_or_else(|| format!("`{line}` has no amount"))?;
        things.insert(thing.trim().to_owned(), amount.trim().to_owned());
    }
    if things.is_empty() { Err("nothing was found".to_owned()) } else { Ok(Fingerprint::new(things)) }
}
