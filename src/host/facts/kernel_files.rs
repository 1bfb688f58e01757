//! Files of the kernel that a remedy asked for: a line `= PATH CONTENT`, `- PATH` where there is none, `! PATH` where it
//! could not be read.

use std::collections::BTreeMap;

/// Files as the host told of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// The first line of each; `None` where there is no such file.
    pub(super) files: BTreeMap<String, Option<String>>,
    /// Those that are there and could not be read.
    pub(super) refused: Vec<String>,
}

/// What the host told.
pub(super) fn parse(text: &str) -> Result<Read, String> {
    let mut read = Read::default();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (sign, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (path, content) = rest.split_once(' ').unwrap_or((rest, ""));
        match sign {
            _ if path.is_empty() => return Err(format!("`{line}` names no file")),
            "=" => drop(read.files.insert(path.to_owned(), Some(content.trim().to_owned()))),
            "-" => drop(read.files.insert(path.to_owned(), None)),
            "!" => read.refused.push(path.to_owned()),
            _ => return Err(format!("`{line}` does not begin as a line about a file does")),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_told_from_one_that_could_not_be_read() {
        let read = parse("= /sys/a cond\n= /sys/b two words \n= /sys/e\n- /sys/c\n! /sys/d\n").unwrap();
        let told = |path: &str| read.files.get(path).map(Option::as_deref);
        assert_eq!(told("/sys/a"), Some(Some("cond")));
        assert_eq!(told("/sys/b"), Some(Some("two words")));
        assert_eq!(told("/sys/e"), Some(Some("")));
        assert_eq!(told("/sys/c"), Some(None));
        assert_eq!((told("/sys/d"), read.refused.as_slice()), (None, ["/sys/d".to_owned()].as_slice()));
        assert!(parse("=").is_err() && parse("cat: /sys/a: no").is_err());
    }
}
