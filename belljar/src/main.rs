//! The one binary: composes the roles.

fn main() {}
