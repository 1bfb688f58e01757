//! Where instances may go at all: aggregates as Nova's filters read them, and processors.

use super::*;
use crate::model::{Cpu, DomainCapabilities, Host, HostFacts, HostName, Instance, Region};
use crate::plan::fixture::{Fixture, flavor, processor};
use crate::plan::placement::{Mover, Occupancy, Rules, choose_target};

/// Where everything went, `vm1 > b` for each move.
fn moves(rollout: &Rollout) -> Vec<String> {
    let moves = rollout.hosts.iter().flat_map(|planned| &planned.moves);
    let mut told: Vec<String> = moves.map(|planned| format!("{} > {}", planned.name, planned.to)).collect();
    told.sort();
    told
}

/// Plans for `a` alone with all other hosts mitigated.
fn emptying_a(region: Region) -> Case {
    let others: Vec<HostName> =
        region.hosts.iter().map(|host| host.host.clone()).filter(|name| *name != host("a")).collect();
    others.into_iter().fold(Case::of(region), |case, name| case.verdict(name.as_str(), VerdictKind::Mitigated))
}

/// What the checker says when the plan's only move goes to `b`.
fn sent_to_b(case: &Case, rollout: &Rollout) -> String {
    let mut broken = rollout.clone();
    broken.hosts[0].moves[0].to = host("b");
    check(&broken, &case.region).violations.join("\n")
}

/// `a` with one instance, `b` that would fit best and is not to be used, `c`.
fn three(change: impl FnOnce(&mut Instance)) -> Fixture {
    Fixture::new().host("a", "z", 64).instance(1, "a", 10).with_instance(change).host("b", "z", 12).host("c", "z", 64)
}

#[test]
fn hosts_kept_for_other_projects_take_nothing_and_the_checker_knows() {
    let region = three(|_| ()).aggregate("theirs", "filter_tenant_id_2", "q, r", &["b"]).0;
    let case = emptying_a(region);
    let rollout = case.planned();
    assert_eq!(moves(&rollout), ["vm1 > c"]);
    assert!(sent_to_b(&case, &rollout).contains("kept for other projects than p"));
    let mine = three(|_| ()).aggregate("mine", "filter_tenant_id", "p", &["b"]).0;
    assert_eq!(moves(&emptying_a(mine).planned()), ["vm1 > b"]);
}

#[test]
fn a_flavors_extra_specs_ask_for_an_aggregate_and_the_checker_knows() {
    for key in ["aggregate_instance_extra_specs:disk", "disk"] {
        let region = three(flavor(key, "<or> ssd <or> nvme"))
            .aggregate("slow", "disk", "hdd", &["b"])
            .aggregate("fast", "disk", "ssd", &["a", "c"])
            .0;
        let case = emptying_a(region);
        let rollout = case.planned();
        assert_eq!(moves(&rollout), ["vm1 > c"], "{key}");
        assert!(sent_to_b(&case, &rollout).contains("no aggregate has `disk` as its flavor asks"), "{key}");
    }
}

#[test]
fn extra_specs_that_no_aggregate_answers_and_those_of_other_scopes_restrict_nothing() {
    for (key, value) in [("hw:cpu_policy", "shared"), ("unheard_of", "true")] {
        let region = three(flavor(key, value)).aggregate("slow", "disk", "hdd", &["b"]).0;
        assert_eq!(moves(&emptying_a(region).planned()), ["vm1 > b"], "{key}");
    }
}

#[test]
fn aggregates_for_images_take_only_those_and_the_checker_knows() {
    let linux = |instance: &mut Instance| drop(instance.image.insert("os_distro".into(), "linux".into()));
    let case = emptying_a(three(linux).aggregate("licensed", "os_distro", "windows", &["b"]).0);
    let rollout = case.planned();
    assert_eq!(moves(&rollout), ["vm1 > c"]);
    assert!(sent_to_b(&case, &rollout).contains("not for images with `os_distro=linux`"));
    let unsaid = three(|_| ()).aggregate("licensed", "os_distro", "windows", &["b"]).0;
    assert_eq!(moves(&emptying_a(unsaid).planned()), ["vm1 > b"]);
}

#[test]
fn an_isolated_aggregate_keeps_out_what_does_not_require_its_trait_and_the_checker_knows() {
    let case = emptying_a(three(|_| ()).aggregate("dear", "trait:CUSTOM_DEAR", "required", &["b"]).0);
    let rollout = case.planned();
    assert_eq!(moves(&rollout), ["vm1 > c"]);
    assert!(sent_to_b(&case, &rollout).contains("takes only what requires CUSTOM_DEAR"));
}

