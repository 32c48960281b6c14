//! All decoys of one run.

use pyti_model::trace::{Decoy, DecoyPlace};

use crate::chance::Chance;
use crate::home::{Home, PlantedFile, PlantedFolder};
use crate::key::Primes;
use crate::machine::{self, Machine};
use crate::persona::Persona;

/// Host of the package index when nobody told which is used.
const INDEX_HOST: &str = "index.example";

/// Everything that is put into the boxes of one run to be found. It lies as plain data: the caller plants it.
#[derive(Debug, Clone)]
pub struct Decoys {
    /// What is watched and searched for.
    pub decoys: Vec<Decoy>,
    /// Files, those of the decoys among them. Folders above them are to be made.
    pub files: Vec<PlantedFile>,
    /// Folders whose permission bits matter, or that are empty.
    pub folders: Vec<PlantedFolder>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
    /// What the machine should say of itself.
    pub machine: Machine,
}

/// A path that tells something when it is opened or listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its absolute path inside the box.
    pub path: String,
    /// The decoy: [`Decoy::id`]. A folder has the first of those in it.
    pub decoy: String,
    /// Whether it is a folder that holds nothing but decoys and what belongs to them.
    pub folder: bool,
}

/// Folders whose names alone are looked up by those who look for secrets.
const FOLDERS: &[&str] = &[
    ".ssh",
    ".aws",
    ".kube",
    ".docker",
    ".gnupg",
    ".config/gh",
    ".config/gcloud",
    ".mozilla/firefox",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".config/discord",
    ".config/Exodus",
    ".electrum",
    ".bitcoin",
    ".ethereum",
    ".cargo",
    ".terraform.d",
];

impl Decoys {
    /// Makes the decoys of one run: the same for the same arguments, and nothing alike for other entropy.
    ///
    /// `user` and `host` are the names of account and machine as the box has them, `now` is seconds since 1970,
    /// `index_host` the host of the package index in use, for the tokens that publish there.
    ///
    /// Takes about a tenth of a second: it finds prime numbers for keys that are real.
    pub fn make(entropy: &[u8; 32], user: &str, host: &str, now: i64, index_host: Option<&str>) -> Self {
        let primes = Primes::find(&mut Chance::new(entropy, "primes"));
        Self::with_primes(&primes, entropy, user, host, now, index_host)
    }

    fn with_primes(
        primes: &Primes,
        entropy: &[u8; 32],
        user: &str,
        host: &str,
        now: i64,
        index_host: Option<&str>,
    ) -> Self {
        let persona = Persona::suggest(entropy);
        let mut home = Home::new(
            entropy,
            &persona,
            user,
            host,
            now,
            index_host.unwrap_or(INDEX_HOST),
        );
        crate::code::furnish(&mut home);
        crate::cloud::furnish(&mut home, primes);
        crate::key::furnish(&mut home, primes);
        crate::shell::furnish(&mut home);
        crate::document::furnish(&mut home);
        crate::browser::furnish(&mut home);
        crate::wallet::furnish(&mut home);
        let machine = Machine::new(&mut home);
        let Home {
            mut decoys,
            mut files,
            folders,
            mut variables,
            ..
        } = home;
        // an order of its own for each run
        let mut chance = Chance::new(entropy, "order");
        chance.shuffle(&mut decoys);
        chance.shuffle(&mut files);
        chance.shuffle(&mut variables);
        Self {
            decoys,
            files,
            folders,
            variables,
            machine,
        }
    }

    /// Paths to watch: the files of decoys but those below `/etc`, and the folders that hold them, when nothing else lies there.
    pub fn watched_paths(&self) -> Vec<Watched> {
        let mut out = Vec::new();
        for decoy in self.decoys.iter().filter(|d| d.family != machine::FAMILY) {
            let DecoyPlace::File(path) = &decoy.place else {
                continue;
            };
            out.push(Watched {
                path: path.clone(),
                decoy: decoy.id.clone(),
                folder: false,
            });
            if let Some(folder) = own_folder(path)
                && !out.iter().any(|w| w.path == folder)
            {
                out.push(Watched {
                    path: folder.to_owned(),
                    decoy: decoy.id.clone(),
                    folder: true,
                });
            }
        }
        out
    }

    /// The decoy that lies at a path. For a folder that holds decoys of one tool (`~/.ssh`), or one below it, the
    /// first of these: to list it is a look at them.
    pub fn by_path(&self, path: &str) -> Option<&Decoy> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let at = |test: &dyn Fn(&str) -> bool| {
            self.decoys
                .iter()
                .find(|d| matches!(&d.place, DecoyPlace::File(place) if test(place)))
        };
        at(&|place| place == path).or_else(|| {
            let below = |place: &str| {
                place.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'))
                    && own_folder(place).is_some_and(|folder| path.starts_with(folder))
            };
            at(&below)
        })
    }
}

/// The folder of [`FOLDERS`] that a path lies in.
fn own_folder(path: &str) -> Option<&str> {
    let relative = path.strip_prefix("/home/")?.split_once('/')?.1;
    let home = path.len() - relative.len();
    FOLDERS
        .iter()
        .find(|folder| {
            relative
                .strip_prefix(**folder)
                .is_some_and(|rest| rest.starts_with('/'))
        })
        .map(|folder| &path[..home + folder.len()])
}

#[cfg(test)]
#[path = "decoys_tests.rs"]
mod tests;
