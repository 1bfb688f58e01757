//! The journal's place: from a newer version, not writable, or full; and what it teaches the next plan.

use tokio::process::Command;

use super::{Stand, stand::Told};

const RUN: [&str; 5] = ["run", "rollout.yaml", "--yes", "--poll", "100ms"];

fn run_at(state: &str) -> Vec<&str> {
    [&RUN[..], &["--state", state]].concat()
}

#[test]
fn a_journal_from_a_newer_version_is_refused_and_kept_as_it_is() {
    let stand = Stand::new();
    stand.plan();
    let path = stand.path("j.db");
    drop(fleetmend::journal::sqlite::SqliteJournal::open(&path).unwrap());
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
    drop(database);
    let before = std::fs::read(&path).unwrap();
    let refusal = "error: the journal j.db has format 99; this version of fleetmend reads up to format 2\n\
                   nothing was changed\n\nhint: use the version that wrote it, or a newer one";
    stand.run(&run_at("sqlite:j.db")).ended(2, refusal);
    for command in [&["status"][..], &["runs"], &["resume"]] {
        stand.run(&[command, &["--state", "sqlite:j.db"]].concat()).ended(2, refusal);
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    stand.is_untouched();
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_kept_as_it_is() {
    let stand = Stand::new();
    stand.plan();
    let before = stand.read("policy.yaml");
    let told = stand.run(&run_at("sqlite:policy.yaml"));
    told.said(1, &["error: cannot open the journal policy.yaml", "not a database", "hint: `--state sqlite:PATH`"]);
    assert_eq!(stand.read("policy.yaml"), before);
    stand.is_untouched();
}

#[test]
fn a_journal_that_cannot_be_made_stops_the_run_before_it_begins() {
    let stand = Stand::new();
    stand.plan();
    // Neither can be written to, not even by root.
    for place in ["policy.yaml/fleetmend.db", "/proc/fleetmend/fleetmend.db"] {
        let told = stand.run(&run_at(&format!("sqlite:{place}")));
        let error = format!("error: cannot open the journal {place}");
        told.said(1, &[&error, "nothing was changed in the region", "hint: `--state sqlite:PATH`"]);
    }
    stand.is_untouched();
}

/// Runs a script in a mount namespace of its own, where `small` is a small file system in memory: `$0` is the binary.
/// `None` where this machine does not let us.
fn on_a_small_disk(stand: &Stand, options: &str, script: &str) -> Option<Told> {
    /// Says that the file system could not be mounted.
    const CANNOT_MOUNT: i32 = 99;
    std::fs::create_dir_all(stand.path("small")).unwrap();
    let script = format!("mount -t tmpfs -o {options} tmpfs small || exit {CANNOT_MOUNT}\n{script}");
    for namespace in ["-m", "-rm"] {
        let inner = stand.command(&[]);
        let mut command = Command::new("unshare");
        command.args([namespace, "sh", "-c", &script, env!("CARGO_BIN_EXE_fleetmend")]);
        command.current_dir(stand.folder()).env_clear().stdin(std::process::Stdio::null());
        command.envs(inner.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.kill_on_drop(true);
        let told = stand.finish(command);
        // unshare itself ends with 1 and says nothing on standard output.
        if told.code == Some(0) || !told.out.is_empty() {
            return Some(told);
        }
    }
    None
}

/// Says on the terminal of the tests what this machine could not show.
#[expect(clippy::print_stderr, reason = "a test that shows nothing must say so")]
fn left_out(what: &str) {
    eprintln!("left out: {what}: this user may not mount a file system here");
}

#[test]
fn a_read_only_state_folder_stops_the_run_before_it_begins() {
    let stand = Stand::new();
    stand.plan();
    let script = "\"$0\" run rollout.yaml --yes --state sqlite:small/j.db; echo run $?";
    let Some(told) = on_a_small_disk(&stand, "ro", script) else { return left_out("a read-only state folder") };
    assert_eq!(told.out, "run 1\n", "{}", told.err);
    told.said(0, &["error: cannot open the journal small/j.db", "nothing was changed in the region"]);
    stand.is_untouched();
}

#[test]
fn a_disk_that_fills_up_interrupts_the_run_and_resume_goes_on_once_there_is_room() {
    let stand = Stand::new();
    stand.plan();
    let script = "head -c 15872k /dev/zero >small/filler\n\
        \"$0\" run rollout.yaml --yes --poll 100ms --state sqlite:small/j.db; echo run $?\n\
        rm small/filler\n\
        \"$0\" status --state sqlite:small/j.db >status.txt; echo status $?\n\
        \"$0\" resume --poll 100ms --state sqlite:small/j.db 2>resume.txt; echo resume $?\n";
    let Some(told) = on_a_small_disk(&stand, "size=16m", script) else { return left_out("a full disk") };
    assert_eq!(told.out, "run 5\nstatus 0\nresume 0\n", "{}", told.err);
    told.said(
        0,
        &[
            "the run stopped because its journal cannot be written",
            "cannot append to the journal small/j.db",
            "nothing was lost",
            "once the cause is mended",
        ],
    );
    stand.is_remedied();
}

#[test]
fn a_disk_that_is_full_from_the_start_stops_the_run_before_it_begins() {
    let stand = Stand::new();
    stand.plan();
    let script = "\"$0\" run rollout.yaml --yes --state sqlite:small/j.db; echo run $?\n\
        echo as it was >small/region.json; \"$0\" inventory -o small/region.json; echo inventory $?; cat small/region.json";
    let Some(told) = on_a_small_disk(&stand, "size=16k", script) else { return left_out("a full disk") };
    assert_eq!(told.out, "run 1\ninventory 1\nas it was\n", "{}", told.err);
    told.said(
        0,
        &[
            "cannot open the journal small/j.db",
            "nothing was changed in the region",
            "cannot write `small/region.json`",
        ],
    );
    stand.is_untouched();
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let stand = Stand::new();
    stand.plan();
    let told = stand.run(&["show", "rollout.yaml", "-o", "/dev/full"]);
    told.said(1, &["error: cannot write `/dev/full`", "No space left on device"]);
}

#[test]
fn a_plan_goes_by_the_times_of_earlier_runs_where_it_can_read_them() {
    let stand = Stand::new();
    stand.plan();
    let measured = |rollout: &str| {
        let rollout = fleetmend::config::read_rollout("rollout", rollout).unwrap();
        rollout.hosts.iter().filter(|host| host.work.is_some()).count()
    };
    assert_eq!(measured(&stand.read("rollout.yaml")), 0, "nothing ran yet");
    stand.run(&RUN).said(0, &[]);
    let plan = ["plan", "--remedy", "mds", "--policy", "policy.yaml", "--region", "region.json"];
    assert_eq!(measured(&stand.run(&plan).said(0, &[]).out), 4);
    assert_eq!(measured(&stand.run(&[&plan[..], &["--times", "policy"]].concat()).said(0, &[]).out), 0);
    let other = stand.run(&[&plan[..], &["--state", "sqlite:region.json"]].concat());
    assert_eq!(measured(&other.said(0, &["note: an earlier run is not used for times"]).out), 0);
}
