//! The same work on many files at once.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::spec::manifest::ManifestFile;

/// Fewer files than this are read on one thread.
const FILES_PER_THREAD_MIN: usize = 16;
/// The most threads that read files.
const THREADS_MAX: usize = 8;

/// Does the same with every file, on several threads when there are many; results in the order of
/// the files.
pub(super) fn in_parallel<T: Send>(
    files: &[&ManifestFile],
    work: impl Fn(&ManifestFile) -> T + Sync,
) -> Vec<T> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(files.len() / FILES_PER_THREAD_MIN).min(THREADS_MAX);
    if threads < 2 {
        return files.iter().map(|file| work(file)).collect();
    }
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(files.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((at, file)) = take(&next, files) {
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

fn take<'f>(next: &AtomicUsize, files: &[&'f ManifestFile]) -> Option<(usize, &'f ManifestFile)> {
    let at = next.fetch_add(1, Ordering::Relaxed);
    files.get(at).map(|file| (at, *file))
}
