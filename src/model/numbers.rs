//! Names by number.

use std::hash::Hash;

use indexmap::IndexSet;

/// A name whose copies share their text.
pub trait SharedName: Eq + Hash {
    /// Where the text lies: equal for copies, and for no other name as long as one of them exists.
    fn address(&self) -> usize;
}

/// Numbers of distinct names, from 0 in the order in which they were given. Copies of those names are found by where
/// their text lies, which reads no text; others by their text.
#[derive(Debug, Clone)]
pub struct Numbers<'n, N> {
    names: IndexSet<&'n N>,
    /// Addresses with their numbers, where their hash puts them or at the next free place; at least half are free.
    places: Vec<Option<(usize, u32)>>,
}

impl<'n, N: SharedName> FromIterator<&'n N> for Numbers<'n, N> {
    fn from_iter<T: IntoIterator<Item = &'n N>>(names: T) -> Self {
        let names: IndexSet<&N> = names.into_iter().collect();
        let mut numbers = Self { places: vec![None; (2 * names.len()).next_power_of_two()], names };
        for (name, number) in numbers.names.iter().zip(0_u32..) {
            let mut place = first_place(name.address(), numbers.places.len());
            while numbers.places[place].is_some() {
                place = (place + 1) % numbers.places.len();
            }
            numbers.places[place] = Some((name.address(), number));
        }
        numbers
    }
}

impl<N: SharedName> Numbers<'_, N> {
    /// The number of a name.
    pub fn get(&self, name: &N) -> Option<u32> {
        let address = name.address();
        let mut place = first_place(address, self.places.len());
        while let Some((known, number)) = self.places[place] {
            if known == address {
                return Some(number);
            }
            place = (place + 1) % self.places.len();
        }
        self.names.get_index_of(name).and_then(|number| u32::try_from(number).ok())
    }
}

/// Source: Knuth's multiplicative hashing, for 64 bits.
fn first_place(address: usize, places: usize) -> usize {
    let spread = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(spread).unwrap_or(0) % places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostName;

    #[test]
    fn a_name_has_its_number_whether_or_not_it_shares_its_text() {
        let names: Vec<HostName> = (0..100).map(|number| HostName::new(format!("compute-{number}"))).collect();
        let numbers: Numbers<'_, HostName> = names.iter().chain(&names[7..9]).collect();
        for (name, number) in names.iter().zip(0..) {
            assert_eq!(numbers.get(&name.clone()), Some(number));
            assert_eq!(numbers.get(&HostName::new(name.as_str())), Some(number));
        }
        assert_eq!(numbers.get(&"compute-100".into()), None);
        let none: Numbers<'_, HostName> = [].into_iter().collect();
        assert_eq!(none.get(&names[0]), None);
    }
}
