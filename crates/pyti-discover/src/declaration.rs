//! What a tree declares: its build, its metadata, its tables.

use pyti_model::foreign::Foreign;
use pyti_model::raw::{BuildDeclaration, Metadata};

use crate::ini::{self, Ini};
use crate::tree::Tree;

/// The backend that stands for a lone setup.py (PEP 517).
pub(crate) const LEGACY: &str = "setuptools.build_meta:__legacy__";

/// The declarations that several rungs read.
#[derive(Debug, Default)]
pub(crate) struct Project {
    pub(crate) build: BuildDeclaration,
    pub(crate) pyproject: toml::Table,
    pub(crate) setup_cfg: Ini,
    pub(crate) tox_ini: Ini,
    pub(crate) tox_toml: toml::Table,
    pub(crate) hatch_toml: toml::Table,
    pub(crate) pixi_toml: toml::Table,
}

impl Project {
    pub(crate) fn read(tree: &dyn Tree, rejected: &mut Vec<String>) -> Self {
        let pyproject = tree.text("pyproject.toml").map_or_else(toml::Table::new, |text| {
            text.parse().unwrap_or_else(|error: toml::de::Error| {
                rejected.push(format!("pyproject.toml cannot be read: {}", error.message()));
                toml::Table::new()
            })
        });
        let table = |path: &str| {
            tree.text(path)
                .and_then(|text| text.parse().ok())
                .unwrap_or_default()
        };
        let read = |path: &str| tree.text(path).map(|text| ini::read(&text)).unwrap_or_default();
        Self {
            build: build(&pyproject),
            setup_cfg: read("setup.cfg"),
            tox_ini: read("tox.ini"),
            tox_toml: table("tox.toml"),
            hatch_toml: table("hatch.toml"),
            pixi_toml: table("pixi.toml"),
            pyproject,
        }
    }

    /// The table of pyproject.toml at this path.
    pub(crate) fn table(&self, path: &[&str]) -> Option<&toml::Table> {
        path.iter()
            .try_fold(&self.pyproject, |table, key| table.get(*key)?.as_table())
    }
}

fn build(pyproject: &toml::Table) -> BuildDeclaration {
    let Some(system) = pyproject.get("build-system").and_then(toml::Value::as_table) else {
        return BuildDeclaration {
            backend: LEGACY.to_owned(),
            backend_path: Vec::new(),
            requires: vec!["setuptools".to_owned()],
            declared: false,
        };
    };
    BuildDeclaration {
        backend: system
            .get("build-backend")
            .and_then(toml::Value::as_str)
            .unwrap_or(LEGACY)
            .to_owned(),
        backend_path: strings(system.get("backend-path")),
        requires: strings(system.get("requires")),
        declared: true,
    }
}

/// The strings of a list, or the one string.
pub(crate) fn strings(value: Option<&toml::Value>) -> Vec<String> {
    match value {
        Some(toml::Value::String(one)) => vec![one.clone()],
        Some(toml::Value::Array(list)) => list
            .iter()
            .filter_map(|v| v.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// PKG-INFO of the root: the headers that matter.
pub(crate) fn metadata(tree: &dyn Tree) -> Option<Metadata> {
    let bytes = tree.read("PKG-INFO")?;
    let mut metadata = Metadata::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let value = Foreign::from(line[colon + 1..].trim_ascii());
        match line[..colon].to_ascii_lowercase().as_slice() {
            b"name" => metadata.name = value,
            b"version" => metadata.version = value,
            b"requires-dist" => metadata.requires_dist.push(value),
            b"provides-extra" => metadata.provides_extra.push(value),
            b"requires-python" => metadata.requires_python = Some(value),
            b"summary" => metadata.summary = Some(value),
            b"license-expression" => metadata.license = Some(value),
            b"license" if metadata.license.is_none() => metadata.license = Some(value),
            _ => {}
        }
    }
    Some(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    #[test]
    fn a_build_is_declared_or_the_default() {
        let mut rejected = Vec::new();
        let tree = MemoryTree::new([(
            "pyproject.toml",
            "[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n",
        )]);
        let project = Project::read(&tree, &mut rejected);
        assert_eq!(project.build.backend, "hatchling.build");
        assert!(project.build.declared);
        let project = Project::read(
            &MemoryTree::new([("pyproject.toml", "[tool.x]\n")]),
            &mut rejected,
        );
        assert_eq!(
            (project.build.backend.as_str(), project.build.declared),
            (LEGACY, false)
        );
        assert_eq!(project.build.requires, ["setuptools"]);
        assert!(rejected.is_empty());
        Project::read(&MemoryTree::new([("pyproject.toml", "= broken")]), &mut rejected);
        assert_eq!(rejected.len(), 1);
    }

    #[test]
    fn metadata_ends_with_its_headers() {
        let tree = MemoryTree::new([(
            "PKG-INFO",
            "Name: x\nRequires-Dist: y>1\nProvides-Extra: t\n\nVersion: 9\n",
        )]);
        let metadata = metadata(&tree).unwrap();
        assert_eq!(metadata.requires_dist, [Foreign::from("y>1")]);
        assert!(metadata.version.is_empty());
    }
}
