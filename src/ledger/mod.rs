//! Accounting: was every due time answered for? Pure, and independent: it uses `time` and shares
//! no code with `spec/trigger` or `engine`, so that it can find their mistakes.

pub mod evaluator;
mod expression;
mod filter;
