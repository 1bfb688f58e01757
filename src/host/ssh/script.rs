//! The fixed scripts that run on hosts. What differs from call to call is an argument, never part of the text.

/// A script that `sh -s` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Collect,
    Identity,
    Boot,
    Domains,
    Start,
    Job,
    Forget,
    Fence,
    Reboot,
}

/// Puts a script between what all begin and end with. One compound command: a text cut short by a broken connection is
/// a syntax error and runs nothing. `main` gets no standard input, or it could read the script away from the shell.
macro_rules! script {
    ($file:literal $(, $before:expr)?) => {
        concat!(
            "{\n",
            $($before,)?
            include_str!("scripts/common.sh"),
            include_str!(concat!("scripts/", $file)),
            "main \"$@\" </dev/null\nfinish 0\n}\n"
        )
    };
}

/// A function that prints the script that jobs run as, for `start.sh` to write on the host.
macro_rules! job_text {
    () => {
        concat!(
            "job_text() {\ncat <<'END_OF_FLEETMEND_JOB'\n",
            include_str!("scripts/work.sh"),
            "END_OF_FLEETMEND_JOB\n}\n"
        )
    };
}

impl Script {
    /// The whole text.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Collect => script!("collect.sh"),
            Self::Identity => script!("identity.sh"),
            Self::Boot => script!("boot.sh"),
            Self::Domains => script!("domains.sh"),
            Self::Start => script!("start.sh", job_text!()),
            Self::Job => script!("job.sh"),
            Self::Forget => script!("forget.sh"),
            Self::Fence => script!("fence.sh"),
            Self::Reboot => script!("reboot.sh"),
        }
    }

    /// What it does, for errors: `collect facts`.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Self::Collect => "collect facts",
            Self::Identity => "read identity",
            Self::Boot => "read boot",
            Self::Domains => "list domains",
            Self::Start => "start job",
            Self::Job => "look at job",
            Self::Forget => "forget job",
            Self::Fence => "fence",
            Self::Reboot => "reboot",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    const ALL: [Script; 9] = [
        Script::Collect,
        Script::Identity,
        Script::Boot,
        Script::Domains,
        Script::Start,
        Script::Job,
        Script::Forget,
        Script::Fence,
        Script::Reboot,
    ];

    /// What `sh` makes of `text`, told to read it only.
    fn is_accepted(text: &str) -> bool {
        let mut shell = Command::new("sh")
            .args(["-n", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        shell.wait().unwrap().success()
    }

    #[test]
    fn every_script_is_one_that_a_shell_accepts_and_no_line_less() {
        for script in ALL {
            assert!(is_accepted(script.text()), "{script:?}");
            let lines: Vec<&str> = script.text().lines().collect();
            // One cut in each tenth, and the last lines one by one, where `main` is called.
            let cuts = (1..10).map(|tenth| lines.len() * tenth / 10).chain(lines.len() - 3..lines.len());
            for cut in cuts {
                assert!(!is_accepted(&lines[..cut].join("\n")), "{script:?} cut after line {cut}");
            }
        }
    }
}
