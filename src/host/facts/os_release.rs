//! `/etc/os-release`, by the rules of os-release(5): shell-like assignments with optional quotes.

use crate::model::OsRelease;

pub(super) fn parse(text: &str) -> Result<OsRelease, String> {
    let mut os = OsRelease::default();
    for line in text.lines() {
        let line = line.trim();
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let value = unquote(value);
        match key {
            "ID" => os.id = value,
            "VERSION_ID" => os.version_id = value,
            "ID_LIKE" => os.id_like = value.split_whitespace().map(str::to_owned).collect(),
            "PRETTY_NAME" => os.pretty_name = value,
            _ => {}
        }
    }
    if os.id.is_empty() { Err("no `ID`".to_owned()) } else { Ok(os) }
}

/// The value without the quotes that a shell would take away.
fn unquote(value: &str) -> String {
    // What a shell cannot take apart is taken as it stands: the file's own rule allows no such value.
    match shlex::split(value).as_deref() {
        Some([word]) => word.clone(),
        Some([]) => String::new(),
        Some(_) | None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_of_either_kind_and_none_mean_the_same() {
        let os = parse(
            "NAME=\"Red Hat Enterprise Linux Server\"\nID='rhel'\nID_LIKE=\"fedora rhel\"\nVERSION_ID=7.6\n\
             PRETTY_NAME=\"The \\$7 \\\"Maipo\\\"\"\n# ID=other\n",
        )
        .unwrap();
        assert_eq!(os.id, "rhel");
        assert_eq!(os.id_like, ["fedora", "rhel"]);
        assert_eq!(os.version_id, "7.6");
        assert_eq!(os.pretty_name, "The $7 \"Maipo\"");
    }

    #[test]
    fn a_file_without_id_is_not_understood() {
        assert!(parse("NAME=x\n").is_err());
        assert_eq!(parse("ID=x\nPRETTY_NAME=\"open\n").unwrap().pretty_name, "\"open");
    }
}
