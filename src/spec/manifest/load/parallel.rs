//! The same work on many files at once.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};

/// Fewer files than this are read on one thread.
const FILES_PER_THREAD_MIN: usize = 16;
/// The most threads that read files.
const THREADS_MAX: usize = 8;

/// Does the same with every file, on several threads when there are many; results in the order of
/// the files.
pub(super) fn in_parallel<I: Send, T: Send>(files: Vec<I>, work: impl Fn(I) -> T + Sync) -> Vec<T> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(files.len() / FILES_PER_THREAD_MIN).min(THREADS_MAX);
    if threads < 2 {
        return files.into_iter().map(work).collect();
    }
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(files.len()));
    let open = Mutex::new(files.into_iter().enumerate());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, file)) = take(&open) {
                    let result = work(file);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// The next file; a function of its own, so that the lock is held no longer.
fn take<I>(open: &Mutex<impl Iterator<Item = I>>) -> Option<I> {
    open.lock().unwrap_or_else(PoisonError::into_inner).next()
}