#[test]
fn an_aggregate_that_no_filter_understands_splits_nothing_and_an_unknown_one_does() {
    let region = three(|_| ()).aggregate("team", "owner", "us", &["a"]).0;
    assert_eq!(moves(&emptying_a(region.clone()).planned()), ["vm1 > b"]);
    let untold = Region { aggregates: Vec::new(), ..region };
    assert!(matches!(emptying_a(untold).plan(), Err(PlanError::Infeasible { .. })));
}

#[test]
fn a_guest_goes_only_to_processors_that_have_its_instructions_and_the_checker_knows() {
    let case = |a: &[&str], b: &[&str]| {
        let fixture = Fixture::new().host("a", "z", 64).with_host(processor(a)).instance(1, "a", 10);
        let fixture = fixture.host("b", "z", 12).with_host(processor(b)).host("c", "z", 64).with_host(processor(a));
        emptying_a(fixture.0)
    };
    let to_older = case(&["avx", "avx2"], &["avx"]);
    let rollout = to_older.planned();
    assert_eq!(moves(&rollout), ["vm1 > c"]);
    assert!(sent_to_b(&to_older, &rollout).contains("whose processor lacks avx2"));
    assert_eq!(moves(&case(&["avx"], &["avx", "avx2"]).planned()), ["vm1 > b"]);
    // The kernel's own words for what it does about a flaw are nothing to a guest.
    assert_eq!(moves(&case(&["avx", "md_clear", "pti"], &["avx"]).planned()), ["vm1 > b"]);
}

#[test]
fn a_guest_never_goes_to_another_makers_processor_and_the_checker_knows() {
    let amd = |host: &mut Host| {
        let cpu = Cpu { vendor: "AuthenticAMD".to_owned(), ..Cpu::default() };
        host.facts.cpu = Some(cpu);
    };
    let fixture = Fixture::new().host("a", "z", 64).with_host(processor(&["avx"])).instance(1, "a", 10);
    let fixture = fixture.host("b", "z", 12).with_host(amd).host("c", "z", 64).with_host(processor(&["avx"]));
    let case = emptying_a(fixture.0);
    let rollout = case.planned();
    assert_eq!(moves(&rollout), ["vm1 > c"]);
    assert!(sent_to_b(&case, &rollout).contains("whose processor is another than the guest's"));
}

/// `a` with an instance, `b` that would fit best, and `c`: their guests get one of two named models, of which libvirt on
/// `b` offers one. `more` is what else there is to each host.
fn named_models(more: impl Fn(&mut Host)) -> Case {
    let offers = |models: &[&str]| {
        let models = models.iter().map(|model| (*model).to_owned()).collect();
        let can = DomainCapabilities { models, ..DomainCapabilities::default() };
        let option = |name: &str, value: &str| (name.to_owned(), vec![value.to_owned()]);
        let libvirt = [option("cpu_mode", "custom"), option("cpu_models", "Nehalem,Skylake-Server")].into();
        let more = &more;
        move |host: &mut Host| {
            more(host);
            host.facts.domain_capabilities = Some(can);
            host.facts.nova_conf = Some([("libvirt".to_owned(), libvirt)].into());
        }
    };
    let both = ["Nehalem", "Skylake-Server"];
    let fixture = Fixture::new().host("a", "z", 64).with_host(offers(&both)).instance(1, "a", 10);
    let fixture = fixture.host("b", "z", 12).with_host(offers(&["Nehalem"]));
    emptying_a(fixture.host("c", "z", 64).with_host(offers(&both)).0)
}

#[test]
fn guests_of_a_named_model_go_where_libvirt_can_give_it() {
    let case = named_models(|host| processor(&["avx"])(host));
    let rollout = case.planned();
    assert_eq!(moves(&rollout), ["vm1 > c"]);
    assert!(sent_to_b(&case, &rollout).contains("whose processor lacks Skylake-Server"));
}

