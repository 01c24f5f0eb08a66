//! People as `/api/v1` names them; who may read about whom is in `identity::reach`.

use serde_json::{Map, Value};
use uuid::Uuid;

pub use crate::identity::reach::Reach;

/// An id of an attempt, enrollment or user as it is kept: a UUID means the same in capitals, every other text means its
/// characters. A pseudonym looks like a UUID without its hyphens, and is none.
pub fn usual_id(text: &str) -> String {
    let is_uuid = text.len() == 36 && Uuid::parse_str(text).is_ok();
    if is_uuid { text.to_ascii_lowercase() } else { text.to_owned() }
}

/// The name an actor gives itself.
pub fn actor_name(statement: &Map<String, Value>) -> Option<String> {
    let name = statement.get("actor")?.get("name")?.as_str()?.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_uuid_has_another_form() {
        let user = "00000000-0000-4000-8000-0000000000aa";
        assert_eq!(usual_id(&user.to_uppercase()), user);
        let pseudonym = "000000000000400080000000000000AA";
        assert_eq!(usual_id(pseudonym), pseudonym);
    }
}
