//! How full zones are while a rollout goes through them: what is allocated, over what the hosts in service may give.
//!
//! What leaves a zone's host for another one in it stays allocated in the zone; what goes to another zone changes both
//! when it has arrived. A host that is out gives nothing from the moment when it is disabled.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{count, duration};
use crate::model::{HostName, Resources, ZoneName};
use crate::plan::{PlannedZone, Rollout};

/// Curves that are drawn; of more zones, those that come closest to their limits.
const MOST: usize = 12;
/// Width and height of a drawing in its own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// The load of one zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// The zone.
    pub zone: String,
    /// What is told of it in words.
    pub says: String,
    /// The load over time, as the path of a line.
    pub line: String,
    /// The same as an area.
    pub area: String,
    /// Where the limit is, from the top.
    pub limit: String,
    /// Hosts out of service over time, as a path.
    pub out: String,
    /// The most hosts out at once, over how many may be.
    pub most_out: String,
    /// How close the load comes to its limit: 1 is at it.
    pub closest: f64,
}

/// A change at one time.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Leaves(&'a HostName),
    Returns(&'a HostName),
    Arrives(&'a HostName, &'a HostName, &'a Resources),
}

/// Of each zone its load; nothing of a rollout of a version that did not keep it.
pub fn curves(rollout: &Rollout) -> Vec<Curve> {
    let steps = steps(rollout);
    let length = rollout.hosts.iter().map(|host| host.finish_s).fold(1.0, f64::max);
    let mut curves: Vec<Curve> = rollout.zones.iter().filter_map(|zone| curve(rollout, zone, &steps, length)).collect();
    if curves.len() > MOST {
        curves.sort_by(|one, other| other.closest.total_cmp(&one.closest));
        curves.truncate(MOST);
    }
    curves
}

/// Everything that changes a load, in order of time; what returns does so before something else leaves.
fn steps(rollout: &Rollout) -> Vec<(f64, Step<'_>)> {
    let mut steps = Vec::new();
    for host in &rollout.hosts {
        steps.push((host.start_s, Step::Leaves(&host.host)));
        steps.push((host.finish_s, Step::Returns(&host.host)));
        steps.extend(host.moves.iter().map(|one| (one.finish_s, Step::Arrives(&one.from, &one.to, &one.resources))));
    }
    let rank = |step: &Step<'_>| match step {
        Step::Returns(_) => 0,
        Step::Arrives(..) => 1,
        Step::Leaves(_) => 2,
    };
    steps.sort_by(|(at, one), (other_at, other)| at.total_cmp(other_at).then(rank(one).cmp(&rank(other))));
    steps
}

/// A zone while it is replayed.
struct Replay<'a> {
    capacities: BTreeMap<&'a HostName, &'a Resources>,
    capacity: Resources,
    used: Resources,
    out: usize,
}

