//! Domains on a host: a line `UUID<TAB>STATE<TAB>NAME` each.

use crate::model::{Domain, DomainState};

/// All or nothing: a line that is not understood could be the guest that a reboot would end.
pub(in crate::host) fn parse(text: &str) -> Result<Vec<Domain>, String> {
    let mut domains: Vec<Domain> =
        text.lines().filter(|line| !line.trim().is_empty()).map(domain).collect::<Result<_, _>>()?;
    domains.sort();
    Ok(domains)
}

fn domain(line: &str) -> Result<Domain, String> {
    let mut fields = line.splitn(3, '\t');
    let (Some(id), Some(state), Some(name)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(format!("`{line}` is not a domain's id, state and name"));
    };
    let id = uuid::Uuid::parse_str(id.trim()).map_err(|_| format!("`{id}` is not a domain's id"))?.to_string();
    let name = if name.trim().is_empty() { id.clone() } else { name.trim().to_owned() };
    Ok(Domain { id, name, state: state_of(state.trim()) })
}

/// The words of `virsh domstate`.
fn state_of(words: &str) -> DomainState {
    match words {
        "running" | "idle" | "blocked" | "in shutdown" => DomainState::Running,
        "paused" | "pmsuspended" => DomainState::Paused,
        "shut off" => DomainState::ShutOff,
        "crashed" => DomainState::Crashed,
        _ => DomainState::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_that_a_reboot_would_end_counts_as_such() {
        let states = ["running", "blocked", "idle", "in shutdown", "paused", "pmsuspended", "", "dying"];
        let lines = states.map(|state| format!("6d1f0000-0000-4000-8000-000000000001\t{state}\tinstance-1\n")).concat();
        let domains = parse(&lines).unwrap();
        assert_eq!(domains.len(), 8);
        assert!(domains.iter().all(|domain| domain.state.would_be_lost()), "{domains:?}");
    }

    #[test]
    fn a_domain_that_is_off_is_not_lost_and_a_nameless_one_bears_its_id() {
        let domains = parse("6D1F0000-0000-4000-8000-000000000001\tshut off\t\n\n").unwrap();
        assert_eq!(domains[0].state, DomainState::ShutOff);
        assert_eq!(domains[0].name, "6d1f0000-0000-4000-8000-000000000001");
        assert_eq!(domains[0].id, "6d1f0000-0000-4000-8000-000000000001");
    }

    #[test]
    fn one_line_that_is_not_understood_spoils_the_list() {
        assert!(parse("6d1f0000-0000-4000-8000-000000000001\tshut off\ta\nerror: lost connection\n").is_err());
        assert!(parse("instance-1\trunning\tx\n").is_err());
        assert!(parse("").unwrap().is_empty());
    }
}
