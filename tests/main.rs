//! The one integration test binary: a module per area.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and make their own worlds"
)]

mod files;
mod store;
mod trigger;
#[cfg(feature = "watch")]
mod watch;
