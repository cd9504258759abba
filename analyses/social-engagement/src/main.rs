//! social-engagement.

fn main() {}
