//! An export as files: what belongs to a tenant in lines of JSON, statements also as Parquet, with a manifest that says what there is. Written into a folder,
//! piece by piece so that it can be gone on with, or packed into a zip; read from either. Knows no database.

pub mod error;
pub mod folder;
pub mod line;
pub mod making;
pub mod manifest;
pub mod month;
pub mod packing;
pub mod source;
pub mod tally;
mod unzip;
pub mod zip;

pub use error::BundleError;
pub use folder::Folder;
pub use making::Making;
pub use manifest::{Manifest, Selection};
pub use month::{Form, MonthFile, month_of};
pub use packing::Packing;
pub use source::{Source, line_of};
pub use tally::{Cell, MonthTally, Tally};
