//! `/sys/devices/system/cpu/vulnerabilities`: a line `NAME: CONTENT` per file.

use std::collections::BTreeMap;

/// The first line of each file.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (name, content) = line.split_once(':').ok_or_else(|| format!("`{line}` names no file"))?;
        found.entry(name.trim().to_owned()).or_insert_with(|| content.trim().to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_keeps_its_own_colons() {
        let found = parse("mds: Mitigation: Clear CPU buffers; SMT vulnerable\nmeltdown: Mitigation: PTI\n").unwrap();
        assert_eq!(found["mds"], "Mitigation: Clear CPU buffers; SMT vulnerable");
        assert_eq!(found.len(), 2);
        assert!(parse("cat: no such file\nmds").is_err());
    }
}
