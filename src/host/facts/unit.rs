//! `systemctl show -p LoadState -p ActiveState` of the nova-compute unit.

/// The unit's active state; an error when systemd does not know the unit.
pub(super) fn parse(text: &str) -> Result<String, String> {
    let property = |name: &str| {
        text.lines()
            .find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=').map(str::trim).map(str::to_owned))
    };
    if property("LoadState").as_deref() == Some("not-found") {
        return Err("systemd knows no such unit".to_owned());
    }
    property("ActiveState").filter(|state| !state.is_empty()).ok_or_else(|| "no `ActiveState`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_unit_is_not_an_inactive_one() {
        assert_eq!(parse("LoadState=loaded\nActiveState=active\n").unwrap(), "active");
        assert_eq!(parse("LoadState=masked\nActiveState=inactive\n").unwrap(), "inactive");
        assert!(parse("LoadState=not-found\nActiveState=inactive\n").is_err());
        assert!(parse("").is_err());
    }
}
