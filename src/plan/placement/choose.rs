//! The choice itself.

use super::refusal::refusal;
use super::{Choice, Mover, Occupancy, Refusal, Rules};
use crate::model::{HostName, InstanceId};
use crate::plan::space::{Need, Trial};

/// Chooses where one instance goes as things stand: the preferred host if that admits it, otherwise the best fit of
/// its domain (hosts in use before empty ones, least room left over first).
pub fn choose_target(occupancy: &Occupancy, mover: &Mover, rules: &Rules<'_>) -> Result<Choice, Refusal> {
    let asked = Asked::read(occupancy, mover)?;
    if let Some(group) = occupancy.group_in_flight(asked.group) {
        return Err(Refusal::GroupInFlight { group: occupancy.layout.group_rule(group).id.clone() });
    }
    let trial = Trial::over(&occupancy.space, rules.kept_empty());
    let instead = match &mover.preferred {
        Some(host) => match admits_named(occupancy, &trial, host, mover, &asked, rules) {
            Ok(()) => return Ok(Choice { host: host.clone(), instead: None }),
            Err(refusal) => Some(refusal),
        },
        None => None,
    };
    let host = best_fit(occupancy, &trial, mover, &asked, rules)?;
    Ok(Choice { host: occupancy.layout.host_name(host).clone(), instead })
}

/// Whether all of one host's instances have room at once, and where: all on their preferred hosts, else all on one
/// host, else each on its preferred host or, the biggest first, where it fits best.
///
/// Members of one group count against each other; that they cannot be in flight together is for
/// [`choose_target`] to see to.
pub fn fits_all(
    occupancy: &Occupancy,
    movers: &[Mover],
    rules: &Rules<'_>,
) -> Result<Vec<(InstanceId, HostName)>, Refusal> {
    let asked = movers.iter().map(|mover| Asked::read(occupancy, mover)).collect::<Result<Vec<_>, _>>()?;
    let named = |hosts: Vec<u32>| {
        let names = hosts.into_iter().map(|host| occupancy.layout.host_name(host).clone());
        movers.iter().map(|mover| mover.id).zip(names).collect()
    };
    if let Some(hosts) = all_preferred(occupancy, movers, &asked, rules) {
        return Ok(named(hosts));
    }
    // Hosts that are emptied together have no one mirror.
    let is_one_host = asked.windows(2).all(|pair| pair[0].from == pair[1].from);
    if is_one_host && let Some(host) = one_for_all(occupancy, &asked, rules) {
        return Ok(named(vec![host; movers.len()]));
    }
    one_by_one(occupancy, movers, &asked, rules).map(named)
}

fn all_preferred(occupancy: &Occupancy, movers: &[Mover], asked: &[Asked], rules: &Rules<'_>) -> Option<Vec<u32>> {
    let mut trial = Trial::over(&occupancy.space, rules.kept_empty());
    let mut chosen = Vec::with_capacity(movers.len());
    for (mover, asked) in movers.iter().zip(asked) {
        let host = mover.preferred.as_ref()?;
        admits_named(occupancy, &trial, host, mover, asked, rules).ok()?;
        let number = occupancy.layout.host(host)?;
        trial.take(number, &asked.need());
        chosen.push(number);
    }
    Some(chosen)
}

/// The mirror: a single host that takes everything. Its layout carries over, and the transfer is one to one.
fn one_for_all(occupancy: &Occupancy, asked: &[Asked], rules: &Rules<'_>) -> Option<u32> {
    let first = asked.first()?;
    let domain = &occupancy.layout.domains()[occupancy.layout.domain_of(first.from) as usize];
    let mut best: Option<(i64, u32)> = None;
    for host in candidates(occupancy, domain.hosts.iter().copied(), rules) {
        let mut trial = Trial::over(&occupancy.space, rules.kept_empty());
        let all = asked.iter().all(|asked| {
            let admitted = trial.admits(host, &asked.need()).is_ok();
            if admitted {
                trial.take(host, &asked.need());
            }
            admitted
        });
        let room = occupancy.space.slot(host).free.get(domain.tight).copied().unwrap_or(0);
        if all && best.is_none_or(|known| (room, host) < known) {
            best = Some((room, host));
        }
    }
    best.map(|(_, host)| host)
}

