//! Whether a node that serves still may: every file that it needs is applied, and nothing newer that it cannot live with.

use super::{promise, run::Runner};
use crate::store::{Store, StoreError, schema::migrations::standing::Wanted};

/// What keeps this binary from serving, as `module/file (why)`; nothing is changed. `None` where the service's own login may not
/// look.
pub async fn look(runner: &Runner, store: &Store) -> Result<Option<Vec<String>>, StoreError> {
    let (mut known, mut needed) = (Vec::new(), Vec::new());
    for module in runner.modules() {
        for file in &module.files {
            let one = Wanted { schema: module.schema.clone(), file: file.file() };
            if !file.head.can_wait {
                needed.push(one.clone());
            }
            known.push(one);
        }
    }
    let Some(missing) = store.unapplied(&needed).await? else { return Ok(None) };
    let Some(strangers) = store.strangers(&known, promise::known()).await? else { return Ok(None) };
    let name = |one: &Wanted, why: &str| {
        let module = runner.modules().iter().find(|module| module.schema == one.schema);
        format!("{}/{} ({why})", module.map_or(&one.schema, |module| &module.name), one.file)
    };
    let missing = missing.iter().map(|one| name(one, "no longer applied"));
    let strangers = strangers.iter().map(|one| name(one, "of a newer release, and this one cannot live with it"));
    Ok(Some(missing.chain(strangers).collect()))
}
