//! The ownership mark that a disabled service carries in its `disabled_reason`.

use super::RunId;

/// The first word of every mark.
const WORD: &str = "fleetmend";

/// Nova stores at most this many characters of a reason. Source: `nova.objects.service`, a `String(255)` column.
const REASON_MAX: usize = 255;

/// Says which run disabled a service; only the run that put it there may take it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    run: RunId,
}

impl Mark {
    /// The mark of `run`.
    pub const fn of(run: RunId) -> Self {
        Self { run }
    }

    /// The run that owns it.
    pub const fn run(self) -> RunId {
        self.run
    }

    /// The `disabled_reason` with this mark first and `why` for people after it, cut to what Nova stores.
    pub fn reason(self, why: &str) -> String {
        let full = format!("{WORD} {} {why}", self.run);
        full.trim_end().chars().take(REASON_MAX).collect()
    }

    /// Reads a mark out of a `disabled_reason`; `None` when somebody else wrote it.
    pub fn read(reason: &str) -> Option<Self> {
        let mut words = reason.split_whitespace();
        if words.next()? != WORD {
            return None;
        }
        words.next()?.parse().ok().map(Self::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_from_its_reason_and_nobody_elses() {
        let run = RunId::new(uuid::Uuid::now_v7());
        let reason = Mark::of(run).reason(&"x".repeat(400));
        assert_eq!(reason.chars().count(), REASON_MAX);
        assert_eq!(Mark::read(&reason), Some(Mark::of(run)));
        for foreign in ["", "maintenance", "fleetmend", "fleetmend soon", &format!("Fleetmend {run}")] {
            assert_eq!(Mark::read(foreign), None, "{foreign}");
        }
    }
}