fn one_by_one(
    occupancy: &Occupancy,
    movers: &[Mover],
    asked: &[Asked],
    rules: &Rules<'_>,
) -> Result<Vec<u32>, Refusal> {
    let mut trial = Trial::over(&occupancy.space, rules.kept_empty());
    let mut order: Vec<usize> = (0..movers.len()).collect();
    let tight = |index: usize| {
        let domain = occupancy.layout.domain_of(asked[index].from) as usize;
        asked[index].amounts.get(occupancy.layout.domains()[domain].tight).copied().unwrap_or(0)
    };
    order.sort_by_key(|index| (std::cmp::Reverse(tight(*index)), movers[*index].id));
    let mut chosen = vec![0; movers.len()];
    for index in order {
        let (mover, asked) = (&movers[index], &asked[index]);
        let preferred =
            mover.preferred.as_ref().filter(|host| admits_named(occupancy, &trial, host, mover, asked, rules).is_ok());
        let host = match preferred.and_then(|host| occupancy.layout.host(host)) {
            Some(host) => host,
            None => best_fit(occupancy, &trial, mover, asked, rules)?,
        };
        trial.take(host, &asked.need());
        chosen[index] = host;
    }
    Ok(chosen)
}

fn candidates<'a>(
    occupancy: &'a Occupancy,
    hosts: impl Iterator<Item = u32> + 'a,
    rules: &Rules<'a>,
) -> impl Iterator<Item = u32> + 'a {
    let avoid = rules.avoid;
    hosts.filter(move |host| {
        occupancy.space.is_target(*host) && (avoid.is_empty() || !avoid.contains(occupancy.layout.host_name(*host)))
    })
}

fn best_fit(
    occupancy: &Occupancy,
    trial: &Trial<'_>,
    mover: &Mover,
    asked: &Asked,
    rules: &Rules<'_>,
) -> Result<u32, Refusal> {
    let layout = &occupancy.layout;
    let need = asked.need();
    let domain = &layout.domains()[layout.domain_of(asked.from) as usize];
    trial.best_fit(candidates(occupancy, domain.hosts.iter().copied(), rules), &need).map_err(|barrier| {
        let would_do = |host: &&HostName| layout.host(host).is_some_and(|host| trial.admits(host, &need).is_ok());
        let avoided: Vec<HostName> = rules.avoid.iter().filter(would_do).cloned().collect();
        if avoided.is_empty() {
            let nowhere = || Refusal::NoTarget { domain: domain.label.clone() };
            refusal(layout, barrier, mover, rules, nowhere)
        } else {
            Refusal::Avoided { hosts: avoided }
        }
    })
}

fn admits_named(
    occupancy: &Occupancy,
    trial: &Trial<'_>,
    host: &HostName,
    mover: &Mover,
    asked: &Asked,
    rules: &Rules<'_>,
) -> Result<(), Refusal> {
    let number = occupancy.host(host)?;
    if rules.avoid.contains(host) {
        return Err(Refusal::Avoided { hosts: vec![host.clone()] });
    }
    let not_target = || Refusal::NotTarget { host: host.clone() };
    trial.admits(number, &asked.need()).map_err(|barrier| refusal(&occupancy.layout, barrier, mover, rules, not_target))
}

/// A [`Mover`] by number.
struct Asked {
    amounts: Box<[i64]>,
    group: Option<u32>,
    from: u32,
    zone: Option<u32>,
    kinds: Option<Box<[bool]>>,
    topology: Option<u32>,
}

impl Asked {
    fn read(occupancy: &Occupancy, mover: &Mover) -> Result<Self, Refusal> {
        let layout = &occupancy.layout;
        let from = occupancy.host(&mover.from)?;
        let made = occupancy.made(mover.id);
        let zone = match &mover.pinned_zone {
            Some(zone) => Some(layout.zone(zone).ok_or_else(|| Refusal::Zone { zone: zone.clone() })?),
            None => made.and_then(|made| made.zone),
        };
        let origin = made.and_then(|made| made.origin).unwrap_or(from);
        let mut kinds = layout.kinds().suited(&mover.demand(), origin);
        if let Some(known) = made.and_then(|made| made.kinds.as_ref()) {
            let all = kinds.get_or_insert_with(|| vec![true; known.len()].into());
            all.iter_mut().zip(known.iter()).for_each(|(suits, known)| *suits &= known);
        }
        let amounts = layout.amounts(&mover.resources).map_err(|class| Refusal::NoRoom {
            domain: layout.domain_label(from).to_owned(),
            missing: mover.resources.get(&class),
            class,
        })?;
        let group = mover.group.as_ref().and_then(|group| layout.group(group));
        let topology = made.and_then(|made| made.topology);
        Ok(Self { amounts, group, from, zone, kinds, topology })
    }

    fn need(&self) -> Need<'_> {
        Need {
            amounts: &self.amounts,
            group: self.group,
            from: self.from,
            zone: self.zone,
            kinds: self.kinds.as_deref(),
            topology: self.topology,
        }
    }
}
