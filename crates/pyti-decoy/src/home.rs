//! The home of a developer as it is put together: decoys, what lies beside them, and whose it is.

use pyti_model::trace::{Decoy, DecoyPlace};

use crate::chance::Chance;
use crate::persona::Persona;

/// A file to put into the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlantedFile {
    /// Its absolute path inside the box.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// When it was last changed, seconds since 1970; before now.
    pub modified: i64,
}

/// A folder whose permission bits matter, or that is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlantedFolder {
    /// Its absolute path inside the box.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
}

/// A home that is being furnished.
pub(crate) struct Home<'a> {
    entropy: &'a [u8; 32],
    pub(crate) persona: &'a Persona,
    /// Name of the account.
    pub(crate) user: &'a str,
    /// Name of the machine.
    pub(crate) host: &'a str,
    /// Seconds since 1970.
    pub(crate) now: i64,
    /// Host of the package index.
    pub(crate) index_host: &'a str,
    pub(crate) decoys: Vec<Decoy>,
    pub(crate) files: Vec<PlantedFile>,
    pub(crate) folders: Vec<PlantedFolder>,
    pub(crate) variables: Vec<(String, String)>,
}

impl<'a> Home<'a> {
    pub(crate) fn new(
        entropy: &'a [u8; 32],
        persona: &'a Persona,
        user: &'a str,
        host: &'a str,
        now: i64,
        index_host: &'a str,
    ) -> Self {
        Self {
            entropy,
            persona,
            user,
            host,
            now,
            index_host,
            decoys: Vec::new(),
            files: Vec::new(),
            folders: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Randomness of one place.
    pub(crate) fn chance(&self, place: &str) -> Chance {
        Chance::new(self.entropy, place)
    }

    /// The path of something in the home folder.
    pub(crate) fn path(&self, relative: &str) -> String {
        format!("/home/{}/{relative}", self.user)
    }

    /// A file that is no decoy.
    pub(crate) fn file(&mut self, relative: &str, bytes: impl Into<Vec<u8>>) {
        self.file_with_mode(relative, bytes, 0o644);
    }

    /// A file that is no decoy, with permission bits.
    pub(crate) fn file_with_mode(&mut self, relative: &str, bytes: impl Into<Vec<u8>>, mode: u32) {
        let age = self
            .chance(&format!("age {relative}"))
            .between(3_600, 86_400 * 400);
        self.files.push(PlantedFile {
            path: self.path(relative),
            bytes: bytes.into(),
            mode,
            modified: self.now - age,
        });
    }

    /// A folder.
    pub(crate) fn folder(&mut self, relative: &str, mode: u32) {
        let path = self.path(relative);
        self.folders.push(PlantedFolder { path, mode });
    }

    /// A file that is a decoy, readable by its owner only.
    pub(crate) fn decoy(
        &mut self,
        id: &str,
        relative: &str,
        bytes: impl Into<Vec<u8>>,
        secrets: &[&str],
    ) -> &mut Decoy {
        self.file_with_mode(relative, bytes, 0o600);
        let place = DecoyPlace::File(self.path(relative));
        self.add(id, place, secrets)
    }

    /// An environment variable that is a decoy.
    pub(crate) fn variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
        self.add(
            &format!("env.{name}"),
            DecoyPlace::Variable(name.to_owned()),
            &[value],
        );
    }

    /// A decoy whose place is there already. Its family is the id up to the first dot, for variables what its name
    /// tells.
    pub(crate) fn add(&mut self, id: &str, place: DecoyPlace, secrets: &[&str]) -> &mut Decoy {
        let family = match (&place, id.split_once('.')) {
            (DecoyPlace::Variable(name), _) => variable_family(name).to_owned(),
            (_, Some((family, _))) => family.to_owned(),
            (_, None) => id.to_owned(),
        };
        let at = self.decoys.len();
        self.decoys.push(Decoy {
            id: id.to_owned(),
            family,
            place,
            secrets: secrets.iter().map(|s| (*s).to_owned()).collect(),
            commonly_read: false,
        });
        &mut self.decoys[at]
    }
}

/// Whose tool reads a variable.
fn variable_family(name: &str) -> &'static str {
    const FAMILIES: &[(&str, &str)] = &[
        ("AWS_", "aws"),
        ("GITHUB_", "github"),
        ("GITLAB_", "gitlab"),
        ("TWINE_", "pypi"),
        ("UV_", "pypi"),
        ("NPM_", "npm"),
        ("OPENAI_", "openai"),
        ("ANTHROPIC_", "anthropic"),
        ("SLACK_", "slack"),
        ("STRIPE_", "stripe"),
        ("HF_", "huggingface"),
        ("SENDGRID_", "sendgrid"),
        ("DISCORD_", "discord"),
        ("VAULT_", "vault"),
        ("DIGITALOCEAN_", "digitalocean"),
        ("DATABASE_", "database"),
        ("DB_", "database"),
    ];
    FAMILIES
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map_or("environment", |(_, family)| family)
}
