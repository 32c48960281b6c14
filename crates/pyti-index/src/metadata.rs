//! Metadata of a file, by the cheapest way that runs no foreign code.

use std::fs::File;

use mailparse::MailHeaderMap;
use pyti_model::distribution::FileKind;
use reqwest::StatusCode;
use reqwest::header::CONTENT_RANGE;

use crate::error::{IndexError, MetadataError};
use crate::http::Ask;
use crate::index::Index;
use crate::names::normalise;
use crate::parse::{self, Input, Job, Reply};
use crate::project::ProjectFile;
use crate::store::digest_of;
use crate::{BoxFuture, caps};

/// Bytes at a wheel's end that are asked for first: nearly always directory and metadata lie in them.
const TAIL: u64 = 1 << 16;

/// Most classifiers of a file that are read; there are some 900 in all.
const CLASSIFIERS: usize = 1000;

/// The classifiers in a file's metadata.
pub fn classifiers(metadata: &[u8]) -> Vec<String> {
    let Ok((headers, _)) = mailparse::parse_headers(metadata) else {
        return Vec::new();
    };
    headers
        .get_all_values("Classifier")
        .into_iter()
        .take(CLASSIFIERS)
        .collect()
}

/// Builds the metadata of an sdist that does not carry it: in a box, elsewhere.
pub trait MetadataBuilder: Send + Sync {
    /// Gives the metadata's bytes, or why there are none.
    fn build<'a>(&'a self, sdist: &'a ProjectFile) -> BoxFuture<'a, Result<Vec<u8>, String>>;
}

impl Index {
    /// The metadata of a file: from the cache; the file beside it (PEP 658); the end of the wheel by range
    /// requests; the whole wheel; the sdist's own, when it is static (Metadata 2.2, nothing needed is dynamic); else built.
    ///
    /// Name and version were compared with the file's name.
    pub async fn metadata(
        &self,
        file: &ProjectFile,
        builder: Option<&dyn MetadataBuilder>,
    ) -> Result<Vec<u8>, MetadataError> {
        let key = key(file);
        if let Some(bytes) = self.cached("metadata", &key) {
            return checked(file, bytes);
        }
        let (bytes, keep) = self.find_metadata(file, builder).await?;
        let bytes = checked(file, bytes)?;
        if keep {
            // what cannot be kept (a full disk) is read again the next time
            let _ = self.remember("metadata", &key, &bytes);
        }
        Ok(bytes)
    }

