//! What we may do in the cloud, what its services offer, and cells that do not answer.

use super::note::{Note, Topic, note};
use super::{Ground, Masakari};
use crate::model::GapKind;
use crate::plan::Severity;

/// What is not seen or done below a microversion of Nova.
const NOVA: [(u16, u16, &str); 6] = [
    (2, 56, "a cold migration cannot be told where to go"),
    (2, 65, "a live migration that is still queued cannot be aborted"),
    (2, 69, "a cell that does not answer is left out without a word"),
    (2, 73, "who locked an instance and why is not told"),
    (2, 84, "why a migration failed is not told"),
    (2, 96, "the zone that an instance was asked to be in is not told: it may be sent where Nova refuses it"),
];

pub(super) fn notes(ground: &Ground<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    rights(ground, &mut notes);
    microversions(ground, &mut notes);
    let cells = ground.region.gaps.iter().filter(|gap| gap.kind == GapKind::Cell).count();
    if cells > 0 {
        notes.push(note(
            Severity::Fatal,
            Topic::Cells,
            format!("{cells} hosts or instances are in a cell that does not answer"),
            "what is on such hosts is unknown, and unknown is never taken for empty",
            "bring the cell's database and message queue back, then look again",
        ));
    }
    if let Masakari::Silent(words) = ground.masakari {
        notes.push(note(
            Severity::Fatal,
            Topic::HighAvailability,
            format!("Masakari is in the catalog and did not answer: {words}"),
            "which hosts it watches is unknown: one that is rebooted may have its instances evacuated",
            "let the user of this cloud's entry read Masakari's segments, or name those hosts in the policy's hosts.exclude",
        ));
    }
    notes
}

fn rights(ground: &Ground<'_>, notes: &mut Vec<Note>) {
    let Some(standing) = ground.standing else { return };
    if standing.roles.iter().any(|role| role == "admin") {
        return;
    }
    let found = match standing.roles.as_slice() {
        [] => "the token names no roles".to_owned(),
        roles => format!("the token has the roles {}, and not admin", roles.join(", ")),
    };
    notes.push(note(
        Severity::Warning,
        Topic::Cloud,
        found,
        "by Nova's own policy only an admin disables services, migrates instances and sees all projects' server groups",
        "use an entry of clouds.yaml with the admin role, or make sure that this cloud's policy files grant the same",
    ));
}

fn microversions(ground: &Ground<'_>, notes: &mut Vec<Note>) {
    let offers = ground.standing.iter().flat_map(|standing| &standing.offers);
    for offer in offers {
        let found = format!("{} offers microversions up to {}", offer.service, offer.newest);
        let version =
            offer.newest.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        let missing: Vec<&str> = NOVA
            .iter()
            .filter(|(major, minor, _)| {
                offer.service == "nova" && version.is_some_and(|version: (u16, u16)| version < (*major, *minor))
            })
            .map(|(_, _, what)| *what)
            .collect();
        if missing.is_empty() {
            notes.push(note(Severity::Info, Topic::Cloud, found, "all that is asked of it is there", "nothing"));
        } else {
            let means = missing.join("; ");
            let advice = "plan with that in mind; a newer Nova tells more";
            notes.push(note(Severity::Warning, Topic::Cloud, found, &means, advice));
        }
    }
}
