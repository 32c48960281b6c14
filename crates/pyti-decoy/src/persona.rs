//! Whose machine it seems to be.

use crate::chance::{Chance, HEX};

const FIRST: &[&str] = &[
    "Amara", "Anders", "Anna", "Arjun", "Beatriz", "Bogdan", "Carla", "Chen", "Daniel", "Diego", "Elena",
    "Emre", "Fatima", "Felix", "Grace", "Hana", "Henrik", "Ines", "Ivan", "Jakub", "Jonas", "Julia", "Kaito",
    "Katrin", "Laura", "Leila", "Luca", "Marta", "Mateus", "Mei", "Nadia", "Nikolai", "Olga", "Oscar",
    "Priya", "Rafael", "Ravi", "Sara", "Sofia", "Tomas", "Ursula", "Viktor", "Wei", "Yara", "Yusuf", "Zofia",
];
const LAST: &[&str] = &[
    "Almeida",
    "Andersson",
    "Bakker",
    "Becker",
    "Bianchi",
    "Castillo",
    "Cohen",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "Fontaine",
    "Garcia",
    "Gupta",
    "Haddad",
    "Hansen",
    "Hoffmann",
    "Horvath",
    "Iyer",
    "Jansen",
    "Kaya",
    "Keller",
    "Kowalczyk",
    "Kovacs",
    "Larsen",
    "Lehmann",
    "Lindqvist",
    "Marino",
    "Mendes",
    "Meyer",
    "Moreau",
    "Nakamura",
    "Novak",
    "Okafor",
    "Petrov",
    "Popescu",
    "Reyes",
    "Rossi",
    "Santos",
    "Schneider",
    "Silva",
    "Sokolov",
    "Suzuki",
    "Tanaka",
    "Varga",
    "Vogel",
    "Weber",
    "Yilmaz",
    "Zhang",
];
const COMPANY: (&[&str], &[&str]) = (
    &[
        "bright", "clear", "north", "blue", "iron", "quick", "deep", "silver", "open", "red", "high",
        "stone", "wave", "light", "green", "cloud",
    ],
    &[
        "forge", "field", "works", "port", "bridge", "lane", "path", "ridge", "stack", "mill", "harbor",
        "grid", "yard", "loop", "labs", "peak",
    ],
);
const MODEL: &[&str] = &[
    "thinkpad",
    "xps13",
    "xps15",
    "latitude",
    "framework",
    "elitebook",
    "zenbook",
    "nuc",
    "precision",
    "ideapad",
    "probook",
    "desktop",
    "workstation",
    "tower",
];
const ZONE: &[&str] = &[
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Madrid",
    "Europe/Warsaw",
    "Europe/Amsterdam",
    "Europe/Stockholm",
    "Europe/London",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Asia/Tokyo",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Australia/Sydney",
];

/// Whose machine it seems to be; nobody's, made for one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persona {
    /// Name of the account. Long enough to be searched for.
    pub user: String,
    /// Name of the person.
    pub full_name: String,
    /// Name of the machine. Long enough to be searched for, different in each run.
    pub host: String,
    /// Name of the firm they seem to work for: the first label of [`Self::domain`].
    pub company: String,
    /// The firm's network: a name below `.internal`, which no public name server answers.
    pub domain: String,
    /// The time zone: `Europe/Berlin`.
    pub time_zone: String,
}

impl Persona {
    /// A person for these bytes. The names of user and machine are suggestions: [`crate::Decoys::make`] takes the
    /// real ones.
    pub fn suggest(entropy: &[u8; 32]) -> Self {
        let mut chance = Chance::new(entropy, "persona");
        let (first, last) = (chance.pick(FIRST), chance.pick(LAST));
        let company = format!("{}{}", chance.pick(COMPANY.0), chance.pick(COMPANY.1));
        let (low_first, low_last) = (first.to_ascii_lowercase(), last.to_ascii_lowercase());
        let number = chance.between(70, 99);
        let mut user = match chance.below(4) {
            0 => format!("{low_first}.{low_last}"),
            1 => format!("{low_first}_{low_last}"),
            2 => format!("{}{low_last}{number}", &low_first[..1]),
            _ => format!("{low_first}{low_last}"),
        };
        while user.len() < crate::SHORTEST {
            user.push(char::from(chance.pick(b"0123456789")));
        }
        let model = chance.pick(MODEL);
        let mark = chance.text(HEX, 4);
        let host = match chance.below(3) {
            0 => format!("{low_last}-{model}-{mark}"),
            1 => format!("{model}-{low_first}-{mark}"),
            _ => format!("{}-{model}-{mark}", &company[..4]),
        };
        Self {
            user,
            full_name: format!("{first} {last}"),
            host,
            domain: format!("{company}.internal"),
            company,
            time_zone: chance.pick(ZONE).to_owned(),
        }
    }

    pub(crate) fn email(&self) -> String {
        format!(
            "{}@{}",
            self.full_name.to_lowercase().replace(' ', "."),
            self.domain
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_enough_to_be_searched_for_and_valid_as_names() {
        let mut hosts = std::collections::BTreeSet::new();
        for number in 0..=255 {
            let persona = Persona::suggest(&[number; 32]);
            assert!(
                persona.user.len() >= crate::SHORTEST && persona.user.len() <= 32,
                "{persona:?}"
            );
            assert!(
                persona.host.len() >= crate::SHORTEST && persona.host.len() < 64,
                "{persona:?}"
            );
            let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(persona.host.chars().all(label), "{persona:?}");
            hosts.insert(persona.host);
        }
        assert_eq!(hosts.len(), 256);
    }
}
