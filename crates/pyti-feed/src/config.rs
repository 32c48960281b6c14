//! What of a feed is wanted: the `[feed]` table of the service's configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;

use glob::Pattern;
use pyti_dispatch::Priority;
use pyti_index::{ParsedName, ProjectFile};
use serde::Deserialize;
use url::Url;

/// The `[feed]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// The changelog (XML-RPC). Without one, beside the Simple API of the configured index.
    pub changelog: Option<Url>,
    /// The list of newest releases (RSS): a hint to ask the changelog at once. Without one, beside the Simple API.
    pub newest: Option<Url>,
    /// Seconds between two questions to the changelog.
    pub every_s: u64,
    /// Seconds between two looks at the list of newest releases; 0 for never.
    pub hint_every_s: u64,
    /// Seconds between two comparisons with the root of the Simple API; 0 for never.
    pub compare_every_s: u64,
    /// A folder whose wheels and sdists are tested as they appear.
    pub folder: Option<PathBuf>,
    /// Seconds between two looks at the folder.
    pub folder_every_s: u64,
    /// Whether the index is followed at all; a folder can do alone.
    pub index: bool,
    /// What is wanted of it.
    #[serde(flatten)]
    pub wanted: Wanted,
}

/// Which uploads are wanted.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct Wanted {
    /// Patterns of normalised names of projects; empty for all.
    pub include: Vec<String>,
    /// Patterns of projects that are left out.
    pub exclude: Vec<String>,
    /// Only projects that carry one of these classifiers; empty for all.
    pub classifiers: Vec<String>,
    /// Largest file, in bytes.
    pub max_file_bytes: u64,
    /// Which wheels get jobs.
    pub wheels: Wheels,
    /// Whether sdists get jobs of their own.
    pub sdists: bool,
    /// Names of projects that many use: theirs go before others.
    pub popular: Vec<String>,
}

/// Which wheels of a release get jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wheels {
    /// For each environment the one that an installer would take.
    #[default]
    Installable,
    /// The same, but only those for every platform.
    Pure,
    /// None: sdists only.
    None,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            changelog: None,
            newest: None,
            every_s: 15,
            hint_every_s: 0,
            compare_every_s: 3600,
            folder: None,
            folder_every_s: 5,
            index: true,
            wanted: Wanted::default(),
        }
    }
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            include: Vec::new(),
            exclude: Vec::new(),
            classifiers: Vec::new(),
            max_file_bytes: 200 << 20,
            wheels: Wheels::default(),
            sdists: true,
            popular: Vec::new(),
        }
    }
}

/// Why an upload gets no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unwanted {
    /// Its project is not among those that are followed.
    Project,
    /// None of its classifiers is asked for.
    Classifier,
    /// Larger than is taken.
    Size,
    /// Its kind of wheel, or sdists, are not asked for.
    Kind,
    /// The index gives no digest.
    NoDigest,
}

impl Unwanted {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Project => "filtered_project",
            Self::Classifier => "filtered_classifier",
            Self::Size => "size_policy",
            Self::Kind => "filtered_kind",
            Self::NoDigest => "no_digest",
        }
    }
}

/// A pattern that is none.
#[derive(Debug, thiserror::Error)]
#[error("feed.{field}: {pattern:?} is no pattern: {why}")]
pub struct BadPattern {
    /// `include` or `exclude`.
    pub field: &'static str,
    /// As written.
    pub pattern: String,
    /// What is wrong.
    pub why: String,
}

/// [`Wanted`], ready to be asked.
#[derive(Debug, Clone)]
pub struct Filter {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
    classifiers: BTreeSet<String>,
    popular: BTreeSet<String>,
    max_file_bytes: u64,
    wheels: Wheels,
    sdists: bool,
}

impl Filter {
    /// Checks patterns.
    pub fn new(wanted: &Wanted) -> Result<Self, BadPattern> {
        Ok(Self {
            include: patterns("include", &wanted.include)?,
            exclude: patterns("exclude", &wanted.exclude)?,
            classifiers: wanted.classifiers.iter().cloned().collect(),
            popular: wanted.popular.iter().map(|name| plain(name)).collect(),
            max_file_bytes: wanted.max_file_bytes,
            wheels: wanted.wheels,
            sdists: wanted.sdists,
        })
    }

