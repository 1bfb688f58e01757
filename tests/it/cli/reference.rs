//! The reference pages are what the binary says of itself.

use std::path::Path;

use super::Stand;

#[test]
fn the_reference_of_the_command_line_is_current() {
    let stand = Stand::new();
    let told = stand.run(&["man", "-f", "markdown"]);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/command-line.md");
    let kept = std::fs::read_to_string(page).unwrap();
    assert!(kept == told.out, "make it anew: `cargo run -- man -f markdown > docs/reference/command-line.md`");
}

#[test]
fn the_readme_tells_the_exit_codes_that_there_are() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    for exit in fleetmend::cli::Exit::ALL {
        assert!(readme.contains(&format!("\n| {} | ", exit.code())), "{exit:?}");
    }
}
