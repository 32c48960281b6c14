//! What is new on a project's page: which files to store, which releases to test, whose standing changed.

use std::collections::{BTreeMap, BTreeSet};

use pyti_index::{Project, ProjectFile, ProjectState};
use pyti_model::{Digest, FileKind};

use crate::action::What;
use crate::config::{Filter, Unwanted};

/// What the index says of a file beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Its publisher took it back.
    pub yanked: bool,
    /// The index forbids its installation.
    pub quarantined: bool,
    /// It is not there any more.
    pub removed: bool,
}

/// A file that we have a row for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The file.
    pub sha256: Digest,
    /// Its version as the index writes it.
    pub version: String,
    /// What it is.
    pub kind: FileKind,
    /// What the index said last.
    pub standing: Standing,
}

/// Why a page is read.
#[derive(Debug, Clone)]
pub struct Cause<'a> {
    /// What was told of the project; several events are one look at its page.
    pub told: &'a [What],
    /// The newest serial of them; a page that is older is of no use.
    pub serial: Option<u64>,
    /// What was uploaded before (RFC 3339) is history, unless an event names it.
    pub since: &'a str,
}

/// What there is to do.
#[derive(Debug, Default)]
pub struct News<'a> {
    /// The page is older than the event: ask again.
    pub is_stale: bool,
    /// Files to be stored, which get a row.
    pub uploads: Vec<&'a ProjectFile>,
    /// Releases that have something new to test, by version as the index writes it.
    pub releases: BTreeMap<String, Release<'a>>,
    /// Files whose standing changed.
    pub standings: Vec<(Digest, Standing)>,
    /// Uploads that are not taken, and why.
    pub unwanted: Vec<(&'a ProjectFile, Unwanted)>,
    /// Whether nothing of this project was known before.
    pub is_new_project: bool,
}

/// A release with something new.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Release<'a> {
    /// New files of kinds that get jobs.
    pub new: Vec<&'a str>,
    /// An sdist came after a wheel that is known: the wheel's tests can be run now, which is a new generation of its job.
    pub brings_tests: bool,
}

/// Compares a page with what is known of the project. `known` holds every file that we have a row for.
pub fn news<'a>(page: &'a Project, known: &[Known], cause: &Cause<'_>, filter: &Filter) -> News<'a> {
    let mut news = News {
        is_stale: is_stale(page, known, cause),
        is_new_project: known.is_empty(),
        ..News::default()
    };
    if news.is_stale {
        return news;
    }
    let rows: BTreeMap<&Digest, &Known> = known.iter().map(|known| (&known.sha256, known)).collect();
    let quarantined = page
        .status
        .as_ref()
        .is_some_and(|status| status.state == ProjectState::Quarantined);
    let mut seen = BTreeSet::new();
    for file in &page.files {
        let row = file.sha256.as_ref().and_then(|sha256| rows.get(sha256).copied());
        if let Some(row) = row {
            seen.insert(&row.sha256);
            let standing = Standing {
                yanked: file.yanked.is_some(),
                quarantined,
                removed: false,
            };
            if standing != row.standing {
                news.standings.push((row.sha256.clone(), standing));
            }
            continue;
        }
        let is_named = cause
            .told
            .iter()
            .any(|what| what.promised() == Some(file.filename.as_str()));
        let is_recent = file
            .uploaded
            .as_deref()
            .is_some_and(|uploaded| uploaded >= cause.since);
        if !is_named && !is_recent {
            continue;
        }
        if let Err(why) = filter.project(&page.name).and_then(|()| filter.file(file)) {
            news.unwanted.push((file, why));
            continue;
        }
        news.uploads.push(file);
        match filter.kind(file) {
            Ok(()) => news
                .releases
                .entry(file.version.to_string())
                .or_default()
                .new
                .push(&file.filename),
            Err(why) => news.unwanted.push((file, why)),
        }
    }
    for row in known.iter().filter(|row| !seen.contains(&row.sha256)) {
        // a quarantined project's page is empty: its files are kept from people, not removed
        let standing = Standing {
            removed: !quarantined,
            quarantined,
            yanked: row.standing.yanked,
        };
        if standing != row.standing {
            news.standings.push((row.sha256.clone(), standing));
        }
    }
    for file in &news.uploads {
        let version = file.version.to_string();
        let has_wheel = known
            .iter()
            .any(|row| row.kind == FileKind::Wheel && row.version == version && !row.standing.removed);
        if file.file_kind() == FileKind::Sdist && has_wheel {
            news.releases.entry(version).or_default().brings_tests = true;
        }
    }
    news
}