#[test]
fn a_rule_that_an_instances_own_host_breaks_is_not_in_force_for_it_and_a_note_says_so() {
    let image = |instance: &mut Instance| drop(instance.image.insert("os_distro".into(), "linux".into()));
    let none = |_: &mut Instance| ();
    let all = ["a", "b", "c"];
    let cases = [
        ("filter_tenant_id", three(none).aggregate("theirs", "filter_tenant_id_7", "q", &all)),
        ("trait:CUSTOM_DEAR", three(none).aggregate("dear", "trait:CUSTOM_DEAR", "required", &all)),
        ("disk", three(flavor("disk", "ssd")).aggregate("slow", "disk", "hdd", &all)),
        ("os_distro", three(image).aggregate("licensed", "os_distro", "windows", &all)),
    ];
    for (key, fixture) in cases {
        let case = emptying_a(fixture.0);
        let rollout = case.planned();
        assert_eq!(moves(&rollout), ["vm1 > b"], "{key}");
        let said = format!("instances by key: `{key}` 1");
        assert_eq!(rollout.notes.iter().filter(|note| note.message.ends_with(&said)).count(), 1, "{:?}", rollout.notes);
        assert_eq!(without_c(&case.region, &rollout), Ok(host("b")), "{key}");
    }
    // Another rule of the same host still holds.
    let region = three(flavor("disk", "ssd")).aggregate("theirs", "filter_tenant_id", "q", &all);
    let case = emptying_a(region.aggregate("fast", "disk", "ssd", &["a", "c"]).0);
    let rollout = case.planned();
    assert_eq!(moves(&rollout), ["vm1 > c"]);
    assert!(sent_to_b(&case, &rollout).contains("no aggregate has `disk`"));
}

#[test]
fn named_models_are_compared_where_nothing_else_of_the_processors_is_known() {
    let case = named_models(|_| ());
    let rollout = case.planned();
    assert_eq!(moves(&rollout), ["vm1 > c"]);
    let unseen = without_c(&Region { hosts: stripped(&case.region), ..case.region.clone() }, &rollout);
    assert_eq!(unseen, Err("only c would take it, to be avoided for the moment".to_owned()));
}

fn stripped(region: &Region) -> Vec<Host> {
    let bare = |host: &Host| Host { facts: HostFacts::default(), ..host.clone() };
    region.hosts.iter().map(bare).collect()
}

/// What becomes of `vm1` when its planned target has gone from a region that a rollout is run in.
fn without_c(region: &Region, rollout: &Rollout) -> Result<HostName, String> {
    let mut occupancy = Occupancy::told(region, &rollout.processors);
    for target in &rollout.targets {
        occupancy.admit(target).unwrap();
    }
    let (avoid, headroom) = ([host("c")].into(), crate::model::Headroom::default());
    let mover = Mover::of(&region.instances[0]).unwrap();
    let choice = choose_target(&occupancy, &mover, &Rules { avoid: &avoid, ..Rules::keeping(&headroom) });
    choice.map(|choice| choice.host).map_err(|refusal| refusal.to_string())
}

#[test]
fn a_run_that_sees_no_facts_knows_processors_from_the_rollout() {
    let with = |b: &[&str]| {
        let fixture = Fixture::new().host("a", "z", 64).with_host(processor(&["avx", "avx2"])).instance(1, "a", 10);
        let fixture = fixture.host("b", "z", 12).with_host(processor(b)).host("c", "z", 64);
        emptying_a(fixture.with_host(processor(&["avx", "avx2"])).0)
    };
    let unseen = |region: &Region| Region { hosts: stripped(region), ..region.clone() };
    let older = with(&["avx"]);
    let rollout = older.planned();
    assert_eq!(moves(&rollout), ["vm1 > c"]);
    let read: Rollout = serde_json::from_str(&serde_json::to_string(&rollout).unwrap()).unwrap();
    let only_c = Err("only c would take it, to be avoided for the moment".to_owned());
    assert_eq!(without_c(&unseen(&older.region), &read), only_c);
    assert_eq!(without_c(&older.region, &read), only_c, "a rehearsal sees the facts as well");
    // A host that the plan did not see is not ruled out.
    let mut strange = unseen(&older.region);
    strange.hosts.push(Host { host: host("d"), ..strange.hosts[1].clone() });
    let joined = Rollout { targets: vec![host("b"), host("d")], ..rollout };
    assert_eq!(without_c(&strange, &joined), Ok(host("d")));
    // Processors that keep no guest from any host are not worth writing down.
    let equal = with(&["avx", "avx2"]).planned();
    assert_eq!((without_c(&unseen(&older.region), &equal), equal.processors), (Ok(host("b")), vec![]));
}

#[test]
fn a_rollout_tells_of_a_few_processors_and_not_of_each_host() {
    let mut fixture = Fixture::new();
    for number in 0..40 {
        let flags: &[&str] = if number % 2 == 0 { &["avx", "avx2", "vmx"] } else { &["avx", "aperfmperf"] };
        fixture = fixture.host(&format!("h{number:02}"), "z", 64).with_host(processor(flags));
    }
    let rollout = Case::of(fixture.host("unseen", "z", 64).0).planned();
    let told: Vec<_> = rollout.processors.iter().map(|told| (told.instructions.join(" "), told.hosts.len())).collect();
    assert_eq!(told, [("avx".to_owned(), 20), ("avx avx2".to_owned(), 20)]);
}

