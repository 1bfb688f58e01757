//! Ctrl-C: the first one ends a run when what is under way has ended, the second one leaves it at once.

use fleetmend::cloud::ComputeService;

use super::Stand;
use super::stand::Live;

const RUN: [&str; 5] = ["run", "rollout.yaml", "--yes", "--poll", "100ms"];
const RESUME: [&str; 3] = ["resume", "--poll", "100ms"];

fn moving(stand: &Stand) -> bool {
    stand.region().with(|world| world.open_records().next().is_some())
}

/// A run with a migration in flight.
fn under_way(stand: &Stand) -> Live {
    stand.plan();
    let live = stand.begin(&RUN);
    stand.until(|| moving(stand));
    live
}

#[test]
fn the_first_interrupt_ends_the_run_when_what_is_under_way_has_ended() {
    let stand = Stand::new();
    let live = under_way(&stand);
    live.signal("INT");
    stand.end(live).said(
        5,
        &[
            "stopping when what is under way has ended; once more leaves it to `fleetmend resume`",
            "hint: `fleetmend resume ",
        ],
    );
    assert!(!moving(&stand), "a migration was left in flight");
    stand.run(&RESUME).said(0, &[]);
    stand.is_remedied();
}

#[test]
fn a_run_is_abandoned_from_another_terminal_while_its_runner_is_at_work() {
    let stand = Stand::new();
    let live = under_way(&stand);
    let abandoned = stand.run(&["abandon", "0", "--yes", "--poll", "100ms"]);
    abandoned.said(0, &["is at work: it is asked to stop", "abandoned"]);
    assert!(!moving(&stand), "a migration was left in flight");
    assert!(stand.services().iter().all(|one| one.service.disabled_reason.is_none()), "{:?}", stand.services());
    stand.end(live).said(5, &["hint: `fleetmend resume "]);
}

#[test]
fn the_second_interrupt_leaves_what_is_under_way_to_resume() {
    let stand = Stand::new();
    let live = under_way(&stand);
    live.signal("INT");
    stand.until(|| live.has_said("stopping when"));
    live.signal("INT");
    stand.end(live).said(5, &["leaving what is under way to `fleetmend resume`", "hint: `fleetmend resume "]);
    // Its hosts are not free for the taking.
    let before = stand.services();
    let marks = stand.run(&["marks", "--release", "--yes"]);
    assert!(marks.said(4, &[]).out.contains("unfinished"), "{}", marks.out);
    assert!(marks.out.contains("`fleetmend resume` goes on with its run"), "{}", marks.out);
    let held = |services: &[ComputeService]| -> Vec<_> {
        services.iter().map(|one| one.service.disabled_reason.clone()).collect()
    };
    assert_eq!(held(&before), held(&stand.services()));
    stand.run(&RESUME).said(0, &[]);
    stand.is_remedied();
}

#[test]
fn a_run_goes_on_by_the_configuration_that_was_approved_unless_that_is_meant() {
    let stand = Stand::new();
    let live = under_way(&stand);
    live.signal("INT");
    stand.end(live).said(5, &[]);
    stand.write("fleetmend.yaml", &stand.configuration("ssh: {user: somebody-else}\n"));
    stand.run(&RESUME).said(3, &["the configuration file says other things", "nothing was changed", "hint: "]);
    stand.run(&[&RESUME[..], &["--configuration-changed"]].concat()).said(0, &[]);
    stand.is_remedied();
}

#[test]
fn a_region_that_another_runner_holds_is_left_to_it() {
    let stand = Stand::new();
    let live = under_way(&stand);
    stand.run(&RUN).said(6, &["error: region SimOne is held by process ", "nothing was changed", "`fleetmend status`"]);
    let elsewhere = [&RUN[..], &["--state", "sqlite:elsewhere.db"]].concat();
    stand.run(&elsewhere).said(6, &["carries the mark of run", "nothing was changed", "hint: "]);
    stand.end(live).said(0, &[]);
    stand.is_remedied();
}

#[test]
fn without_a_terminal_a_run_is_told_in_lines_without_escapes() {
    let stand = Stand::new();
    stand.plan();
    let told = stand.run(&RUN);
    told.said(0, &["  compute-1  "]);
    assert!(!told.err.contains('\u{1b}'), "{}", told.err);
    let line = told.err.lines().find(|line| line.contains("compute-1  ")).unwrap();
    assert!(line.as_bytes()[2] == b':' && line.as_bytes()[5] == b':', "no time before it: {line}");
    stand.is_remedied();
}

#[test]
fn on_a_terminal_a_run_is_drawn_with_bars_that_an_interrupt_does_not_tear() {
    let stand = Stand::new();
    stand.plan();
    let script = "trap : INT; stty -g >before; $0 run rollout.yaml --yes --poll 100ms; echo ended $?; stty -g >after";
    let mut live = stand.begin_on_a_terminal(script, &[]);
    stand.until(|| moving(&stand));
    stand.types(&mut live, "\u{3}");
    let shown = stand.end(live).out;
    assert!(shown.contains("ended 5"), "{shown}");
    for part in ["hosts      ", "moves      ", "moved, ", "stopping when what is under way has ended"] {
        assert!(shown.contains(part), "{part:?} is not in {shown:?}");
    }
    assert!(!shown.contains("^C"), "the terminal wrote into the bars: {shown:?}");
    let size = |name: &str| stand.read(name).split(':').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(size("before"), size("after"), "the terminal is left as it was");
    stand.run(&RESUME).said(0, &[]);
    stand.is_remedied();
}

#[test]
fn a_terminal_that_cannot_redraw_or_wants_no_colour_gets_none() {
    let stand = Stand::new();
    stand.plan();
    let dumb = stand
        .begin_on_a_terminal("$0 run rollout.yaml --dry-run; $0 status; $0 show rollout.yaml", &[("TERM", "dumb")]);
    let shown = stand.end(dumb).out;
    assert!(shown.contains("dry run: 4 of 4") && !shown.contains('\u{1b}'), "{shown:?}");
    let plain =
        stand.begin_on_a_terminal("$0 run rollout.yaml --yes --poll 100ms; echo ended $?", &[("NO_COLOR", "1")]);
    let shown = stand.end(plain).out;
    assert!(shown.contains("ended 0") && shown.contains("hosts      4 of 4 "), "{shown:?}");
    let colours = shown
        .split("\u{1b}[")
        .skip(1)
        .filter(|code| code.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'));
    assert_eq!(colours.collect::<Vec<_>>(), [""; 0]);
}
