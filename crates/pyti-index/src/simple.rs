//! The Simple API (PEP 503, 691, 700, 714, 792): pages become projects.

use std::collections::BTreeMap;

use scraper::{Html, Selector};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use uv_normalize::PackageName;

use pyti_model::distribution::is_plain_file_name;

use crate::names::parse_filename;
use crate::project::{Project, ProjectFile, ProjectState, ProjectStatus};
use crate::redacted::RedactedUrl;

/// Most files of one page that are looked at; the largest real projects have some 15,000.
const MAX_FILES: usize = 100_000;

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    meta: Meta,
    files: Vec<Value>,
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default, rename = "project-status")]
    status: Option<Status>,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default, rename = "_last-serial")]
    serial: Value,
    #[serde(default, rename = "api-version")]
    version: Option<String>,
    #[serde(default, rename = "project-status")]
    status: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    status: String,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct File {
    filename: String,
    url: String,
    hashes: BTreeMap<String, String>,
    requires_python: Option<String>,
    size: Value,
    upload_time: Option<String>,
    yanked: Value,
    core_metadata: Value,
    dist_info_metadata: Value,
    data_dist_info_metadata: Value,
    provenance: Option<String>,
}

#[derive(Deserialize)]
struct Legacy {
    #[serde(default)]
    releases: BTreeMap<String, Value>,
}

/// Reads a JSON page; `base` is the address that it came from, after redirects.
pub(crate) fn from_json(
    body: &[u8],
    name: &PackageName,
    base: &Url,
    index: &RedactedUrl,
) -> Result<Project, String> {
    let page: Page =
        serde_json::from_slice(body).map_err(|error| format!("not the JSON of a project: {error}"))?;
    if page
        .meta
        .version
        .as_deref()
        .is_some_and(|version| !version.starts_with("1."))
    {
        return Err("another major version of the Simple API than 1".into());
    }
    let mut project = Project::without_files(name.as_ref(), index.clone());
    project.serial = whole(&page.meta.serial);
    project.versions = page.versions;
    project.status = match (page.status, page.meta.status) {
        (Some(status), _) => status_of(&status.status, status.reason),
        (None, Some(status)) => status_of(&status, None),
        (None, None) => None,
    };
    for value in page.files.into_iter().take(MAX_FILES) {
        match serde_json::from_value::<File>(value) {
            Ok(file) => add(&mut project, name, base, file),
            Err(error) => project
                .skipped
                .push((String::new(), format!("unreadable entry: {error}"))),
        }
    }
    Ok(project)
}

/// Reads an HTML page.
pub(crate) fn from_html(
    body: &[u8],
    name: &PackageName,
    base: &Url,
    index: &RedactedUrl,
) -> Result<Project, String> {
    let text = String::from_utf8_lossy(body);
    let html = Html::parse_document(&text);
    let select = |css: &str| Selector::parse(css).map_err(|error| error.to_string());
    let (anchors, bases, metas) = (select("a[href]")?, select("base[href]")?, select("meta[name]")?);
    let base = html
        .select(&bases)
        .find_map(|element| base.join(element.attr("href")?).ok())
        .unwrap_or_else(|| base.clone());
    let mut project = Project::without_files(name.as_ref(), index.clone());
    let mut marker = (None, None);
    let mut version = None;
    for meta in html.select(&metas) {
        let content = meta.attr("content").map(str::to_owned);
        match meta.attr("name") {
            Some("pypi:project-status") => marker.0 = content,
            Some("pypi:project-status-reason") => marker.1 = content,
            Some("pypi:repository-version") => version = content,
            _ => {}
        }
    }
    if version
        .as_deref()
        .is_some_and(|version| !version.starts_with("1."))
    {
        return Err("another major version of the Simple API than 1".into());
    }
    project.status = marker.0.and_then(|word| status_of(&word, marker.1));
    let mut links = 0_usize;
    for anchor in html.select(&anchors).take(MAX_FILES) {
        links += 1;
        let Some(href) = anchor.attr("href") else { continue };
        let shown: String = anchor.text().collect::<String>().trim().to_owned();
        let (address, fragment) = href.split_once('#').unwrap_or((href, ""));
        let last = address
            .split('?')
            .next()
            .unwrap_or("")
            .rsplit('/')
            .next()
            .unwrap_or("");
        let filename = if is_plain_file_name(&shown) && shown.contains('.') {
            shown
        } else {
            last.to_owned()
        };
        let hashes = fragment
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(kind, digest)| (kind.to_owned(), digest.to_owned()))
            .collect();
        let flag = |attribute: &str| {
            anchor
                .attr(attribute)
                .map_or(Value::Null, |text| Value::String(text.to_owned()))
        };
        add(
            &mut project,
            name,
            &base,
            File {
                filename,
                url: address.to_owned(),
                hashes,
                requires_python: anchor.attr("data-requires-python").map(str::to_owned),
                yanked: flag("data-yanked"),
                core_metadata: flag("data-core-metadata"),
                data_dist_info_metadata: flag("data-dist-info-metadata"),
                ..File::default()
            },
        );
    }
    // a captive portal or an error page with status 200 has no files; a real page without any is bare
    if links == 0 && text.len() > 4096 {
        return Err("HTML without a single link".into());
    }
    let own = |filename: &str| {
        filename
            .to_ascii_lowercase()
            .replace(['_', '.'], "-")
            .starts_with(name.as_ref())
    };
    let strange = project.files.is_empty() && !project.skipped.is_empty();
    if strange && !project.skipped.iter().any(|(filename, _)| own(filename)) {
        return Err("HTML whose links are no files of this project".into());
    }
    Ok(project)
}

