//! What it needs: imports that no requirement gives, and requirements that nothing imports.

use std::collections::BTreeSet;

use pyti_model::Foreign;
use pyti_model::quality::{ImportKind, Imported, Provider, Quality, Remark};

use super::{fields, remark};
use crate::requirement::{self, Requirement};

/// What reads its data, fills in modules of the standard library, or is used by being there.
const BY_BEING_THERE: &[&str] = &[
    "tzdata",
    "colorama",
    "setuptools",
    "wheel",
    "typing-extensions",
    "pip",
];
/// What every environment with an installer has.
const WITH_INSTALLERS: &[&str] = &["pip"];

pub(super) fn remarks(quality: &Quality, found: &mut Vec<Remark>) {
    let mut requirements = Vec::new();
    for line in fields(&quality.wheel, "Requires-Dist") {
        match requirement::parse(&line) {
            None => {
                let sentence = format!("{} is no requirement", Foreign::from(&*line).visible());
                found.push(remark("requirement-invalid", None, sentence));
            }
            Some(one) => {
                if one.is_url {
                    let sentence = format!("{} points to an address", Foreign::from(&*line).visible());
                    found.push(remark("requirement-url", None, sentence));
                }
                requirements.push(one);
            }
        }
    }
    imports(quality, &requirements, found);
    unused(quality, &requirements, found);
}

/// Distributions whose modules an import may mean.
fn given_by<'a>(module: &str, providers: &'a [Provider]) -> Vec<&'a Provider> {
    providers
        .iter()
        .filter(|provider| provider.modules.iter().any(|own| overlaps(own, module)))
        .collect()
}

/// Whether one is the other or lies in it: `google.cloud` may mean `google.cloud.storage`.
fn overlaps(one: &str, other: &str) -> bool {
    let within = |short: &str, long: &str| {
        long.strip_prefix(short)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    within(one, other) || within(other, one)
}

/// Whether a requirement is named like a module, in one of the ways that people name distributions.
fn named_like(name: &str, module: &str) -> bool {
    let top = module.split('.').next().unwrap_or_default();
    let (plain, whole) = (requirement::normal(top), requirement::normal(module));
    let short = |text: &str| text.replace('-', "").replace("python", "");
    name == plain
        || whole.starts_with(name)
        || name == format!("python-{plain}")
        || name == format!("py{plain}")
        || name == format!("{plain}-python")
        || name == format!("types-{plain}")
        || short(name) == short(&plain)
        || known(top).is_some_and(|known| known == name)
}

/// Modules whose distributions are named otherwise, of those that are often asked for by an extra.
fn known(module: &str) -> Option<&'static str> {
    const TABLE: &[(&str, &str)] = &[
        ("yaml", "pyyaml"),
        ("PIL", "pillow"),
        ("cv2", "opencv-python"),
        ("bs4", "beautifulsoup4"),
        ("sklearn", "scikit-learn"),
        ("skimage", "scikit-image"),
        ("OpenSSL", "pyopenssl"),
        ("Crypto", "pycryptodome"),
        ("jwt", "pyjwt"),
        ("dateutil", "python-dateutil"),
        ("dotenv", "python-dotenv"),
        ("git", "gitpython"),
        ("google", "protobuf"),
        ("magic", "python-magic"),
        ("MySQLdb", "mysqlclient"),
        ("psycopg2", "psycopg2-binary"),
        ("serial", "pyserial"),
        ("usb", "pyusb"),
        ("zmq", "pyzmq"),
        ("win32api", "pywin32"),
        ("win32con", "pywin32"),
        ("pythoncom", "pywin32"),
        ("pkg_resources", "setuptools"),
        ("socks", "pysocks"),
        ("multipart", "python-multipart"),
        ("jose", "python-jose"),
        ("lzma", "backports-lzma"),
        ("brotli", "brotli"),
        ("OpenGL", "pyopengl"),
        ("IPython", "ipython"),
        ("attr", "attrs"),
        ("docx", "python-docx"),
        ("ldap", "python-ldap"),
        ("snappy", "python-snappy"),
        ("MySQL", "mysql-connector-python"),
        ("mysql", "mysql-connector-python"),
        ("gi", "pygobject"),
        ("wx", "wxpython"),
        ("markdown", "markdown"),
        ("slugify", "python-slugify"),
    ];
    TABLE
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, distribution)| *distribution)
}

fn imports(quality: &Quality, requirements: &[Requirement], found: &mut Vec<Remark>) {
    if quality.providers.is_empty() && requirements.iter().any(|one| !one.of_extra && !one.conditional) {
        // what it requires could not be installed: nobody knows what that would bring
        return;
    }
    let declared: BTreeSet<&str> = requirements.iter().map(|one| one.name.as_str()).collect();
    let mut told = BTreeSet::new();
    // who is not sure to need it has a reason
    let hard = |import: &&Imported| import.kind == ImportKind::Hard && !import.aside;
    for import in quality.imports.iter().filter(hard) {
        let providers = given_by(&import.module, &quality.providers);
        let by_requirement = providers
            .iter()
            .any(|provider| declared.contains(provider.name.as_str()))
            || requirements
                .iter()
                .any(|one| named_like(&one.name, &import.module));
        let top = import.module.split('.').next().unwrap_or_default();
        if by_requirement || WITH_INSTALLERS.contains(&top) || !told.insert(top.to_owned()) {
            continue;
        }
        let place = Some(import.place.clone());
        if let Some(provider) = providers.first() {
            let sentence = format!(
                "{} is imported; only {} gives it, which no requirement of its own names",
                import.module, provider.name
            );
            found.push(remark("import-transitive", place, sentence));
        } else {
            let sentence = format!("{} is imported, and no requirement gives it", import.module);
            found.push(remark("import-undeclared", place, sentence));
        }
    }
}

