//! Free space, addresses, and whether the package manager's repositories answer.

use core::net::IpAddr;
use std::collections::BTreeMap;

use crate::model::Repository;

/// Free space in KiB by path: `PATH BLOCKS SIZE` a line, as `stat -f -c '%a %S'` counts it.
pub(super) fn free(text: &str) -> Result<BTreeMap<String, u64>, String> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (path, blocks, size, end) = (words.next(), words.next(), words.next(), words.next());
        let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
        match (path, number(blocks), number(size), end) {
            (Some(path), Some(blocks), Some(size), None) if path.starts_with('/') => {
                Ok((path.to_owned(), blocks.saturating_mul(size) / 1024))
            }
            _ => Err(format!("`{line}` tells no free space")),
        }
    };
    let free: BTreeMap<String, u64> =
        text.lines().filter(|line| !line.trim().is_empty()).map(line).collect::<Result<_, _>>()?;
    if free.is_empty() { Err("empty".to_owned()) } else { Ok(free) }
}

/// Addresses, one a line.
pub(super) fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let address = |word: &str| {
        let bare = word.split_once('/').map_or(word, |(address, _)| address);
        bare.parse().map_err(|_| format!("`{word}` is no address"))
    };
    text.split_whitespace().map(address).collect()
}

/// Repositories: `+ NAME` for one that answers, `- NAME WORDS` for one that does not.
pub(super) fn repositories(text: &str) -> Result<Vec<Repository>, String> {
    let line = |line: &str| {
        let (sign, rest) = line.trim().split_once(' ').unwrap_or((line, ""));
        let (name, words) = rest.split_once(' ').unwrap_or((rest, ""));
        let problem = match sign {
            _ if name.is_empty() => return Err(format!("`{line}` names no repository")),
            "+" => None,
            "-" if words.trim().is_empty() => Some("does not answer".to_owned()),
            "-" => Some(words.trim().to_owned()),
            _ => return Err(format!("`{line}` does not begin as a line about a repository does")),
        };
        Ok(Repository { name: name.to_owned(), problem })
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_is_blocks_times_their_size() {
        let free = free("/ 1000 4096\n/boot 20 1024\n").unwrap();
        assert_eq!((free["/"], free["/boot"]), (4000, 20));
        for other in ["", "/ 1000", "/ x 4096", "stat: cannot read", "/ 1 2 3"] {
            assert!(super::free(other).is_err(), "{other}");
        }
    }

    #[test]
    fn addresses_come_with_or_without_the_length_of_their_network() {
        let read = addresses("10.0.0.17/24\nfd00::17/64 192.0.2.1\n").unwrap();
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.17", "fd00::17", "192.0.2.1"]);
        assert!(addresses("eth0").is_err());
    }

    #[test]
    fn a_repository_that_does_not_answer_is_told_with_the_hosts_words() {
        let read = repositories("+ base\n- updates Curl error (7): connection refused\n- x\n").unwrap();
        let problems: Vec<Option<&str>> = read.iter().map(|one| one.problem.as_deref()).collect();
        assert_eq!(problems, [None, Some("Curl error (7): connection refused"), Some("does not answer")]);
        assert!(repositories("+").is_err() && repositories("base is fine").is_err());
    }
}
