//! How the world is touched: one module per outside thing. Translates; decides nothing.

pub mod executor;