fn unused(quality: &Quality, requirements: &[Requirement], found: &mut Vec<Remark>) {
    if quality.code_lines == 0 || quality.imports.len() >= 2_000 {
        // a distribution of requirements, or more imports than were listed
        return;
    }
    for one in requirements
        .iter()
        .filter(|one| !one.of_extra && !one.conditional)
    {
        let Some(provider) = quality
            .providers
            .iter()
            .find(|provider| provider.name == one.name)
        else {
            continue;
        };
        let modules: Vec<&String> = provider
            .modules
            .iter()
            .filter(|module| !module.starts_with('_'))
            .collect();
        let imported = quality
            .imports
            .iter()
            .any(|import| provider.modules.iter().any(|own| overlaps(own, &import.module)));
        let quiet = modules.is_empty()
            || BY_BEING_THERE.contains(&one.name.as_str())
            || one.name.starts_with("types-")
            || one.name.ends_with("-stubs")
            // a plugin of what it belongs to, or its program
            || !quality.wheel.extensions.is_empty();
        if !imported && !quiet {
            let sentence = format!("{} is required, and nothing in it is imported", one.name);
            found.push(remark("requirement-unused", None, sentence));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{broken, good, imported, set};
    use super::*;

    const NOTHING: Vec<String> = Vec::new();

    fn importing(module: &str, kind: ImportKind) -> Vec<String> {
        let mut quality = good();
        quality.imports.push(imported(module, kind));
        broken(&quality)
    }

    #[test]
    fn imports_want_a_requirement_when_they_are_sure() {
        assert_eq!(importing("stranger", ImportKind::Hard), ["import-undeclared"]);
        assert_eq!(importing("stranger", ImportKind::Soft), NOTHING);
        assert_eq!(importing("stranger", ImportKind::Late), NOTHING);
        assert_eq!(importing("stranger", ImportKind::Typing), NOTHING);
        assert_eq!(importing("other.sub", ImportKind::Hard), NOTHING);
        let mut quality = good();
        let mut aside = imported("stranger", ImportKind::Hard);
        aside.aside = true;
        quality.imports.push(aside);
        assert_eq!(broken(&quality), NOTHING);
    }

    #[test]
    fn nothing_is_said_of_imports_when_requirements_were_not_installed() {
        let mut quality = good();
        quality.providers.clear();
        quality.imports.push(imported("stranger", ImportKind::Hard));
        assert_eq!(broken(&quality), NOTHING);
        set(&mut quality, "Requires-Dist", &[]);
        assert_eq!(broken(&quality), ["import-undeclared"]);
    }

    #[test]
    fn what_only_another_requirement_brings_is_told() {
        let mut quality = good();
        quality.providers.push(Provider {
            name: "below".into(),
            modules: vec!["below".into()],
        });
        assert_eq!(broken(&quality), NOTHING);
        quality.imports.push(imported("below", ImportKind::Hard));
        assert_eq!(broken(&quality), ["import-transitive"]);
        set(&mut quality, "Requires-Dist", &["other", "below; extra == 'x'"]);
        assert_eq!(broken(&quality), NOTHING);
    }

    #[test]
    fn an_extra_declares_what_is_not_installed() {
        for (requirement, module) in [
            ("pyyaml", "yaml"),
            ("google-cloud-storage", "google.cloud.storage"),
            ("python-dateutil", "dateutil"),
            ("Flask-Cors", "flask_cors"),
        ] {
            let mut quality = good();
            set(
                &mut quality,
                "Requires-Dist",
                &["other", &format!("{requirement}; extra == 'x'")],
            );
            quality.imports.push(imported(module, ImportKind::Hard));
            assert_eq!(broken(&quality), NOTHING, "{requirement}");
        }
    }

    #[test]
    fn requirements_that_nothing_imports_are_told() {
        let mut quality = good();
        quality.imports.clear();
        assert_eq!(broken(&quality), ["requirement-unused"]);
        quality.imports.push(imported("other.deep", ImportKind::Late));
        assert_eq!(broken(&quality), NOTHING);
        quality.imports.clear();
        set(&mut quality, "Requires-Dist", &["other; python_version < '3.8'"]);
        assert_eq!(broken(&quality), NOTHING);
    }

    #[test]
    fn lines_that_are_no_requirements_are_told() {
        let mut quality = good();
        set(&mut quality, "Requires-Dist", &["other", "(>=1)"]);
        assert_eq!(broken(&quality), ["requirement-invalid"]);
        set(
            &mut quality,
            "Requires-Dist",
            &["other @ https://other.example/other.whl"],
        );
        assert_eq!(broken(&quality), ["requirement-url"]);
    }
}
