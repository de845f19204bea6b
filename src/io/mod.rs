//! How the world is touched: one file per outside thing. It translates; it decides nothing.

pub mod store;
