//! NUMA cells and huge pages, where hosts tell them.

use super::*;
use crate::model::{Host, Instance, NumaCell, Resources};
use crate::plan::fixture::{Fixture, flavor};

/// Two cells, each with so many processors, MiB and pages of 2 MiB; Placement lets be allocated what they have.
fn cells(cpus: u64, memory_mb: u64, pages: u64) -> impl FnOnce(&mut Host) {
    let huge_pages = if pages > 0 { [(2048, pages)].into() } else { BTreeMap::new() };
    let cell = NumaCell { cpus, memory_mb, huge_pages };
    move |host| {
        host.facts.numa = vec![cell.clone(), cell];
        host.capacity = Resources::basic(1000, 2 * memory_mb, 10_000);
    }
}

/// As many dedicated processors as given, on one cell.
fn dedicated(cpus: u64) -> impl FnOnce(&mut Instance) {
    move |instance| {
        flavor("hw:cpu_policy", "dedicated")(instance);
        instance.resources.set("VCPU", cpus);
    }
}

/// `a` with an instance of 6 dedicated processors; `b` with two of 5, so that 3 are free in each of its cells; `c` empty.
fn three() -> Case {
    let fixture = Fixture::new().host("a", "z", 0).with_host(cells(8, 64, 0)).instance(1, "a", 8);
    let fixture = fixture.with_instance(dedicated(6)).host("b", "z", 0).with_host(cells(8, 64, 0));
    let fixture =
        fixture.instance(2, "b", 8).with_instance(dedicated(5)).instance(3, "b", 8).with_instance(dedicated(5));
    let fixture = fixture.host("c", "z", 0).with_host(cells(8, 64, 0));
    Case::of(fixture.0).verdict("b", VerdictKind::Mitigated).verdict("c", VerdictKind::Mitigated)
}

fn target(rollout: &Rollout) -> &str {
    rollout.hosts[0].moves[0].to.as_str()
}

#[test]
fn an_instance_needs_its_processors_in_one_cell_and_the_checker_knows() {
    let case = three();
    let rollout = case.planned();
    assert_eq!(target(&rollout), "c", "b has six free, in two cells");
    let mut broken = rollout.clone();
    broken.hosts[0].moves[0].to = host("b");
    let found = check(&broken, &case.region).violations.join("\n");
    assert!(found.contains("goes to b, whose NUMA cells have too little room"), "{found}");
}

#[test]
fn one_that_may_be_spread_and_one_in_two_cells_take_what_is_free_in_both() {
    let mut spread = three();
    spread.region.instances[0].flavor = None;
    assert_eq!(target(&spread.planned()), "b");
    let mut halves = three();
    let flavor = halves.region.instances[0].flavor.as_mut().unwrap();
    flavor.extra_specs.insert("hw:numa_nodes".to_owned(), "2".to_owned());
    assert_eq!(target(&halves.planned()), "b");
}

#[test]
fn huge_pages_are_needed_in_one_cell_and_cells_that_are_not_known_restrict_nothing() {
    let huge = |change: &dyn Fn(&mut Host)| {
        let fixture = Fixture::new().host("a", "z", 0).with_host(cells(8, 64, 16)).instance(1, "a", 24);
        let fixture = fixture.with_instance(flavor("hw:mem_page_size", "2MB"));
        // 20 MiB of pages in each cell of `b`: 40 in all.
        let fixture = fixture.host("b", "z", 0).with_host(cells(8, 64, 10)).with_host(|host| change(host));
        let fixture = fixture.instance(2, "b", 1).host("c", "z", 0).with_host(cells(8, 64, 16));
        Case::of(fixture.0).verdict("b", VerdictKind::Mitigated).verdict("c", VerdictKind::Mitigated)
    };
    assert_eq!(target(&huge(&|_| ()).planned()), "c");
    assert_eq!(target(&huge(&|host| host.facts.numa.clear()).planned()), "b");
}
