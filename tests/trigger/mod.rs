//! Triggers, from outside the library.

mod vectors;
