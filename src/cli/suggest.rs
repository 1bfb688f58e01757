//! "Did you mean".

/// The one of `known` that is close enough to `written` to be what was meant.
pub fn closest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |one: &&str| strsim::damerau_levenshtein(&written.to_lowercase(), &one.to_lowercase());
    known.iter().copied().min_by_key(distance).filter(|one| distance(one) <= (one.len() / 3).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        assert_eq!(closest("msd", &["kernel-update", "mds"]), Some("mds"));
        assert_eq!(closest("kernel_update", &["kernel-update", "mds"]), Some("kernel-update"));
        assert_eq!(closest("spectre", &["kernel-update", "mds"]), None);
    }
}
