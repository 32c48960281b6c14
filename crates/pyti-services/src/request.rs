//! What the verb in the box is asked for.

use serde::{Deserialize, Serialize};

use crate::catalogue::{self, Service};

/// Services that shall be there before a command is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The descriptor that results go to.
    pub results: i32,
    /// The services.
    pub services: Vec<Wanted>,
    /// Seconds until one that is not ready is given up.
    pub patience_s: u32,
}

/// A service that is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its name in PyTI.
    pub name: String,
    /// Databases that it shall have besides the usual ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
}

/// Longest name of a database.
const LONGEST: usize = 63;

impl Wanted {
    /// Reads `NAME` or `NAME:DATABASE`; `None` when there is no such service, or the database has an odd name.
    ///
    /// ```
    /// use pyti_services::Wanted;
    /// let wanted = Wanted::read("postgres:psycopg2_test").unwrap();
    /// assert_eq!((wanted.name.as_str(), wanted.databases), ("postgresql", vec!["psycopg2_test".to_owned()]));
    /// assert!(Wanted::read("postgres:a; DROP TABLE b").is_none());
    /// ```
    pub fn read(text: &str) -> Option<Self> {
        let (name, database) = match text.split_once(':') {
            Some((name, database)) => (name, Some(database)),
            None => (text, None),
        };
        let service = catalogue::find(name.trim())?;
        if let Some(database) = database {
            is_database(database).then_some(())?;
        }
        Some(Self {
            name: service.name.to_owned(),
            databases: database.map(str::to_owned).into_iter().collect(),
        })
    }

    /// What is known of the service.
    pub fn service(&self) -> Option<&'static Service> {
        catalogue::find(&self.name)
    }
}

/// Whether this may be the name of a database: letters, digits, `_` and `-`.
pub fn is_database(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Wants that are the same service become one, with the databases of all. Texts that are none are left out.
pub fn read_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    for wanted in texts.into_iter().filter_map(Wanted::read) {
        match all.iter_mut().find(|known| known.name == wanted.name) {
            Some(known) => {
                for database in wanted.databases {
                    if !known.databases.contains(&database) {
                        known.databases.push(database);
                    }
                }
            }
            None => all.push(wanted),
        }
    }
    all
}

/// The command line that runs `command` with services beside it.
pub fn argv(request: &Request, program: &str, command: Vec<String>) -> Vec<String> {
    let told = serde_json::to_string(request).unwrap_or_default();
    let mut argv = vec![program.to_owned(), crate::VERB.to_owned(), told, "--".to_owned()];
    argv.extend(command);
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_service_is_wanted_once() {
        let all = read_all([
            "redis",
            "postgresql:a",
            "postgres:b",
            "valkey",
            "oracle",
            "postgresql:a",
        ]);
        let names: Vec<&str> = all.iter().map(|w| w.name.as_str()).collect();
        assert_eq!(names, ["redis", "postgresql"]);
        assert_eq!(all[1].databases, ["a", "b"]);
    }

    #[test]
    fn names_of_databases_are_plain() {
        assert!(is_database("psycopg2_test") && is_database("a-b"));
        assert!(
            !is_database("") && !is_database("a b") && !is_database("a\"") && !is_database(&"a".repeat(64))
        );
    }
}
