//! posts-clean.

fn main() {}
