//! Who learns and who teaches.

use uuid::Uuid;

use super::chance::Chance;

const GIVEN: [&str; 40] = [
    "Ada", "Amir", "Anja", "Bao", "Beatriz", "Carlos", "Chiara", "Daniel", "Deepa", "Elif", "Emeka", "Fatima", "Femke",
    "Grace", "Haruto", "Ines", "Ivan", "Jonas", "Julia", "Kofi", "Lara", "Leon", "Lin", "Lucía", "Malik", "Mateo",
    "Mia", "Nadia", "Noah", "Olga", "Priya", "Rafael", "Samir", "Sofia", "Tariq", "Thea", "Tomás", "Urs", "Yara",
    "Zoë",
];
const FAMILY: [&str; 40] = [
    "Abebe",
    "Ahmed",
    "Andersson",
    "Bauer",
    "Becker",
    "Bianchi",
    "Brown",
    "Chen",
    "Costa",
    "Diallo",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Gruber",
    "Hansen",
    "Haddad",
    "Ito",
    "Jansen",
    "Kaya",
    "Keller",
    "Khan",
    "Kowalski",
    "Kumar",
    "Lopez",
    "Meier",
    "Mensah",
    "Meyer",
    "Moreau",
    "Müller",
    "Nguyen",
    "Novak",
    "Okafor",
    "Patel",
    "Rossi",
    "Schmid",
    "Silva",
    "Tanaka",
    "Weber",
    "Yılmaz",
];

/// The home page of all accounts.
pub const HOME: &str = "https://school.example";

/// Somebody with an account.
pub struct Person {
    pub id: Uuid,
    pub name: String,
}

impl Person {
    /// The learner of this number.
    pub fn learner(seed: u64, tenant: u32, number: u64) -> Self {
        Self::of(&mut Chance::of(&[seed, u64::from(tenant), 1, number]))
    }

    /// The teacher of a class, of which there is one for 25 learners.
    pub fn teacher(seed: u64, tenant: u32, learner: u64) -> Self {
        Self::of(&mut Chance::of(&[seed, u64::from(tenant), 2, learner / 25]))
    }

    fn of(chance: &mut Chance) -> Self {
        let id = chance.uuid();
        let (given, family) = (chance.pick(&GIVEN).unwrap_or(&""), chance.pick(&FAMILY).unwrap_or(&""));
        Self { id, name: format!("{given} {family}") }
    }

    /// As an Agent in JSON.
    pub fn json(&self) -> String {
        let Self { id, name } = self;
        format!(r#"{{"objectType":"Agent","name":"{name}","account":{{"homePage":"{HOME}","name":"{id}"}}}}"#)
    }
}
