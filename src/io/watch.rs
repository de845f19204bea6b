//! Watching the sources.