fn curve(rollout: &Rollout, zone: &PlannedZone, steps: &[(f64, Step<'_>)], length: f64) -> Option<Curve> {
    let capacities: BTreeMap<&HostName, &Resources> =
        zone.sizes.iter().flat_map(|size| size.hosts.iter().map(|host| (host, &size.capacity))).collect();
    let mut capacity = Resources::default();
    for one in capacities.values() {
        capacity.add(one);
    }
    let touched = rollout.hosts.iter().any(|host| capacities.contains_key(&host.host));
    if !touched {
        return None;
    }
    let class = tightest(&capacity, &zone.used)?.to_owned();
    let most = rollout.policy.limits.hosts_per_zone.of(capacities.len());
    let mut replay = Replay { capacities, capacity, used: zone.used.clone(), out: 0 };
    let mut points = vec![(0.0, replay.share(&class), 0)];
    for (at, step) in steps {
        if replay.take(step) {
            points.push((*at, replay.share(&class), replay.out));
        }
    }
    Some(drawn(zone.zone.as_ref(), &class, &points, length, limit(rollout, zone, &class), most))
}

impl Replay<'_> {
    /// Whether the step concerns this zone.
    fn take(&mut self, step: &Step<'_>) -> bool {
        match step {
            Step::Leaves(host) => self.capacities.get(host).copied().map(|one| {
                self.capacity.subtract(one);
                self.out += 1;
            }),
            Step::Returns(host) => self.capacities.get(host).copied().map(|one| {
                self.capacity.add(one);
                self.out = self.out.saturating_sub(1);
            }),
            Step::Arrives(from, to, amount) => {
                match (self.capacities.contains_key(from), self.capacities.contains_key(to)) {
                    (true, false) => {
                        self.used.subtract(amount);
                        Some(())
                    }
                    (false, true) => {
                        self.used.add(amount);
                        Some(())
                    }
                    (true, true) | (false, false) => None,
                }
            }
        }
        .is_some()
    }

    fn share(&self, class: &str) -> f64 {
        share(self.used.get(class), self.capacity.get(class))
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts are far below what a double holds exactly")]
fn share(used: u64, capacity: u64) -> f64 {
    if capacity == 0 { if used == 0 { 0.0 } else { 1.0 } } else { used as f64 / capacity as f64 }
}

/// The class of which least is left.
fn tightest<'a>(capacity: &'a Resources, used: &Resources) -> Option<&'a str> {
    let classes = capacity.iter().filter(|(_, amount)| *amount > 0);
    let share_of = |class: &str| share(used.get(class), capacity.get(class));
    classes.map(|(class, _)| class).max_by(|one, other| share_of(one).total_cmp(&share_of(other)))
}

/// The share that may be in use: all but what the policy's headroom keeps free.
fn limit(rollout: &Rollout, zone: &PlannedZone, class: &str) -> f64 {
    let kept = &rollout.policy.headroom.per_zone;
    let mut capacity = Resources::default();
    for size in &zone.sizes {
        size.hosts.iter().for_each(|_| capacity.add(&size.capacity));
    }
    let all = capacity.get(class);
    let kept = kept.resources.get(class).max(kept.percent.map_or(0, |percent| percent.at_least_of(all)));
    1.0 - share(kept, all).min(1.0)
}

fn drawn(
    zone: Option<&ZoneName>,
    class: &str,
    points: &[(f64, f64, usize)],
    length: f64,
    limit: f64,
    most: usize,
) -> Curve {
    let x = |at: f64| at / length * WIDTH;
    let y = |share: f64| HEIGHT * (1.0 - share.min(1.0));
    let peak = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let at = points.iter().find(|point| point.1 >= peak).map_or(0.0, |point| point.0);
    let peak_out = points.iter().map(|point| point.2).max().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "hosts are counted in thousands")]
    let part = |out: usize| out as f64 / most.max(peak_out).max(1) as f64;
    let path = |value: &dyn Fn(&(f64, f64, usize)) -> f64| {
        let mut path = String::new();
        for (number, point) in points.iter().enumerate() {
            let _ = match number {
                0 => write!(path, "M{:.1} {:.1}", x(point.0), value(point)),
                _ => write!(path, "H{:.1}V{:.1}", x(point.0), value(point)),
            };
        }
        let _ = write!(path, "H{WIDTH:.0}");
        path
    };
    let line = path(&|point| y(point.1));
    let label = match class {
        "VCPU" => "vCPUs",
        "MEMORY_MB" => "memory",
        "DISK_GB" => "disk",
        other => other,
    };
    Curve {
        zone: zone.map_or_else(|| "no zone".to_owned(), ToString::to_string),
        says: format!(
            "{:.0} % of its {label} in use at the start, {:.0} % at most (+{}); {}",
            points[0].1 * 100.0,
            peak * 100.0,
            duration(at),
            if limit < 1.0 {
                format!("headroom keeps {:.0} % free", (1.0 - limit) * 100.0)
            } else {
                "the limit is what there is".to_owned()
            },
        ),
        area: format!("{line}V{HEIGHT:.0}H0Z"),
        line,
        limit: format!("{:.1}", y(limit)),
        out: path(&|point| HEIGHT * (1.0 - part(point.2))),
        most_out: format!("{} out of service at once, at most; {most} may be", count(peak_out, "host")),
        closest: if limit > 0.0 { peak / limit } else { f64::INFINITY },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlannedSize;
    use crate::report::fixture::rollout;

    #[test]
    fn a_zone_is_fuller_while_one_of_its_hosts_is_out_and_no_fuller_afterwards() {
        let mut rollout = rollout();
        let hosts = ["compute-1", "compute-2", "compute-3", "compute-4"].map(HostName::new).to_vec();
        let capacity = Resources::basic(10, 1000, 100);
        rollout.zones = vec![PlannedZone {
            zone: Some("az1".into()),
            used: Resources::basic(15, 3000, 1),
            sizes: vec![PlannedSize { capacity, hosts }],
        }];
        let curves = curves(&rollout);
        let [curve] = curves.as_slice() else { panic!("{curves:?}") };
        assert!(
            curve.says.starts_with("75 % of its memory in use at the start, 100 % at most (+0 s)"),
            "{}",
            curve.says
        );
        assert!(curve.line.starts_with("M0.0 25.0H0.0V0.0"), "{}", curve.line);
        assert!(curve.line.ends_with("V25.0H1000"), "{}", curve.line);
        assert!(curve.most_out.starts_with("1 host out"), "{}", curve.most_out);
    }

    #[test]
    fn a_rollout_of_a_version_that_kept_no_zones_has_no_curve() {
        assert_eq!(curves(&rollout()), []);
    }
}
