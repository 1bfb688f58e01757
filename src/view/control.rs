//! Who may ask something of the run from the page: whoever holds the token that a key from the terminal was changed
//! for. The key is good once, so that an address in a history or a log opens nothing; the token is sent in a header
//! that no other site can make a browser send.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::journal::Request;
use crate::model::HostName;

/// Wrong keys and tokens after which nobody gets in any more until the server is started anew.
const MOST_WRONG: u32 = 100;

/// What was said of a secret.
type Seal = [u8; 32];

/// Who may ask.
#[derive(Debug)]
pub struct Control(Mutex<Lock>);

#[derive(Debug)]
struct Lock {
    /// Of the key, until it was used.
    key: Option<Seal>,
    /// Of tokens that were given.
    tokens: Vec<Seal>,
    wrong: u32,
}

impl Control {
    /// A lock with one key, which is the second of the two.
    pub fn new() -> (Self, String) {
        let key = secret();
        (Self(Mutex::new(Lock { key: Some(seal(&key)), tokens: Vec::new(), wrong: 0 })), key)
    }

    /// Changes the key for a token; never twice.
    pub fn token_for(&self, key: &str) -> Option<String> {
        let mut lock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = lock.wrong < MOST_WRONG && lock.key.is_some_and(|right| same(&right, &seal(key)));
        if !fits {
            lock.wrong = lock.wrong.saturating_add(1);
            return None;
        }
        lock.key = None;
        let token = secret();
        lock.tokens.push(seal(&token));
        Some(token)
    }

    /// Whether that is a token that was given.
    pub fn admits(&self, token: &str) -> bool {
        let mut lock = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = seal(token);
        let fits = lock.wrong < MOST_WRONG && lock.tokens.iter().fold(false, |fits, right| same(right, &shown) | fits);
        lock.wrong = lock.wrong.saturating_add(u32::from(!fits));
        fits
    }
}

/// 244 random bits.
fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

fn seal(text: &str) -> Seal {
    Sha256::digest(text).into()
}

/// In a time that does not depend on where they differ.
fn same(one: &Seal, other: &Seal) -> bool {
    one.iter().zip(other).fold(0, |difference, (one, other)| difference | (one ^ other)) == 0
}

/// What is asked, in the words of the page.
pub(super) fn request_of(word: &str, host: Option<&str>) -> Option<Request> {
    Some(match (word, host) {
        ("pause", None) => Request::Pause,
        ("continue", None) => Request::Continue,
        ("stop", None) => Request::Stop,
        ("approve", None) => Request::Approve,
        ("skip", Some(host)) => Request::Skip { host: HostName::new(host) },
        ("retry", Some(host)) => Request::Retry { host: HostName::new(host) },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_once_and_its_token_from_then_on() {
        let (control, key) = Control::new();
        assert!(!control.admits(&key), "a key is no token");
        assert_eq!(control.token_for("guess"), None);
        let token = control.token_for(&key).unwrap();
        assert_eq!(control.token_for(&key), None);
        assert!(control.admits(&token) && control.admits(&token));
        assert!(!control.admits("") && !control.admits(&token[1..]));
    }

    #[test]
    fn who_guesses_too_often_locks_the_door() {
        let (control, key) = Control::new();
        for _ in 0..MOST_WRONG {
            assert_eq!(control.token_for("guess"), None);
        }
        assert_eq!(control.token_for(&key), None);
    }

    #[test]
    fn only_what_a_page_may_ask_is_a_request() {
        assert_eq!(request_of("skip", Some("c1")), Some(Request::Skip { host: HostName::new("c1") }));
        for (word, host) in [("limits", None), ("pause", Some("c1")), ("skip", None), ("abandon", None), ("", None)] {
            assert_eq!(request_of(word, host), None, "{word}");
        }
    }
}