    /// Whether a project is followed.
    pub fn project(&self, name: &str) -> Result<(), Unwanted> {
        let name = plain(name);
        let is_among = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(&name));
        if (self.include.is_empty() || is_among(&self.include)) && !is_among(&self.exclude) {
            Ok(())
        } else {
            Err(Unwanted::Project)
        }
    }

    /// Whether classifiers must be looked at before a file gets jobs.
    pub fn asks_classifiers(&self) -> bool {
        !self.classifiers.is_empty()
    }

    /// Whether a file with these classifiers is wanted.
    pub fn classifiers<'a>(&self, of_file: impl IntoIterator<Item = &'a str>) -> Result<(), Unwanted> {
        if self.classifiers.is_empty() || of_file.into_iter().any(|one| self.classifiers.contains(one)) {
            Ok(())
        } else {
            Err(Unwanted::Classifier)
        }
    }

    /// Whether a file is stored.
    pub fn file(&self, file: &ProjectFile) -> Result<(), Unwanted> {
        if file.sha256.is_none() {
            return Err(Unwanted::NoDigest);
        }
        if file.size.is_some_and(|size| size > self.max_file_bytes) {
            return Err(Unwanted::Size);
        }
        Ok(())
    }

    /// Whether a file that is stored gets jobs, as far as its kind decides it.
    pub fn kind(&self, file: &ProjectFile) -> Result<(), Unwanted> {
        let wanted = match (&file.kind, self.wheels) {
            (ParsedName::Sdist(_), _) => self.sdists,
            (ParsedName::Wheel(_), Wheels::Installable) => true,
            (ParsedName::Wheel(wheel), Wheels::Pure) => {
                wheel.platform_tags().iter().any(|tag| tag.to_string() == "any")
            }
            (ParsedName::Wheel(_), Wheels::None) => false,
        };
        if wanted { Ok(()) } else { Err(Unwanted::Kind) }
    }

    /// How soon an upload's turn comes.
    pub fn priority(&self, project: &str, first_upload: bool) -> Priority {
        if first_upload {
            Priority::NewProject
        } else if self.popular.contains(&plain(project)) {
            Priority::Popular
        } else {
            Priority::Release
        }
    }
}

fn patterns(field: &'static str, patterns: &[String]) -> Result<Vec<Pattern>, BadPattern> {
    patterns
        .iter()
        .map(|pattern| {
            Pattern::new(&pattern.to_lowercase().replace('_', "-")).map_err(|error| BadPattern {
                field,
                pattern: pattern.chars().take(100).collect(),
                why: error.msg.to_owned(),
            })
        })
        .collect()
}

/// A name as PEP 503 normalises it.
fn plain(name: &str) -> String {
    name.split(['-', '_', '.'])
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
        .to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::news::tests::file;

    fn filter(text: &str) -> Filter {
        Filter::new(&toml::from_str::<Feed>(text).unwrap().wanted).unwrap()
    }

    #[test]
    fn without_words_everything_is_wanted_up_to_a_size() {
        let filter = filter("");
        assert_eq!(filter.project("anything"), Ok(()));
        let mut upload = file("a-1-py3-none-any.whl", 1);
        assert_eq!(filter.file(&upload), Ok(()));
        upload.size = Some((200 << 20) + 1);
        assert_eq!(filter.file(&upload), Err(Unwanted::Size));
        upload.sha256 = None;
        assert_eq!(filter.file(&upload), Err(Unwanted::NoDigest));
        assert!(!filter.asks_classifiers());
    }

    #[test]
    fn projects_are_chosen_by_patterns_and_exclusion_is_stronger() {
        let filter = filter("include = ['Django*', 'six']\nexclude = ['*-stubs']");
        assert_eq!(filter.project("django-rest"), Ok(()));
        assert_eq!(filter.project("Six"), Ok(()));
        assert_eq!(filter.project("flask"), Err(Unwanted::Project));
        assert_eq!(filter.project("django_stubs"), Err(Unwanted::Project));
        let wrong = toml::from_str::<Feed>("include = ['[a']").unwrap();
        assert!(Filter::new(&wrong.wanted).unwrap_err().to_string().contains("[a"));
        assert!(toml::from_str::<Feed>("no_such_word = 1").is_err());
    }

    #[test]
    fn kinds() {
        let (pure, other, sdist) = (
            file("a-1-py3-none-any.whl", 1),
            file("a-1-cp313-cp313-manylinux_2_28_x86_64.whl", 2),
            file("a-1.tar.gz", 3),
        );
        let kinds = |text: &str| [&pure, &other, &sdist].map(|file| filter(text).kind(file).is_ok());
        assert_eq!(kinds(""), [true, true, true]);
        assert_eq!(kinds("wheels = 'pure'"), [true, false, true]);
        assert_eq!(kinds("wheels = 'none'"), [false, false, true]);
        assert_eq!(kinds("sdists = false"), [true, true, false]);
    }

    #[test]
    fn who_goes_first() {
        let filter = filter("popular = ['Requests']");
        assert_eq!(filter.priority("requests", true), Priority::NewProject);
        assert_eq!(filter.priority("requests", false), Priority::Popular);
        assert_eq!(filter.priority("other", false), Priority::Release);
    }

    #[test]
    fn classifiers() {
        let filter = filter("classifiers = ['Framework :: Django']");
        assert!(filter.asks_classifiers());
        assert_eq!(filter.classifiers(["A", "Framework :: Django"]), Ok(()));
        assert_eq!(filter.classifiers(["A"]), Err(Unwanted::Classifier));
    }
}
