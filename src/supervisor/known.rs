//! The ids of executions whose endings are recorded, so that none is started again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// How many ids are remembered; the oldest are forgotten first.
const KNOWN_IDS_MAX: usize = 100_000;

/// A bounded memory of ids.
#[derive(Debug, Default)]
pub(super) struct KnownIds {
    ids: HashSet<Arc<str>>,
    oldest_first: VecDeque<Arc<str>>,
}

impl KnownIds {
    /// Remembers an id.
    pub(super) fn add(&mut self, id: &str) {
        let id: Arc<str> = id.into();
        if self.ids.insert(Arc::clone(&id)) {
            self.oldest_first.push_back(id);
        }
        if self.oldest_first.len() > KNOWN_IDS_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// Whether it is remembered.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut known = KnownIds::default();
        for number in 0..=KNOWN_IDS_MAX {
            known.add(&number.to_string());
            known.add(&number.to_string());
        }
        assert!(!known.contains("0") && known.contains("1") && known.contains("100000"));
    }
}
