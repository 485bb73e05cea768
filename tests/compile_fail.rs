//! What the borrow checker must refuse: references that outlive what they point into, and data races.
//!
//! The expected messages are those of the toolchain that CI uses; `TRYBUILD=overwrite` writes them anew.

#[test]
fn unsound_uses_do_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
