//! What an installation left behind, from the changes that it made. Pure.

use std::collections::BTreeSet;

use pyti_model::Foreign;
use pyti_model::effect::{Change, Changed, Entry};
use pyti_model::raw::Install;

use crate::modules::{Modules, pth_runs_code};

/// Files in a `.dist-info` folder that installers write, not packages. RECORD is the package's, but rewritten.
const INSTALLERS: &[&str] = &[
    "INSTALLER",
    "REQUESTED",
    "RECORD",
    "direct_url.json",
    "uv_cache.json",
    "uv_build.json",
];
/// Paths that are listed of those outside.
const LISTED: usize = 1000;

/// Tells the package's doing from the installer's.
///
/// `changes` are those of the installation's layer, `site_packages` and `bin` absolute paths in the box. `read`
/// gives the content of a changed file by its absolute path, capped as it likes; it is asked for `.pth` files and
/// for libraries whose name does not tell whether they are modules. [`Install::installer`] stays empty.
pub fn facts(
    changes: &[Change],
    site_packages: &str,
    bin: &str,
    read: &mut dyn FnMut(&str) -> Option<Vec<u8>>,
) -> Install {
    let mut install = Install::default();
    let mut modules = Modules::default();
    let mut scripts = BTreeSet::new();
    for change in changes {
        let path = change.path.as_bytes();
        if let Some(inside) = below(path, site_packages) {
            if change.what == Changed::Deleted {
                continue;
            }
            if is_file(change) && !is_installers(inside) {
                install.files = install.files.saturating_add(1);
                install.bytes = install.bytes.saturating_add(change.size.unwrap_or_default());
            }
            if !is_file(change) {
                continue;
            }
            let absolute = std::str::from_utf8(path).ok();
            modules.take(inside, &mut |needle| {
                let content = absolute.and_then(&mut *read).unwrap_or_default();
                content.windows(needle.len()).any(|window| window == needle)
            });
            let is_pth = !inside.contains(&b'/') && inside.ends_with(b".pth");
            // one that cannot be read is not trusted
            if is_pth
                && absolute
                    .and_then(&mut *read)
                    .is_none_or(|content| pth_runs_code(&content))
            {
                install.executable_pth.push(Foreign::new(inside));
            }
        } else if let Some(script) = below(path, bin) {
            if change.what != Changed::Deleted
                && !matches!(change.entry, Some(Entry::Folder))
                && !is_byte_code(script)
            {
                scripts.insert(script.to_vec());
            }
        } else if !is_folder_above(change, site_packages, bin) && install.outside.len() < LISTED {
            install.outside.push(change.path.clone());
        }
    }
    install.scripts = scripts.into_iter().map(Foreign::new).collect();
    install.top_level = modules.top_level();
    install.modules = modules.all();
    install.extensions = modules.extensions.into_iter().map(Foreign::new).collect();
    install
}

/// The rest of a path below a folder.
fn below<'a>(path: &'a [u8], folder: &str) -> Option<&'a [u8]> {
    let rest = path
        .strip_prefix(folder.trim_end_matches('/').as_bytes())?
        .strip_prefix(b"/")?;
    (!rest.is_empty()).then_some(rest)
}

fn is_file(change: &Change) -> bool {
    matches!(change.entry, Some(Entry::File | Entry::Link(_)))
}

fn is_byte_code(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|part| part == b"__pycache__")
}

/// Whether the installer wrote it by itself.
fn is_installers(path: &[u8]) -> bool {
    if is_byte_code(path) {
        return true;
    }
    let mut parts = path.split(|b| *b == b'/');
    let (Some(folder), Some(file), None) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    folder.ends_with(b".dist-info") && INSTALLERS.iter().any(|name| name.as_bytes() == file)
}

/// Folders on the way to what was installed change because something in them did. Other folders tell nothing
/// either, unless they went away or are new and stay empty: then no other path names them.
fn is_folder_above(change: &Change, site_packages: &str, bin: &str) -> bool {
    let path = change.path.as_bytes();
    let above =
        |folder: &str| below(folder.as_bytes(), &change.path.lossy()).is_some() || folder.as_bytes() == path;
    match (&change.entry, change.what) {
        (Some(Entry::Folder), Changed::Modified) => true,
        (Some(Entry::Folder), _) => above(site_packages) || above(bin),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "/home/dev/venv/lib/python3.13/site-packages";

    fn change(path: &str, what: Changed, entry: Entry, size: u64) -> Change {
        Change {
            path: path.into(),
            what,
            entry: Some(entry),
            size: Some(size),
            mode: Some(0o644),
        }
    }

    fn file(path: &str, size: u64) -> Change {
        change(path, Changed::Added, Entry::File, size)
    }

    #[test]
    fn the_installers_own_files_are_not_the_packages() {
        let mut changes = vec![
            change("/home/dev/venv", Changed::Modified, Entry::Folder, 0),
            change(SITE, Changed::Modified, Entry::Folder, 0),
            change(
                &format!("{SITE}/six-1.0.dist-info"),
                Changed::Added,
                Entry::Folder,
                0,
            ),
            file("/home/dev/venv/bin/six", 200),
        ];
        for name in ["six.py", "six-1.0.dist-info/METADATA"] {
            changes.push(file(&format!("{SITE}/{name}"), 100));
        }
        for name in INSTALLERS {
            changes.push(file(&format!("{SITE}/six-1.0.dist-info/{name}"), 7));
        }
        changes.push(file(&format!("{SITE}/__pycache__/six.cpython-313.pyc"), 7));
        let install = facts(&changes, SITE, "/home/dev/venv/bin", &mut |_| None);
        assert_eq!((install.files, install.bytes), (2, 200));
        assert!(install.outside.is_empty(), "{:?}", install.outside);
        assert_eq!(install.top_level, ["six"]);
        assert_eq!(install.scripts, [Foreign::from("six")]);
    }

    #[test]
    fn what_lies_outside_is_listed() {
        let changes = [
            file("/home/dev/.bashrc", 1),
            change("/home/dev", Changed::Modified, Entry::Folder, 0),
            change("/home/dev/empty", Changed::Added, Entry::Folder, 0),
            Change {
                path: "/etc/hosts".into(),
                what: Changed::Deleted,
                entry: None,
                size: None,
                mode: None,
            },
            file("/home/dev/venv/lib/python3.13/site-packages-not/x.py", 1),
        ];
        let install = facts(&changes, SITE, "/home/dev/venv/bin", &mut |_| None);
        let outside: Vec<_> = install.outside.iter().map(Foreign::visible).collect();
        assert_eq!(
            outside,
            [
                "/home/dev/.bashrc",
                "/home/dev/empty",
                "/etc/hosts",
                "/home/dev/venv/lib/python3.13/site-packages-not/x.py"
            ]
        );
        assert_eq!(install.files, 0);
    }

    #[test]
    fn pth_files_are_read() {
        let changes = [
            file(&format!("{SITE}/a.pth"), 1),
            file(&format!("{SITE}/b.pth"), 1),
            file(&format!("{SITE}/p/c.pth"), 1),
        ];
        let mut read = |path: &str| {
            Some(if path.ends_with("a.pth") {
                b"import os".to_vec()
            } else {
                b"/x".to_vec()
            })
        };
        let install = facts(&changes, SITE, "/home/dev/venv/bin", &mut read);
        assert_eq!(install.executable_pth, [Foreign::from("a.pth")]);
        let unreadable = facts(&changes, SITE, "/home/dev/venv/bin", &mut |_| None);
        assert_eq!(unreadable.executable_pth.len(), 2);
    }
}
