//! `.pth` files whose code is known: what namespace packages, editable installs and setuptools write.

use std::sync::LazyLock;

use pyti_model::Foreign;
use regex::bytes::{Regex, RegexBuilder};

use crate::record::JobRecord;

/// Lines that are known, whole.
const KNOWN: &[&str] = &[
    // setuptools, distutils-precedence.pth
    r"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os\.environ\.get\(var, '(?:local|stdlib)'\) == '(?:local|stdlib)'; enabled and __import__\('_distutils_hack'\)(?:; ?|\.add_shim\(\);? ?)?",
    // setuptools, editable installs
    r"import __editable___\w+_finder; __editable___\w+_finder\.install\(\)",
    // setuptools, namespace packages
    r"import sys, types, os;\s?has_mfs = sys\.version_info > \(3, 5\);\s?p = os\.path\.join\(sys\._getframe\(1\)\.f_locals\['sitedir'\], \*\((?:'\w+',? ?)+\)\);\s?importlib = has_mfs and __import__\('importlib\.util'\);\s?has_mfs and __import__\('importlib\.machinery'\);\s?m = has_mfs and sys\.modules\.setdefault\('[\w.]+', importlib\.util\.module_from_spec\(importlib\.machinery\.PathFinder\.find_spec\('[\w.]+', \[os\.path\.dirname\(p\)\]\)\)\);\s?m = m or sys\.modules\.setdefault\('[\w.]+', types\.ModuleType\('[\w.]+'\)\);\s?mp = \(m or \[\]\) and m\.__dict__\.setdefault\('__path__', ?\[\]\);\s?\(p not in mp\) and mp\.append\(p\)(?:;\s?m and setattr\(sys\.modules\['[\w.]+'\], '\w+', m\))?",
];

static LINES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    // A test proves that none is refused.
    KNOWN
        .iter()
        .filter_map(|line| {
            RegexBuilder::new(&format!("^(?:{line})$"))
                .unicode(false)
                .build()
                .ok()
        })
        .collect()
});

/// Whether the code of such a file is known to do what it is for and nothing else.
pub(super) fn is_known_text(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
        .filter(|line| line.starts_with(b"import ") || line.starts_with(b"import\t"))
        .all(|line| LINES.iter().any(|known| known.is_match(line)))
}

/// Whether what the file holds was recorded, whole, and is known.
pub(super) fn is_known(record: &JobRecord, path: &Foreign) -> bool {
    let mut held = record
        .tasks
        .iter()
        .flat_map(|task| &task.written)
        .flat_map(|files| &files.files)
        .filter(|file| is_same(&file.path, path))
        .peekable();
    held.peek().is_some()
        && held.all(|file| file.preview.len() as u64 == file.size && is_known_text(file.preview.as_bytes()))
}

/// Paths of installations are told from site-packages on.
fn is_same(written: &Foreign, path: &Foreign) -> bool {
    let (written, path) = (written.as_bytes(), path.as_bytes());
    written == path
        || !path.contains(&b'/')
            && written
                .strip_suffix(path)
                .is_some_and(|folder| folder.ends_with(b"/site-packages/"))
}

/// Whether code at the interpreter's start was installed, and all of it is known.
pub(super) fn all_known(record: &JobRecord) -> bool {
    record.install().is_some_and(|install| {
        !install.executable_pth.is_empty() && install.executable_pth.iter().all(|path| is_known(record, path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: &str = "import sys, types, os;has_mfs = sys.version_info > (3, 5);p = os.path.join(sys._getframe(1).f_locals['sitedir'], *('zope', 'a'));importlib = has_mfs and __import__('importlib.util');has_mfs and __import__('importlib.machinery');m = has_mfs and sys.modules.setdefault('zope.a', importlib.util.module_from_spec(importlib.machinery.PathFinder.find_spec('zope.a', [os.path.dirname(p)])));m = m or sys.modules.setdefault('zope.a', types.ModuleType('zope.a'));mp = (m or []) and m.__dict__.setdefault('__path__',[]);(p not in mp) and mp.append(p);m and setattr(sys.modules['zope'], 'a', m)\n";

    #[test]
    fn known_files_are_known_and_what_was_added_to_them_is_not() {
        assert_eq!(LINES.len(), KNOWN.len());
        let editable = "import __editable___x_1_0_finder; __editable___x_1_0_finder.install()";
        let precedence = "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; enabled and __import__('_distutils_hack')";
        for text in [NAMESPACE, editable, precedence, "/some/folder\n", ""] {
            assert!(is_known_text(text.as_bytes()), "{text}");
        }
        for text in [
            format!("{editable}; import evil"),
            format!("{precedence}\nimport evil"),
            NAMESPACE.replace("'a'", "'a' + evil()"),
            "import os; os.system('id')".to_owned(),
            "import\tevil".to_owned(),
        ] {
            assert!(!is_known_text(text.as_bytes()), "{text}");
        }
    }
}
