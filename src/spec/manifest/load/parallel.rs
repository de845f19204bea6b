//! The same work on many files at once.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

/// Fewer files than this are read on one thread.
const FILES_PER_THREAD_MIN: usize = 16;
/// The most threads that read files.
const THREADS_MAX: usize = 8;

/// Does the same with every item, results in the order of the items: `known` where that answers at once,
/// else `work`, on several threads when much is left for it.
pub(super) fn in_parallel<I: Send, T: Send>(
    items: Vec<I>,
    known: impl Fn(I) -> Result<T, I>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    let mut results = Vec::with_capacity(items.len());
    let mut open = Vec::new();
    for item in items {
        let result = known(item).map_err(|item| open.push((results.len(), item)));
        results.push(result.ok());
    }
    for (at, result) in side_by_side(open, work) {
        results[at] = Some(result);
    }
    results.into_iter().flatten().collect()
}

/// Does the work on several threads; results in any order, with the number of their item.
fn side_by_side<I: Send, T: Send>(
    open: Vec<(usize, I)>,
    work: impl Fn(I) -> T + Sync,
) -> Vec<(usize, T)> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(open.len() / FILES_PER_THREAD_MIN).min(THREADS_MAX);
    if threads < 2 {
        return open.into_iter().map(|(at, item)| (at, work(item))).collect();
    }
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(open.len()));
    let open = Mutex::new(open.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, item)) = take(&open) {
                    let result = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The next item; a function of its own, so that the lock is held no longer.
fn take<I>(open: &Mutex<impl Iterator<Item = I>>) -> Option<I> {
    open.lock().unwrap_or_else(PoisonError::into_inner).next()
}
