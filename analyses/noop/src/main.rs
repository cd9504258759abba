//! noop.

fn main() {}