/// Whether the page was made before the event happened.
fn is_stale(page: &Project, known: &[Known], cause: &Cause<'_>) -> bool {
    if let (Some(told), Some(shown)) = (cause.serial, page.serial) {
        return shown < told;
    }
    // an index without serials on its pages: the files themselves are the proof
    let is_gone = |filename: &str| {
        cause.told.contains(&What::FileRemoved {
            filename: filename.to_owned(),
        })
    };
    cause.told.iter().any(|what| match what {
        What::FileAdded { filename } => {
            !page.files.iter().any(|file| file.filename == *filename)
                && !page.skipped.iter().any(|(name, _)| name == filename)
                && !is_gone(filename)
        }
        What::FileRemoved { filename } => page.files.iter().any(|file| {
            file.filename == *filename && known.iter().any(|row| file.sha256.as_ref() == Some(&row.sha256))
        }),
        _ => false,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::str::FromStr;

    use pyti_index::{ProjectStatus, RedactedUrl, parse_filename};
    use url::Url;
    use uv_normalize::PackageName;

    use super::*;
    use crate::config::Wanted;

    pub(crate) fn file(filename: &str, seed: u8) -> ProjectFile {
        let kind = parse_filename(filename, &PackageName::from_str("a").unwrap()).unwrap();
        ProjectFile {
            project: "a".into(),
            filename: filename.into(),
            url: Url::parse("http://index.example/files/x").unwrap(),
            version: kind.version().clone(),
            kind,
            sha256: Some(digest(seed)),
            size: Some(1000),
            requires_python: None,
            yanked: None,
            core_metadata: false,
            metadata_sha256: None,
            uploaded: Some("2026-05-01T10:00:00Z".into()),
            provenance: None,
        }
    }

    fn digest(seed: u8) -> Digest {
        Digest::from_str(&format!("{seed:02x}").repeat(32)).unwrap()
    }

    fn page(files: Vec<ProjectFile>) -> Project {
        Project {
            name: "a".into(),
            files,
            versions: Vec::new(),
            status: None,
            index: RedactedUrl::new(Url::parse("http://index.example/simple/").unwrap()),
            skipped: Vec::new(),
            serial: Some(10),
        }
    }

    fn known(seed: u8, kind: FileKind, version: &str) -> Known {
        Known {
            sha256: digest(seed),
            version: version.into(),
            kind,
            standing: Standing::default(),
        }
    }

    fn cause(what: &What) -> Cause<'_> {
        Cause {
            told: std::slice::from_ref(what),
            serial: Some(10),
            since: "2026-05-01T00:00:00Z",
        }
    }

    fn all() -> Filter {
        Filter::new(&Wanted::default()).unwrap()
    }

    fn names(files: &[&ProjectFile]) -> Vec<String> {
        files.iter().map(|file| file.filename.clone()).collect()
    }

    #[test]
    fn an_upload_is_stored_and_tested_and_history_is_not() {
        let mut old = file("a-1.tar.gz", 1);
        old.uploaded = Some("2020-01-01T00:00:00Z".into());
        let page = page(vec![old, file("a-2.tar.gz", 2), file("a-2-py3-none-any.whl", 3)]);
        let what = What::Released;
        let news = news(&page, &[], &cause(&what), &all());
        assert!(news.is_new_project && !news.is_stale);
        assert_eq!(names(&news.uploads), ["a-2.tar.gz", "a-2-py3-none-any.whl"]);
        assert_eq!(news.releases.keys().collect::<Vec<_>>(), ["2"]);
        assert!(!news.releases["2"].brings_tests);
    }

    #[test]
    fn a_file_that_the_event_names_is_taken_whatever_its_time() {
        let mut late = file("a-1.tar.gz", 1);
        late.uploaded = None;
        let page = page(vec![late]);
        let what = What::of("add source file a-1.tar.gz");
        assert_eq!(
            names(&news(&page, &[], &cause(&what), &all()).uploads),
            ["a-1.tar.gz"]
        );
        assert_eq!(
            names(&news(&page, &[], &cause(&What::Released), &all()).uploads),
            [""; 0]
        );
    }

    #[test]
    fn an_sdist_after_its_wheel_brings_tests_and_one_before_it_does_not() {
        let page = page(vec![file("a-2.tar.gz", 2), file("a-2-py3-none-any.whl", 3)]);
        let what = What::of("add source file a-2.tar.gz");
        let after = news(&page, &[known(3, FileKind::Wheel, "2")], &cause(&what), &all());
        assert!(after.releases["2"].brings_tests);
        let what = What::of("add py3 file a-2-py3-none-any.whl");
        let before = news(&page, &[known(2, FileKind::Sdist, "2")], &cause(&what), &all());
        assert!(!before.releases["2"].brings_tests);
        let other = news(
            &page,
            &[known(9, FileKind::Wheel, "1")],
            &cause(&What::of("add source file a-2.tar.gz")),
            &all(),
        );
        assert!(!other.releases["2"].brings_tests);
    }

    #[test]
    fn a_page_that_is_older_than_the_event_is_asked_for_again() {
        let what = What::of("add source file a-2.tar.gz");
        let mut behind = page(vec![file("a-1.tar.gz", 1)]);
        behind.serial = Some(9);
        assert!(news(&behind, &[], &cause(&what), &all()).is_stale);
        behind.serial = None;
        assert!(news(&behind, &[], &cause(&what), &all()).is_stale);
        behind.files.push(file("a-2.tar.gz", 2));
        assert!(!news(&behind, &[], &cause(&what), &all()).is_stale);
        // one that is named but cannot be looked at will not become better
        let mut egg = page(Vec::new());
        egg.serial = None;
        egg.skipped = vec![("a-2.egg".into(), "not a wheel or sdist".into())];
        assert!(!news(&egg, &[], &cause(&What::of("add 2.7 file a-2.egg")), &all()).is_stale);
    }

    #[test]
    fn yanked_removed_and_back() {
        let mut yanked = file("a-1.tar.gz", 1);
        yanked.yanked = Some("broken".into());
        let shown = page(vec![yanked]);
        let rows = [known(1, FileKind::Sdist, "1"), known(2, FileKind::Wheel, "1")];
        let found = news(&shown, &rows, &cause(&What::Yanked), &all());
        assert_eq!(
            found.standings,
            [
                (
                    digest(1),
                    Standing {
                        yanked: true,
                        ..Standing::default()
                    }
                ),
                (
                    digest(2),
                    Standing {
                        removed: true,
                        ..Standing::default()
                    }
                )
            ]
        );
        let mut rows = rows;
        rows[0].standing.yanked = true;
        rows[1].standing.removed = true;
        let again = news(&shown, &rows, &cause(&What::Yanked), &all());
        assert_eq!(again.standings, []);
        assert!(again.uploads.is_empty());
        let back = page(vec![file("a-1.tar.gz", 1)]);
        assert_eq!(
            news(&back, &rows, &cause(&What::Yanked), &all()).standings,
            [(digest(1), Standing::default())]
        );
    }

    #[test]
    fn quarantine_empties_a_page_and_is_not_removal() {
        let mut empty = page(Vec::new());
        empty.status = Some(ProjectStatus {
            state: ProjectState::Quarantined,
            reason: None,
        });
        let rows = [known(1, FileKind::Sdist, "1")];
        let found = news(&empty, &rows, &cause(&What::Standing), &all());
        assert_eq!(
            found.standings,
            [(
                digest(1),
                Standing {
                    quarantined: true,
                    ..Standing::default()
                }
            )]
        );
    }

    #[test]
    fn what_is_not_wanted_is_told_with_its_reason() {
        let filter = Filter::new(&Wanted {
            exclude: vec!["a".into()],
            ..Wanted::default()
        })
        .unwrap();
        let page = page(vec![file("a-2.tar.gz", 2)]);
        let found = news(&page, &[], &cause(&What::Released), &filter);
        assert!(found.uploads.is_empty() && found.releases.is_empty());
        assert_eq!(found.unwanted[0].1, Unwanted::Project);
        let filter = Filter::new(&Wanted {
            sdists: false,
            ..Wanted::default()
        })
        .unwrap();
        let found = news(&page, &[], &cause(&What::Released), &filter);
        assert_eq!(names(&found.uploads), ["a-2.tar.gz"]);
        assert!(found.releases.is_empty());
    }
}