#[test]
fn the_checker_knows_when_a_rollout_tells_the_wrong_processors() {
    let fixture = Fixture::new().host("a", "z", 64).with_host(processor(&["avx", "avx2"])).instance(1, "a", 10);
    let fixture = fixture.host("b", "z", 12).with_host(processor(&["avx"]));
    let case = emptying_a(fixture.host("c", "z", 64).with_host(processor(&["avx", "avx2"])).0);
    let rollout = case.planned();
    let found = |change: &dyn Fn(&mut Vec<PlannedProcessor>)| {
        let mut broken = rollout.clone();
        change(&mut broken.processors);
        check(&broken, &case.region).violations
    };
    let another = ["the rollout tells another processor of b than the region"];
    assert_eq!(found(&|told| told[0].instructions.push("avx2".to_owned())), another);
    assert_eq!(found(&|told| told[0].vendor = Some("AuthenticAMD".to_owned())), another);
    assert_eq!(found(&|told| told[0].architecture = Some("aarch64".to_owned())), another);
    assert_eq!(found(&|told| told[0].host_model = false), another);
    assert_eq!(found(&|told| told[0].given.push("Nehalem".to_owned())), another);
    assert_eq!(found(&|told| told[0].models = Some(Vec::new())), another);
    assert_eq!(found(&|told| drop(told.remove(0))), ["the rollout does not tell the processor of b"]);
    assert_eq!(
        found(&|told| told[1].hosts.push(host("b"))).first().map(String::as_str),
        Some("the rollout tells of b what processor it has twice")
    );
    assert_eq!(found(&Vec::clear), ["the rollout does not tell the hosts' processors, which keep guests apart"]);
    let unseen = Region { hosts: stripped(&case.region), ..case.region.clone() };
    assert_eq!(check(&rollout, &unseen).violations, Vec::<String>::new(), "a run's own snapshot knows no processors");
    let named = named_models(|_| ());
    let mut broken = named.planned();
    broken.processors[0].given.clear();
    assert!(check(&broken, &named.region).violations[0].starts_with("the rollout tells another processor of"));
}

#[test]
fn processors_that_differ_are_named_host_by_host() {
    let case = |flags: &[&str]| {
        let fixture = Fixture::new().host("a", "z", 64).with_host(processor(&["avx", "avx2"])).instance(1, "a", 10);
        let fixture = fixture.host("b", "z", 12).with_host(processor(flags));
        emptying_a(fixture.host("c", "z", 64).with_host(processor(&["avx", "avx2"])).0)
    };
    let (old, new) = (case(&["avx"]), case(&["avx", "fma"]));
    let named = |diff: &Diff| {
        let ours = diff.differences.iter().filter(|one| one.kind == DifferenceKind::Processor);
        ours.map(|one| (one.host.clone().unwrap(), one.weight)).collect::<Vec<_>>()
    };
    assert_eq!(named(&diff(&old.planned(), &new.planned())), [(host("b"), Weight::Adapts)]);
    assert_eq!(named(&diff_region(&old.planned(), &new.region)), [(host("b"), Weight::Adapts)]);
    assert_eq!(named(&diff_region(&old.planned(), &old.region)), []);
    let unseen = Region { hosts: stripped(&new.region), ..new.region.clone() };
    assert_eq!(named(&diff_region(&old.planned(), &unseen)), []);
}

#[test]
fn each_part_of_a_zone_that_instances_never_leave_gets_its_own_seed() {
    let mut fixture = Fixture::new();
    for (number, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let disk = if number < 2 { "ssd" } else { "hdd" };
        fixture =
            fixture.host(name, "z", 64).instance(number as u128 + 1, name, 20).with_instance(flavor("disk", disk));
    }
    let fixture = fixture.aggregate("fast", "disk", "ssd", &["a", "b"]).aggregate("slow", "disk", "hdd", &["c", "d"]);
    let rollout = Case::of(fixture.0).planned();
    assert_eq!((rollout.hosts.len(), rollout.certificate.moves), (4, 6));
}

#[test]
fn what_leaves_no_target_is_named() {
    let region = Fixture::new().host("a", "z", 64).instance(1, "a", 10).host("b", "z", 64);
    let case = emptying_a(region.aggregate("theirs", "filter_tenant_id", "q", &["b"]).0);
    let Err(PlanError::Infeasible { shortfalls, .. }) = case.plan() else { panic!("it has nowhere to go") };
    let said = &shortfalls[0].detail;
    assert!(said.starts_with("no host in zone z, unrestricted hosts takes instances"), "{said}");
}
