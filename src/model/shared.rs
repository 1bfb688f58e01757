//! What regions repeat: hundreds of thousands of instances name the same hosts, projects and groups again and again, and
//! ask for the same amounts.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::Deserializer;
use serde::de::Visitor;

use super::resources::Class;

/// How many texts are remembered: names of all hosts of a large region, and others. One that another has pushed out is
/// made anew.
const TEXTS: usize = 1 << 16;

/// How many flavors' amounts are remembered.
const AMOUNTS: usize = 1 << 10;

/// How many values with one hash are remembered.
const ALIKE: usize = 4;

/// Values by their hash.
type Recent<T> = RefCell<Vec<Option<Arc<T>>>>;

thread_local! {
    static RECENT_TEXTS: Recent<str> = const { RefCell::new(Vec::new()) };
    static RECENT_AMOUNTS: Recent<[(Class, u64)]> = const { RefCell::new(Vec::new()) };
}

/// Reads text; what was read on this thread not long ago is shared.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Arc<str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E>(self, text: &str) -> Result<Arc<str>, E> {
            Ok(shared(text))
        }
    }

    deserializer.deserialize_string(Text)
}

/// Amounts by class; equal ones that were asked for on this thread not long ago are shared.
pub(super) fn amounts(amounts: &[(Class, u64)]) -> Arc<[(Class, u64)]> {
    let hash = amounts.iter().fold(OFFSET, |hash, (class, amount)| {
        // Classes that a flavor has differ in length or amount more often than not.
        let hash = mix(hash, class.len() as u64);
        mix(hash, *amount)
    });
    RECENT_AMOUNTS.with_borrow_mut(|recent| share(recent, AMOUNTS, hash, amounts))
}

fn shared(text: &str) -> Arc<str> {
    let hash = text.bytes().fold(OFFSET, |hash, byte| mix(hash, u64::from(byte)));
    RECENT_TEXTS.with_borrow_mut(|recent| share(recent, TEXTS, hash, text))
}

fn share<T: ?Sized + PartialEq>(recent: &mut Vec<Option<Arc<T>>>, places: usize, hash: u64, value: &T) -> Arc<T>
where
    Arc<T>: for<'v> From<&'v T>,
{
    if recent.is_empty() {
        recent.resize_with(places, || None);
    }
    let hash = (hash ^ (hash >> 29)).wrapping_mul(SPREAD);
    let set = usize::try_from(hash >> 32).unwrap_or(0) % (places / ALIKE);
    let alike = &mut recent[set * ALIKE..][..ALIKE];
    if let Some(known) = alike.iter().flatten().find(|known| ***known == *value) {
        return Arc::clone(known);
    }
    let made: Arc<T> = Arc::from(value);
    let place = alike.iter().position(Option::is_none).unwrap_or(usize::try_from(hash % ALIKE as u64).unwrap_or(0));
    alike[place] = Some(Arc::clone(&made));
    made
}

/// Source: Knuth's multiplicative hashing, for 64 bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Source: FNV-1a.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

fn mix(hash: u64, next: u64) -> u64 {
    (hash ^ next).wrapping_mul(0x0000_0100_0000_01b3)
}

#[cfg(test)]
mod tests {
    use crate::model::{GroupId, HostName};

    #[test]
    fn a_name_that_a_file_repeats_is_one_text() {
        let names: Vec<HostName> = serde_json::from_str(r#"["compute-1", "compute-2", "compute-\u0031"]"#).unwrap();
        assert_eq!(names, ["compute-1".into(), "compute-2".into(), "compute-1".into()]);
        assert_eq!(names[0].as_str().as_ptr(), names[2].as_str().as_ptr());
        assert_eq!(serde_json::to_string(&names).unwrap(), r#"["compute-1","compute-2","compute-1"]"#);
        assert!(serde_json::from_str::<GroupId>("7").unwrap_err().to_string().contains("expected a string"));
    }
}
