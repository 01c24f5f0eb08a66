//! A key of the configuration, as it is known before anybody gives it a value.

/// What is known about one key before anybody gives it a value.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Name in the file: `section.field`, or `field` at the top.
    pub name: &'static str,
    pub kind: &'static str,
    /// Empty when the key is absent by default.
    pub default: &'static str,
    pub doc: &'static str,
    pub secret: bool,
}

impl Key {
    /// The environment variable that sets this key.
    pub fn env(&self) -> String {
        format!("PROGRESS_{}", self.name.replace('.', "_").to_uppercase())
    }
}
