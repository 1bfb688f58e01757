//! Mistakes that the engine makes on purpose, to see that the simulation finds each. A mistake is made where `#[cfg(test)]`
//! asks for it: no other build of this crate knows the word.

use std::cell::Cell;
use std::sync::Mutex;

use super::draw::Size;
use super::play_all;

macro_rules! mistakes {
    ($($(#[$doc:meta])* $variant:ident),* $(,)?) => {
        /// What an engine could do wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Mistake {
            $($(#[$doc])* $variant,)*
        }

        /// All of them.
        const ALL: &[Mistake] = &[$(Mistake::$variant),*];
    };
}

mistakes! {
    /// A host is fenced and rebooted without a look at what is on it.
    SkipsTheQuietCheck,
    /// A host that came back while there was no runner is rebooted once more.
    RebootsTwice,
    /// A step counts as done when its order was taken.
    RecordsBeforeVerifying,
    /// A step that was intended is carried out, whatever became of the intent.
    ForgetsToProbe,
    /// The region is changed, and then the intent is written down.
    ActsBeforeTheIntent,
    /// A runner that resumes does not take up moves that are under way.
    LosesMovesOnResume,
    /// Hosts are begun whatever the limits.
    IgnoresLimitsOnHosts,
    /// Moves are begun whatever the limits.
    IgnoresLimitsOnMoves,
    /// What somebody else disabled is taken for disabled by us, and enabled in the end.
    TakesForeignHandsForOurs,
    /// What somebody else disabled is taken for enabled, and disabled with our mark.
    OverlooksForeignHands,
    /// An instance goes to a vulnerable host although a mitigated one has room.
    PrefersVulnerableTargets,
    /// Hosts are begun before the canary hosts were watched.
    IgnoresTheGate,
    /// Steps go on while the run is paused.
    IgnoresPauses,
    /// Hosts are begun although too many have failed.
    IgnoresTheBudget,
    /// A host counts as done at the moment in which it is enabled.
    SettlesAtOnce,
    /// A host that failed is left without a word in Nova.
    ForgetsAftercare,
    /// A host that was rebooted counts as mitigated.
    TakesRebootsForProof,
    /// Hosts are begun whatever the policy's health gates say.
    IgnoresHealthGates,
}

/// How many seeds may pass until a mistake is found. Most are found within twenty; the rarest within seventy.
const FOUND_WITHIN: u64 = 1000;

thread_local! {
    static MADE: Cell<Option<Mistake>> = const { Cell::new(None) };
}

impl Mistake {
    /// Whether the engine of this thread makes it.
    pub(crate) fn is_made(self) -> bool {
        MADE.get() == Some(self)
    }
}

/// From now on the engine of this thread makes this mistake, or none.
pub(super) fn make(mistake: Option<Mistake>) {
    MADE.set(mistake);
}

#[test]
fn each_mistake_is_found() {
    let mut missed = Vec::new();
    for mistake in ALL {
        let found = Mutex::new(None);
        play_all(0..FOUND_WITHIN, Size::Small, Some(*mistake), &|seed, story| {
            let mut found = found.lock().unwrap();
            if let Some(violation) = story.and_then(|story| story.watch.violations.into_iter().next()) {
                found.get_or_insert((seed, violation));
            }
            found.is_none()
        });
        match found.into_inner().unwrap() {
            Some((seed, violation)) => println!("{mistake:?}: seed {seed}: {violation}"),
            None => missed.push(mistake),
        }
    }
    assert!(missed.is_empty(), "not found within {FOUND_WITHIN} seeds: {missed:?}");
}
