//! One hostile container for each promise, under gVisor and under plain `runc`, on the real engine.
//!
//! One binary, so that all of it runs side by side.

#[path = "containment/calls.rs"]
mod calls;
#[path = "containment/endings.rs"]
mod endings;
mod harness;
#[path = "containment/limits.rs"]
mod limits;
#[path = "containment/walls.rs"]
mod walls;
