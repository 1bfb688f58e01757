//! Work on long lists, on all processors. The checker has its own: it shares nothing with the planner.

use std::panic::resume_unwind;
use std::thread;

/// A list that is shorter is worked on before another thread has begun.
const LEAST: usize = 500;

/// What `work` makes of each part of `items`, given with the place of its first item, in order. How many parts there
/// are depends on the machine, so what is made of them must not.
pub(super) fn in_parts<'i, T: Sync, R: Send>(items: &'i [T], work: impl Fn(usize, &'i [T]) -> R + Sync) -> Vec<R> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let size = items.len().div_ceil(processors).max(LEAST);
    let work = &work;
    thread::scope(|scope| {
        let mut parts = (0..).step_by(size).zip(items.chunks(size));
        let first = parts.next();
        let others: Vec<_> = parts.map(|(place, part)| scope.spawn(move || work(place, part))).collect();
        let first = first.map(|(place, part)| work(place, part));
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        first.into_iter().chain(others).collect()
    })
}

/// One list of what was made of the parts. The first part's grows: a copy of all would take as much memory again.
pub(super) fn joined<T>(parts: Vec<Vec<T>>) -> Vec<T> {
    let count = parts.iter().map(Vec::len).sum::<usize>();
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or_default();
    all.reserve_exact(count - all.len());
    parts.for_each(|part| all.extend(part));
    all
}
