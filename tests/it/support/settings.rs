//! Where the test servers are: the only place of the tests that reads the environment.

/// The value of a `TEST_…` variable; a test without its server fails with the way out.
#[track_caller]
pub fn required(name: &str) -> String {
    optional(name).unwrap_or_else(|| {
        panic!(
            "{name} is not set: run `make test`, or for a single test \
             `scripts/services up && eval \"$(scripts/services env)\"` first"
        )
    })
}

#[expect(clippy::disallowed_methods, reason = "tests find their servers by the environment, as documented")]
pub fn optional(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