    async fn find_metadata(
        &self,
        file: &ProjectFile,
        builder: Option<&dyn MetadataBuilder>,
    ) -> Result<(Vec<u8>, bool), MetadataError> {
        let stored = file.sha256.as_ref().and_then(|digest| self.store().get(digest));
        if stored.is_none() && self.offline() {
            return Err(IndexError::Offline {
                what: file.filename.clone(),
            }
            .into());
        }
        if stored.is_none() && file.core_metadata {
            let mut url = file.url.clone();
            url.set_path(&format!("{}.metadata", file.url.path()));
            match self.http()?.get(&url, &Ask::default(), caps::METADATA).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    check_digest(file, &answer.body)?;
                    return Ok((answer.body, true));
                }
                // it was announced and is not there, as with mirrors that only copy pages
                Ok(_) | Err(IndexError::Status { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if file.file_kind() == FileKind::Wheel {
            if stored.is_none()
                && let Some(bytes) = self.by_ranges(file).await?
            {
                return Ok((bytes, true));
            }
            return match self.whole(file, Job::Wheel).await? {
                Reply::Metadata { bytes } => Ok((bytes, true)),
                Reply::Bad { why } => Err(MetadataError::Archive {
                    filename: file.filename.clone(),
                    why,
                }),
                _ => Err(MetadataError::Archive {
                    filename: file.filename.clone(),
                    why: "unreadable".into(),
                }),
            };
        }
        let why = match self.whole(file, Job::Sdist).await? {
            Reply::Metadata { bytes } => match dynamic(&bytes) {
                None => return Ok((bytes, true)),
                Some(why) => why,
            },
            Reply::Bad { why } => why,
            _ => "unreadable".into(),
        };
        let Some(builder) = builder else {
            return Err(MetadataError::MustBuild {
                filename: file.filename.clone(),
                why,
            });
        };
        // what is built depends on the interpreter, so it is the builder that caches
        match builder.build(file).await {
            Ok(bytes) if bytes.len() as u64 <= caps::METADATA => Ok((bytes, false)),
            Ok(bytes) => Err(MetadataError::Build {
                filename: file.filename.clone(),
                why: format!("{} bytes are too many", bytes.len()),
            }),
            Err(why) => Err(MetadataError::Build {
                filename: file.filename.clone(),
                why,
            }),
        }
    }

    /// Reads the wheel's metadata by ranges; `None` when the server has none, or the archive cannot be read so.
    async fn by_ranges(&self, file: &ProjectFile) -> Result<Option<Vec<u8>>, MetadataError> {
        let mut range = format!("bytes=-{TAIL}");
        for _ in 0..3 {
            let ask = Ask {
                range: Some(range),
                ..Ask::default()
            };
            let answer = match self.http()?.get(&file.url, &ask, caps::PAGE).await {
                // some servers refuse what they do not know
                Err(IndexError::Status { .. }) => return Ok(None),
                other => other?,
            };
            if answer.status != StatusCode::PARTIAL_CONTENT {
                return Ok(None);
            }
            let Some(total) = answer
                .header(CONTENT_RANGE)
                .and_then(|text| text.rsplit('/').next()?.parse::<u64>().ok())
            else {
                return Ok(None);
            };
            let mut reply = self
                .parse(file, Job::Tail { total }, Input::Bytes(answer.body))
                .await?;
            if let Reply::Entry { place } = reply {
                let end = place
                    .offset
                    .saturating_add(place.span)
                    .min(total)
                    .saturating_sub(1);
                let ask = Ask {
                    range: Some(format!("bytes={}-{end}", place.offset)),
                    ..Ask::default()
                };
                let answer = self.http()?.get(&file.url, &ask, caps::METADATA + TAIL).await?;
                if answer.status != StatusCode::PARTIAL_CONTENT {
                    return Ok(None);
                }
                reply = self
                    .parse(file, Job::Entry(place), Input::Bytes(answer.body))
                    .await?;
            }
            match reply {
                Reply::Metadata { bytes } => return Ok(Some(bytes)),
                Reply::Wider { from } => range = format!("bytes={from}-"),
                Reply::Entry { .. } => return Ok(None),
                Reply::Bad { why } => {
                    return Err(MetadataError::Archive {
                        filename: file.filename.clone(),
                        why,
                    });
                }
            }
        }
        Ok(None)
    }

    async fn whole(&self, file: &ProjectFile, job: Job) -> Result<Reply, MetadataError> {
        let (_, path) = self.fetch(file, &|_, _| ()).await?;
        let opened = File::open(&path).map_err(IndexError::storage("open a file of the store"))?;
        self.parse(file, job, Input::File(opened)).await
    }

    async fn parse(&self, file: &ProjectFile, job: Job, input: Input) -> Result<Reply, MetadataError> {
        let program = self.parser();
        let fail = |why: String| MetadataError::Parser {
            filename: file.filename.clone(),
            why,
        };
        tokio::task::spawn_blocking(move || match program {
            Some(program) => parse::read_in_child(&program, &job, input),
            None => Ok(parse::read(&job, input)),
        })
        .await
        .map_err(|error| fail(error.to_string()))?
        .map_err(fail)
    }
}

/// Whether metadata that lies beside a file is what the page promised.
fn check_digest(file: &ProjectFile, bytes: &[u8]) -> Result<(), IndexError> {
    let Some(promised) = &file.metadata_sha256 else {
        return Ok(());
    };
    let got = digest_of(bytes);
    if got == *promised {
        return Ok(());
    }
    Err(IndexError::HashMismatch {
        filename: format!("{}.metadata", file.filename),
        promised: promised.clone(),
        got,
    })
}

/// What metadata of that file is cached under.
fn key(file: &ProjectFile) -> String {
    match &file.sha256 {
        Some(digest) => digest.to_string(),
        None => digest_of(file.url.as_str().as_bytes()).to_string(),
    }
}

/// One header of metadata, without its surrounding space.
pub(crate) fn header(metadata: &[u8], name: &str) -> Option<String> {
    let (headers, _) = mailparse::parse_headers(metadata).ok()?;
    headers.get_first_value(name).map(|value| value.trim().to_owned())
}

fn checked(file: &ProjectFile, bytes: Vec<u8>) -> Result<Vec<u8>, MetadataError> {
    check(
        &bytes,
        &file.filename,
        file.kind.project().as_ref(),
        &file.version,
    )?;
    Ok(bytes)
}

/// Whether metadata is of that project and version: resolvers take another version's without a word.
pub(crate) fn check(
    bytes: &[u8],
    filename: &str,
    project: &str,
    version: &uv_pep440::Version,
) -> Result<(), MetadataError> {
    let name = header(bytes, "Name").unwrap_or_default();
    let told = header(bytes, "Version").unwrap_or_default();
    let lies = |field, got: &str, expected: String| MetadataError::Lies {
        filename: filename.to_owned(),
        field,
        got: got.chars().take(100).collect(),
        expected,
    };
    if normalise(&name).is_none_or(|name| name.as_ref() != project) {
        return Err(lies("name", &name, project.to_owned()));
    }
    // a local version may be missing in the name of an sdist, never the other way round
    if told
        .parse::<uv_pep440::Version>()
        .ok()
        .is_none_or(|told| told != *version && told.without_local() != *version)
    {
        return Err(lies("version", &told, version.to_string()));
    }
    Ok(())
}

/// Why an sdist's own metadata does not do; `None` when it does.
fn dynamic(metadata: &[u8]) -> Option<String> {
    let Ok((headers, _)) = mailparse::parse_headers(metadata) else {
        return Some("its PKG-INFO cannot be read".into());
    };
    let version = headers.get_first_value("Metadata-Version").unwrap_or_default();
    let mut parts = version
        .trim()
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version < (2, 2) {
        return Some(format!(
            "metadata {}.{} does not say what is dynamic",
            version.0, version.1
        ));
    }
    let fields: Vec<String> = headers.get_all_values("Dynamic");
    fields
        .iter()
        .find(|field| {
            ["version", "requires-dist", "requires-python", "provides-extra"]
                .contains(&field.trim().to_ascii_lowercase().as_str())
        })
        .map(|field| format!("its {} is dynamic", field.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_static_metadata_and_denied_dynamic() {
        assert_eq!(
            dynamic(b"Metadata-Version: 2.2\nName: x\nDynamic: License\n"),
            None
        );
        assert!(dynamic(b"Metadata-Version: 2.1\nName: x\n").is_some());
        assert!(
            dynamic(b"Metadata-Version: 2.4\nDynamic: Requires-Dist\n")
                .unwrap()
                .contains("Requires-Dist")
        );
    }

    #[test]
    fn allowed_true_and_denied_lying_metadata() {
        let version = "1.0".parse().unwrap();
        assert!(check(b"Name: X_y\nVersion: 1.0.0\n", "f", "x-y", &version).is_ok());
        assert!(check(b"Name: x-y\nVersion: 0.0.0\n", "f", "x-y", &version).is_err());
        assert!(check(b"Name: z\nVersion: 1.0\n", "f", "x-y", &version).is_err());
        assert!(check(b"", "f", "x-y", &version).is_err());
    }
}
