//! The process: wires the engine to the world.

pub mod settings;