/// Reads the versions of the legacy JSON, the only place that knows projects and releases without files.
pub(crate) fn from_legacy(body: &[u8], name: &PackageName, index: &RedactedUrl) -> Result<Project, String> {
    let legacy: Legacy =
        serde_json::from_slice(body).map_err(|error| format!("not the legacy JSON: {error}"))?;
    let mut project = Project::without_files(name.as_ref(), index.clone());
    project.versions = legacy.releases.into_keys().collect();
    Ok(project)
}

fn status_of(word: &str, reason: Option<String>) -> Option<ProjectStatus> {
    let state = match word {
        "archived" => ProjectState::Archived,
        "quarantined" => ProjectState::Quarantined,
        "deprecated" => ProjectState::Deprecated,
        _ => return None,
    };
    Some(ProjectStatus { state, reason })
}

/// A number; some mirrors write it as text.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn add(project: &mut Project, name: &PackageName, base: &Url, file: File) {
    let kind = match parse_filename(&file.filename, name) {
        Ok(kind) => kind,
        Err(problem) => return project.skipped.push((file.filename, problem.to_string())),
    };
    let url = match base.join(&file.url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        _ => {
            return project
                .skipped
                .push((file.filename, "its address is neither http nor https".into()));
        }
    };
    let sha256 = match file.hashes.get("sha256").map(|text| text.parse()) {
        None => None,
        Some(Ok(digest)) => Some(digest),
        Some(Err(error)) => {
            return project
                .skipped
                .push((file.filename, format!("its digest is {error}")));
        }
    };
    let told = |value: &Value| match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => Some(text.clone()),
        _ => Some(String::new()),
    };
    let has_metadata = [
        &file.core_metadata,
        &file.dist_info_metadata,
        &file.data_dist_info_metadata,
    ]
    .into_iter()
    .any(|value| told(value).is_some_and(|text| text != "false"));
    let metadata_sha256 = [
        &file.core_metadata,
        &file.dist_info_metadata,
        &file.data_dist_info_metadata,
    ]
    .into_iter()
    .find_map(|value| match value {
        Value::Object(hashes) => hashes.get("sha256")?.as_str()?.parse().ok(),
        Value::String(text) => text.strip_prefix("sha256=")?.parse().ok(),
        _ => None,
    });
    project.files.push(ProjectFile {
        project: project.name.clone(),
        version: kind.version().clone(),
        kind,
        url,
        sha256,
        size: whole(&file.size),
        requires_python: file.requires_python.filter(|text| !text.trim().is_empty()),
        yanked: told(&file.yanked),
        core_metadata: has_metadata,
        metadata_sha256,
        uploaded: file.upload_time,
        provenance: file.provenance,
        filename: file.filename,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::normalise;

    fn parts() -> (PackageName, Url, RedactedUrl) {
        let base = Url::parse("http://127.0.0.1/simple/x/").unwrap();
        (normalise("x").unwrap(), base.clone(), RedactedUrl::new(base))
    }

    #[test]
    fn allowed_json_page() {
        let (name, base, index) = parts();
        let digest = "a".repeat(64);
        let body = format!(
            r#"{{"meta":{{"api-version":"1.4","_last-serial":7}},"name":"x","versions":["1.0","2.0"],
            "project-status":{{"status":"archived","reason":"done"}},
            "files":[{{"filename":"x-1.0.tar.gz","url":"../../f/x-1.0.tar.gz","hashes":{{"sha256":"{digest}"}},"yanked":"bad","size":5,
            "core-metadata":{{"sha256":"{digest}"}},"requires-python":">=3.8"}},
            {{"filename":"x-1.0-py2.7.egg","url":"e","hashes":{{}}}}, 5]}}"#
        );
        let project = from_json(body.as_bytes(), &name, &base, &index).unwrap();
        assert_eq!(project.serial, Some(7));
        assert_eq!(project.status.unwrap().state, ProjectState::Archived);
        let [file] = &project.files[..] else { panic!() };
        assert_eq!(file.url.as_str(), "http://127.0.0.1/f/x-1.0.tar.gz");
        assert_eq!(file.yanked.as_deref(), Some("bad"));
        assert!(file.core_metadata);
        assert_eq!(project.skipped.len(), 2);
    }

    #[test]
    fn allowed_numbers_written_as_text() {
        let (name, base, index) = parts();
        let body = br#"{"meta":{"_last-serial":"26356948"},"files":[{"filename":"x-1.0.tar.gz","url":"x","hashes":{},"size":"12"}]}"#;
        let project = from_json(body, &name, &base, &index).unwrap();
        assert_eq!(
            (project.serial, project.files[0].size),
            (Some(26_356_948), Some(12))
        );
        let body = br#"{"meta":{"_last-serial":"many"},"files":[]}"#;
        assert_eq!(from_json(body, &name, &base, &index).unwrap().serial, None);
    }

    #[test]
    fn allowed_html_page() {
        let (name, base, index) = parts();
        let digest = "b".repeat(64);
        let body = format!(
            r#"<html><body><a href="/f/x-1.0-py3-none-any.whl#sha256={digest}" data-requires-python="&gt;=3.7" data-yanked="">x-1.0-py3-none-any.whl</a>
            <a href="x-1.0.tar.gz">x-1.0.tar.gz</a></body></html>"#
        );
        let project = from_html(body.as_bytes(), &name, &base, &index).unwrap();
        assert_eq!(project.files.len(), 2);
        assert_eq!(project.files[0].requires_python.as_deref(), Some(">=3.7"));
        assert_eq!(project.files[0].yanked.as_deref(), Some(""));
        assert!(project.files[0].sha256.is_some());
        assert!(project.files[1].yanked.is_none());
    }

    #[test]
    fn denied_pages() {
        let (name, base, index) = parts();
        assert!(from_json(b"<html>", &name, &base, &index).is_err());
        assert!(
            from_json(
                br#"{"meta":{"api-version":"2.0"},"files":[]}"#,
                &name,
                &base,
                &index
            )
            .is_err()
        );
        let portal = b"<html><a href=/login>Log in</a></html>";
        assert!(from_html(portal, &name, &base, &index).is_err());
        let portal = b"<html><a href=/login/>Log in</a></html>";
        assert!(from_html(portal, &name, &base, &index).is_err());
        let eggs = b"<html><a href=x-1.0-py2.7.egg>x-1.0-py2.7.egg</a></html>";
        assert!(from_html(eggs, &name, &base, &index).is_ok());
        let file = br#"{"files":[{"filename":"x-1.0.tar.gz","url":"file:///etc/passwd","hashes":{}}]}"#;
        let project = from_json(file, &name, &base, &index).unwrap();
        assert!(project.files.is_empty() && project.skipped.len() == 1);
    }
}
