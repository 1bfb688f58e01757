//! A host that cannot be emptied, in the operator's words.

use super::proof::Proofs;
use crate::plan::fleet::Fleet;
use crate::plan::input::Shortfall;
use crate::plan::kinds::Demand;
use crate::plan::schedule::Stuck;
use crate::plan::space::Barrier;

/// Says of each stuck host what is missing, and whether that is proven.
pub(crate) fn shortfalls(fleet: &Fleet<'_>, stuck: &[Stuck]) -> Vec<Shortfall> {
    let hosts: Vec<u32> = stuck.iter().map(|stuck| stuck.host).collect();
    let proofs = Proofs::about(fleet, &hosts);
    stuck.iter().map(|stuck| shortfall(fleet, stuck, &proofs)).collect()
}

fn shortfall(fleet: &Fleet<'_>, stuck: &Stuck, proofs: &Proofs<'_, '_>) -> Shortfall {
    let domain = fleet.layout.domain_label(stuck.host).to_owned();
    let (class, missing) = match stuck.barrier {
        Some((_, Barrier::Room { class, missing })) => {
            (Some(fleet.layout.classes()[class].clone()), u64::try_from(missing).unwrap_or(0))
        }
        Some((
            _,
            Barrier::NotTarget
            | Barrier::Zone
            | Barrier::Kind(_)
            | Barrier::Cells
            | Barrier::Affinity(_)
            | Barrier::AntiAffinity(_)
            | Barrier::Headroom,
        ))
        | None => (None, 0),
    };
    let mut detail = obstacle(fleet, stuck, &domain);
    let proof = proofs.of(stuck.host).map(|proof| proof.describe(fleet, stuck.host));
    match &proof {
        Some(proof) => detail = format!("{detail}; proven: {proof}"),
        None => detail.push_str("; not proven: no attempt found a way"),
    }
    Shortfall { host: fleet.name(stuck.host).clone(), domain, class, missing, proof, detail }
}

/// What stands in the way of the first instance that fits nowhere.
fn obstacle(fleet: &Fleet<'_>, stuck: &Stuck, domain: &str) -> String {
    let Some((number, barrier)) = stuck.barrier else {
        return format!("each of its instances fits somewhere in {domain}, but not all of them at once");
    };
    let instance = fleet.instance(number);
    let what = format!("instance {} ({})", instance.name, instance.id);
    match barrier {
        Barrier::NotTarget => format!("no host in {domain} takes instances"),
        Barrier::Zone => format!("{what} is pinned to another zone than its host's"),
        Barrier::Kind(kind) => {
            let unfit = fleet.layout.kinds().unfit(kind, &Demand::of(instance), stuck.host);
            let why = unfit.map_or_else(String::new, |why| format!(": {why}"));
            format!("no target in {domain} suits {what}{why}")
        }
        Barrier::Room { class, missing } => {
            let class = &fleet.layout.classes()[class];
            format!("{what} fits nowhere in {domain}: {missing} of {class} missing at the best target")
        }
        Barrier::Cells => format!("no target in {domain} has room in its NUMA cells for {what}"),
        Barrier::Affinity(group) => format!("affinity group {} holds {what}", fleet.layout.group_rule(group).id),
        Barrier::AntiAffinity(group) => format!(
            "anti-affinity group {} has a member on each target in {domain} with room for {what}",
            fleet.layout.group_rule(group).id
        ),
        Barrier::Headroom => format!("only empty hosts that the policy keeps would take {what}"),
    }
}
