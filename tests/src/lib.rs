//! Whole-system tests; the code is in `tests/`.
