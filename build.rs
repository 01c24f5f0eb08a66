//! Lists the files of `migrations/` for embedding, and fails the build on a name out of form.

use std::{env, error::Error, fmt::Write as _, fs, path::Path};

#[allow(dead_code)]
#[path = "src/migrate/names.rs"]
mod names;

#[expect(clippy::disallowed_methods, reason = "cargo speaks to a build script through the environment")]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=src/migrate/names.rs");
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("migrations");
    let mut list = String::from("/// (module, file name, text) of every embedded file.\n");
    list.push_str("pub static EMBEDDED: &[(&str, &str, &str)] = &[\n");
    for module in folder(&root)?.into_iter().filter(|name| root.join(name).is_dir()) {
        if !names::is_module(&module) {
            return Err(format!("migrations/{module}: not a module's name").into());
        }
        for file in folder(&root.join(&module))? {
            names::Name::parse(&names::up_of_down(&file).unwrap_or_else(|| file.clone()))?;
            let path = root.join(&module).join(&file);
            println!("cargo::rerun-if-changed={}", path.display());
            writeln!(list, "    ({module:?}, {file:?}, include_str!({path:?})),")?;
        }
    }
    list.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("migrations.rs"), list)?;
    Ok(())
}

/// The names in a folder, sorted, without hidden ones; nothing where there is no folder.
fn folder(path: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut found = Vec::new();
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            found.push(entry?.file_name().into_string().map_err(|name| format!("{name:?} is not plain text"))?);
        }
    }
    found.retain(|name| !name.starts_with('.'));
    found.sort();
    Ok(found)
}
